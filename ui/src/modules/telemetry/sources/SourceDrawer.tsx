import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { removeSource, type Source, startSource, stopSource } from "../../../api/sources";
import { useMay } from "../../../shell/hooks";
import { CancelButton, CloseButton, Dialog } from "../../../ui/Dialog";
import { DataTable, Picture, TableToggle } from "../../../ui/Figure";
import { age, clock, duration, moment, plural, sentence } from "../../../ui/format";
import { Icon } from "../../../ui/Icon";
import { ProblemNote } from "../../../ui/Note";
import { extent, linePath, niceTicks, TimeGrid } from "../../../ui/svg";
import { useNow } from "../../../ui/time";
import { toast } from "../../../ui/toasts";
import { adviceFor } from "./advice";
import { disagreement, protocolName, rate, sourceName } from "./model";
import { ratePoints, StateWords } from "./SourcesTable";

interface Props {
  source: Source;
  onClose: () => void;
  onEdit: () => void;
  onRemoved: () => void;
}

/** Everything about one source, beside the page. */
export function SourceDrawer({ source, onClose, onEdit, onRemoved }: Props) {
  const now = useNow();
  const [removing, setRemoving] = useState(false);
  return (
    <>
      <Dialog
        title={sourceName(source)}
        lead={`${protocolName(source.protocol)} · ${source.kind === "agent" ? "an agent that calls our door" : "a connector that goes out and reads"}`}
        onClose={onClose}
        drawer
        foot={<CloseButton onClick={onClose} />}
      >
        <div className="rowf wrap between">
          <span className="tag">
            <StateWords source={source} />
          </span>
          <Steer source={source} onEdit={onEdit} onRemove={() => setRemoving(true)} />
        </div>
        <Trouble source={source} now={now} />
        <RatePlot source={source} />
        <Facts source={source} now={now} />
        <Settings source={source} />
      </Dialog>
      {removing ? (
        <RemoveDialog source={source} onClose={() => setRemoving(false)} onRemoved={onRemoved} />
      ) : null}
    </>
  );
}

/** What is wrong and what to do; what the other end said, word for word, below it. */
function Trouble({ source, now }: { source: Source; now: number }) {
  const wants = disagreement(source);
  const advice = adviceFor(source, now);
  if (!wants && !advice && !source.last_error) return null;
  const error = source.last_error;
  return (
    <div className="note">
      <span className="t">
        <b>
          {advice ? `${advice.what}.` : wants ? `It ${wants} and is ${source.state}.` : "All is well again."}
        </b>
        {advice?.fix ? <span>{advice.fix}</span> : null}
        {source.state === "failing" || source.state === "waiting" || wants ? (
          <span>Plainview keeps trying by itself.</span>
        ) : null}
        {error ? (
          <span className="sm dim breaks">
            Last error, {moment(error.at, now)}: {error.message}
          </span>
        ) : null}
      </span>
    </div>
  );
}

/** Why a source cannot be changed here; null when it can. */
function fixedBy(source: Source): string | null {
  if (source.kind === "agent") return "It calls us: it is set up where it runs.";
  if (source.configured_in === "file") return "It stands in the settings file and is changed there.";
  return null;
}

function useSteer(source: Source) {
  const client = useQueryClient();
  const settled = () => client.invalidateQueries({ queryKey: ["sources"] });
  const start = useMutation({ mutationFn: () => startSource(source.id), onSettled: settled });
  const stop = useMutation({
    mutationFn: () => stopSource(source.id),
    onSettled: settled,
    onSuccess: () =>
      toast({
        text: `${sourceName(source)} stopped`,
        detail: "What its peer keeps for us waits there.",
        action: { label: "Undo", run: () => start.mutate() },
      }),
  });
  return { start, stop };
}

function Steer({ source, onEdit, onRemove }: { source: Source; onEdit: () => void; onRemove: () => void }) {
  const may = useMay("engineer");
  const { start, stop } = useSteer(source);
  const fixed = fixedBy(source);
  const error = start.error ?? stop.error;
  if (source.kind === "agent") return <span className="sm dim">{fixed}</span>;
  const busy = start.isPending || stop.isPending;
  return (
    <>
      <div className="rowf wrap">
        {source.desired === "stopped" ? (
          <button type="button" className="btn s" disabled={!may.ok || busy} onClick={() => start.mutate()}>
            Start
          </button>
        ) : (
          <button type="button" className="btn s" disabled={!may.ok || busy} onClick={() => stop.mutate()}>
            Stop
          </button>
        )}
        <button type="button" className="btn s" disabled={!may.ok || fixed !== null} onClick={onEdit}>
          Edit…
        </button>
        <button type="button" className="btn s quiet" disabled={!may.ok || fixed !== null} onClick={onRemove}>
          Remove…
        </button>
      </div>
      {may.why || fixed ? <p className="hint full-row">{may.why ? `Steering ${may.why}.` : fixed}</p> : null}
      {error ? <ProblemNote error={error} what="The source did not take that" /> : null}
    </>
  );
}

const PLOT_H = 118;

function RatePlot({ source }: { source: Source }) {
  const now = useNow(10_000);
  const [asTable, setAsTable] = useState(false);
  const points = ratePoints(source, now);
  const values = source.rates;
  const from = now - 3_600_000;
  const [, most] = extent(values);
  const name = "Rate, last hour";
  const words =
    values.length === 0
      ? "No reading in the last hour."
      : `${rate(source.rate_per_s)} readings a second now; at most ${rate(most)} in the last hour.`;
  return (
    <section aria-label={name}>
      <div className="rowf between">
        <h3>{name}</h3>
        <span className="sm">
          <TableToggle on={asTable} set={setAsTable} name={name} />
        </span>
      </div>
      {asTable ? (
        <div className="short">
          <DataTable
            label={`${name}, as table`}
            view={{
              columns: [{ name: "Minute" }, { name: "per s", right: true }],
              rows: values
                .map((value, index) => {
                  const at = now - (values.length - index) * 60_000;
                  return { key: String(index), cells: [clock(at), rate(value)] };
                })
                .reverse(),
            }}
          />
        </div>
      ) : (
        <Picture summary={words} height={PLOT_H}>
          {(width) => {
            const top = Math.max(1, most * 1.1);
            const x = (t: number) => 44 + ((t - from) / 3_600_000) * (width - 56);
            const y = (v: number) => PLOT_H - 22 - (v / top) * (PLOT_H - 32);
            return (
              <>
                <TimeGrid from={from} to={now} x={x} top={6} bottom={PLOT_H - 22} />
                {niceTicks(0, top, 3).map((tick) => (
                  <g key={tick}>
                    <path className="grid-l" d={`M44 ${Math.round(y(tick)) + 0.5}H${width - 12}`} />
                    <text x={38} y={y(tick) + 4} textAnchor="end">
                      {rate(tick)}
                    </text>
                  </g>
                ))}
                <path className="l l1" d={linePath(points, x, y)} />
              </>
            );
          }}
        </Picture>
      )}
      <p className="cap">{words}</p>
    </section>
  );
}

function Facts({ source, now }: { source: Source; now: number }) {
  const ago = (at: string | null | undefined) => (at == null ? "never" : `${age(now - Date.parse(at))} ago`);
  const rows: [string, string][] = [
    ["Address", source.address || "–"],
    ["Newest reading", ago(source.newest_at)],
    ["Last heard", ago(source.last_heard_at)],
    ["Lag", source.lag_ms == null ? "–" : age(source.lag_ms)],
    ["Readings", source.readings.toLocaleString("en-US")],
    ["Refused", source.refused.toLocaleString("en-US")],
  ];
  if (source.kind === "connector") {
    rows.push(
      ["Not acknowledged yet", source.backlog.toLocaleString("en-US")],
      ["Tried to connect again", `${source.reconnects.toLocaleString("en-US")}×`],
      [
        "Connected since",
        source.connected_since
          ? `${moment(source.connected_since, now)}, ${duration((now - Date.parse(source.connected_since)) / 1000)}`
          : "–",
      ],
    );
  }
  for (const detail of source.details) rows.push([sentence(detail.name), detail.value]);
  return (
    <dl className="kv facts">
      {rows.map(([name, value]) => (
        <div key={name} style={{ display: "contents" }}>
          <dt>{name}</dt>
          <dd className={name === "Address" ? "mono breaks" : undefined}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Settings({ source }: { source: Source }) {
  if (!source.settings) return null;
  const entries = Object.entries(source.settings).filter(([, value]) => value !== null);
  return (
    <details>
      <summary>
        Settings, {plural(entries.length, "field")}, from the{" "}
        {source.configured_in === "file" ? "settings file" : "API"}
      </summary>
      <dl className="kv left">
        {entries.map(([name, value]) => (
          <div key={name} style={{ display: "contents" }}>
            <dt className="mono">{name}</dt>
            <dd className="mono">{typeof value === "string" ? value : JSON.stringify(value)}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function RemoveDialog({
  source,
  onClose,
  onRemoved,
}: {
  source: Source;
  onClose: () => void;
  onRemoved: () => void;
}) {
  const client = useQueryClient();
  const remove = useMutation({
    mutationFn: () => removeSource(source.id),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["sources"] });
      toast({ text: `${sourceName(source)} removed` });
      onRemoved();
    },
  });
  return (
    <Dialog
      title={`Remove ${sourceName(source)}`}
      lead="Its settings are forgotten, with their secrets. The readings it brought stay."
      onClose={onClose}
      onSubmit={() => remove.mutate()}
      foot={
        <>
          <CancelButton onClick={onClose} />
          <button type="submit" className="btn pri" disabled={remove.isPending}>
            <Icon name="close" /> Remove {sourceName(source)}
          </button>
        </>
      }
    >
      {remove.error ? <ProblemNote error={remove.error} what="It was not removed" /> : null}
    </Dialog>
  );
}
