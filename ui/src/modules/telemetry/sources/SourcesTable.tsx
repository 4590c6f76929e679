import { Fragment } from "react";
import type { Source } from "../../../api/sources";
import { age, moment } from "../../../ui/format";
import { useSteps } from "../../../ui/More";
import { Empty } from "../../../ui/Note";
import { Panel } from "../../../ui/Panel";
import { Scroll } from "../../../ui/Scroll";
import { Spark } from "../../../ui/svg";
import { useNow } from "../../../ui/time";
import { adviceFor } from "./advice";
import { disagreement, isCalm, isIdle, protocolName, rate, sourceName, worstFirst } from "./model";

const MINUTE = 60_000;

const DOT: Record<Source["state"], string> = {
  live: "dot",
  silent: "dot hollow",
  connecting: "dot half",
  waiting: "dot half",
  failing: "dot hollow",
  stopped: "dot hollow",
};

export function StateWords({ source }: { source: Source }) {
  const wants = disagreement(source);
  const loud = !isCalm(source);
  return (
    <span className="rowf nw tight">
      <i className={DOT[source.state]} />
      <span>
        {loud ? <b>{source.state}</b> : isIdle(source) ? "idle" : source.state}
        {wants ? <span className="dim">, {wants}</span> : null}
      </span>
    </span>
  );
}

/** The rate of each minute as a line; a minute with nothing is drawn as a gap at the end only. */
export function ratePoints(source: Source, now: number): [number, number][] {
  const { rates } = source;
  const last = rates.findLastIndex((each) => each > 0);
  return rates.slice(0, last + 1).map((each, index) => [now - (rates.length - index) * MINUTE, each]);
}

interface Props {
  sources: readonly Source[];
  onOpen: (id: string) => void;
  onAdd: () => void;
  may: { ok: boolean; why: string | null };
}

export function SourcesTable({ sources, onOpen, onAdd, may }: Props) {
  const now = useNow(1000);
  const sorted = [...sources].sort(worstFirst);
  const { shown, more } = useSteps(sorted);
  if (sources.length === 0) {
    return (
      <Panel title="Sources">
        <Empty
          title="Nothing is connected yet"
          picture="rows"
          action={
            <button type="button" className="btn" disabled={!may.ok} onClick={onAdd}>
              Add a source…
            </button>
          }
        >
          A source is a connector that goes out and reads, such as MQTT or OPC UA, or an agent that sends to
          one of our doors. The first sample of either makes it appear here.
          {may.why ? ` Adding one ${may.why}.` : ""}
        </Empty>
      </Panel>
    );
  }
  return (
    <Panel title="Sources" meta={`${sources.length}, worst first`} id="sources">
      <Scroll label="Sources table">
        <table className="tbl sources">
          <thead>
            <tr>
              <th scope="col">Source</th>
              <th scope="col" className="hide-phone">
                Door
              </th>
              <th scope="col" className="hide-phone">
                Address
              </th>
              <th scope="col">State</th>
              <th scope="col">Rate, last hour</th>
              <th scope="col" className="r">
                per s
              </th>
              <th scope="col" className="r">
                Newest
              </th>
              <th scope="col" className="r">
                Lag
              </th>
              <th scope="col" className="r">
                Refused
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((source) => (
              <SourceRow key={source.id} source={source} now={now} onOpen={onOpen} />
            ))}
          </tbody>
        </table>
      </Scroll>
      {more}
    </Panel>
  );
}

function SourceRow({ source, now, onOpen }: { source: Source; now: number; onOpen: (id: string) => void }) {
  const advice = adviceFor(source, now);
  return (
    <Fragment>
      <tr data-source={source.id}>
        <td className="k cut">
          <button
            type="button"
            className="linky plain"
            aria-haspopup="dialog"
            title={source.name}
            onClick={() => onOpen(source.id)}
          >
            {sourceName(source)}
          </button>
        </td>
        <td className="nowrap hide-phone">{protocolName(source.protocol)}</td>
        <td className="mono cut hide-phone" title={source.address}>
          {source.address || "–"}
        </td>
        <td className="nowrap">
          <StateWords source={source} />
        </td>
        <td>
          <Spark
            points={ratePoints(source, now)}
            window={{ from: now - 60 * MINUTE, to: now }}
            least={Math.max(1, ...source.rates) * 0.3}
          />
        </td>
        <td className="r">{rate(source.rate_per_s)}</td>
        <td className="r nowrap">{source.newest_at ? age(now - Date.parse(source.newest_at)) : "–"}</td>
        <td className="r nowrap">{source.lag_ms == null ? "–" : age(source.lag_ms)}</td>
        <td className="r">{source.refused.toLocaleString("en-US")}</td>
      </tr>
      {advice ? (
        <tr className="why">
          <td colSpan={9}>
            <p className="stay">
              <b>{advice.what}.</b>
              {advice.fix ? (
                <>
                  {" "}
                  <span className="dim">Do:</span> {advice.fix}
                </>
              ) : null}
              {source.last_error && source.state !== "silent" ? (
                <span className="sr">
                  {" "}
                  Last error {moment(source.last_error.at, now)}: {source.last_error.message}
                </span>
              ) : null}
            </p>
          </td>
        </tr>
      ) : null}
    </Fragment>
  );
}
