import { Link } from "@tanstack/react-router";
import { Fragment } from "react";
import type { Window } from "../../api/queries";
import type { Alert, Incident, Series } from "../../api/types";
import {
  alarmNo,
  clock,
  clockSeconds,
  duration,
  incidentNo,
  moment,
  sensorName,
  withoutAsset,
} from "../../ui/format";
import { Glyph } from "../../ui/Glyph";
import { OriginTag } from "../../ui/Note";
import { pointsOf } from "../../ui/points";
import { Scroll } from "../../ui/Scroll";
import { Spark } from "../../ui/svg";
import { valueAndLimit, whatToDo, whyOf } from "./model";
import { stands, unseen } from "./standing";

interface Props {
  alerts: readonly Alert[];
  incidents: readonly Incident[];
  series: ReadonlyMap<string, Series>;
  selected: ReadonlySet<string>;
  onSelect: (id: string, on: boolean) => void;
  now: number;
  window: Window;
  rangeLabel: string;
  /** Shows what an alarm rests on. */
  onOpen: (id: string) => void;
}

/** Chattering: more than this many times in the life of one alarm. */
const CHATTER = 5;

function Acknowledged({ alert }: { alert: Alert }) {
  if (alert.state === "shelved" && alert.shelved_until) {
    return <>until {moment(alert.shelved_until, Date.now())}</>;
  }
  if (alert.resolved_by && alert.resolved_at) return <>resolved by {alert.resolved_by}</>;
  if (unseen(alert)) return <span className="new">not yet</span>;
  if (!alert.acknowledged_at) return <>–</>;
  return (
    <>
      {alert.acknowledged_by} {clockSeconds(alert.acknowledged_at)}
    </>
  );
}

function Standing({ alert, now }: { alert: Alert; now: number }) {
  const end = alert.cleared_at ? Date.parse(alert.cleared_at) : now;
  const span = duration((end - Date.parse(alert.raised_at)) / 1000);
  if (!alert.cleared_at || !stands(alert)) return span;
  // A late batch may clear before its alarm was raised here.
  return end < Date.parse(alert.raised_at) ? "back to normal" : `${span}, back ${clock(alert.cleared_at)}`;
}

function Belongs({ alert, incidents }: { alert: Alert; incidents: readonly Incident[] }) {
  const incident = incidents.find((each) => each.incident_id === alert.incident_id);
  if (!incident) return <span className="dim">–</span>;
  return (
    <Link to="/incidents/$incidentId" params={{ incidentId: incident.incident_id }}>
      {incidentNo(incident.number)}
    </Link>
  );
}

function AlarmTitle({ alert, onOpen }: { alert: Alert; onOpen: (id: string) => void }) {
  return (
    <button
      type="button"
      className="linky plain"
      aria-haspopup="dialog"
      onClick={() => onOpen(alert.alert_id)}
    >
      {withoutAsset(alert.title, alert.asset)}
      <span className="sr">, evidence of {alarmNo(alert.number)}</span>
    </button>
  );
}

export function AlarmTable({
  alerts,
  incidents,
  series,
  selected,
  onSelect,
  now,
  window,
  rangeLabel,
  onOpen,
}: Props) {
  return (
    <Scroll label="Alarms table">
      <table className="tbl alarms">
        <thead>
          <tr>
            <th scope="col" className="pick">
              <span className="sr">Select</span>
            </th>
            <th scope="col">
              <abbr title="Priority">P</abbr>
            </th>
            <th scope="col">Since</th>
            <th scope="col">Alarm</th>
            <th scope="col">Where</th>
            <th scope="col">Value and limit</th>
            <th scope="col" className="hide-narrow">
              {rangeLabel}
            </th>
            <th scope="col" className="r">
              Standing
            </th>
            <th scope="col">Acknowledged</th>
            <th scope="col">Belongs to</th>
          </tr>
        </thead>
        <tbody>
          {alerts.map((alert, index) => {
            const on = selected.has(alert.alert_id);
            const explain = on || (index === 0 && selected.size === 0);
            return (
              <Fragment key={alert.alert_id}>
                <tr className={on ? "on" : undefined}>
                  <td className="pick">
                    <input
                      type="checkbox"
                      checked={on}
                      aria-label={`Select ${alarmNo(alert.number)} ${alert.title}, ${sensorName(alert.sensor)}`}
                      onChange={(event) => onSelect(alert.alert_id, event.target.checked)}
                    />
                  </td>
                  <td>
                    <Glyph p={alert.priority} unack={unseen(alert)} />
                  </td>
                  <td className="num nowrap" title={alert.raised_at}>
                    {now - Date.parse(alert.raised_at) < 43_200_000
                      ? clockSeconds(alert.raised_at)
                      : moment(alert.raised_at, now)}
                  </td>
                  <td className="k nowrap long" title={alert.title}>
                    <AlarmTitle alert={alert} onOpen={onOpen} />{" "}
                    {alert.chattering || alert.occurrences > CHATTER ? (
                      <span className="tag">
                        chattering{alert.occurrences > 1 ? ` ${alert.occurrences}×` : ""}
                      </span>
                    ) : null}{" "}
                    {alert.origin === "replayed" ? <OriginTag origin={alert.origin} /> : null}
                  </td>
                  <td className="nowrap long">
                    <Link to="/workbench" search={{ s: alert.sensor }} title={alert.sensor}>
                      {sensorName(alert.sensor)}
                    </Link>
                  </td>
                  <td className="nowrap">{valueAndLimit(alert)}</td>
                  <td className="hide-narrow">
                    <Spark points={pointsOf(series.get(alert.sensor))} window={window} />
                  </td>
                  <td className="r nowrap">
                    <Standing alert={alert} now={now} />
                  </td>
                  <td className="nowrap">
                    <Acknowledged alert={alert} />
                  </td>
                  <td className="nowrap">
                    <Belongs alert={alert} incidents={incidents} />
                  </td>
                </tr>
                {explain ? (
                  <tr className={on ? "why on" : "why"}>
                    <td />
                    <td />
                    <td colSpan={8}>
                      <span className="dim">Do:</span> {whatToDo(alert)} <span className="dim">Why:</span>{" "}
                      {whyOf(alert)}
                      {alert.shelve_reason && alert.state === "shelved" ? (
                        <>
                          {" "}
                          <span className="dim">Shelved:</span> {alert.shelve_reason}
                        </>
                      ) : null}
                      {alert.resolution ? (
                        <>
                          {" "}
                          <span className="dim">Resolved:</span> {alert.resolution}
                        </>
                      ) : null}
                    </td>
                  </tr>
                ) : null}
              </Fragment>
            );
          })}
        </tbody>
      </table>
    </Scroll>
  );
}

/** The same list for one hand. */
export function AlarmCards({
  alerts,
  incidents,
  selected,
  onSelect,
  now,
  onOpen,
}: Omit<Props, "series" | "window" | "rangeLabel">) {
  return (
    <ul className="list cards">
      {alerts.map((alert) => (
        <li key={alert.alert_id} className={selected.has(alert.alert_id) ? "on" : undefined}>
          <Glyph p={alert.priority} unack={unseen(alert)} />
          <div className="t">
            <h3>
              <AlarmTitle alert={alert} onOpen={onOpen} />
            </h3>
            <p className="sm">
              <Link to="/workbench" search={{ s: alert.sensor }}>
                {sensorName(alert.sensor)}
              </Link>{" "}
              · {valueAndLimit(alert)}
            </p>
            <p className="sm dim">
              {clock(alert.raised_at)} · <Standing alert={alert} now={now} /> · <Acknowledged alert={alert} />{" "}
              {alert.incident_id ? (
                <>
                  · <Belongs alert={alert} incidents={incidents} />
                </>
              ) : null}
            </p>
          </div>
          <label className="touch">
            <input
              type="checkbox"
              checked={selected.has(alert.alert_id)}
              onChange={(event) => onSelect(alert.alert_id, event.target.checked)}
            />
            <span className="sr">
              Select {alarmNo(alert.number)} {alert.title}
            </span>
          </label>
        </li>
      ))}
    </ul>
  );
}
