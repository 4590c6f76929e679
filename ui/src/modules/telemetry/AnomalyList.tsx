import type { Window } from "../../api/queries";
import type { Anomaly } from "../../api/types";
import { CloseButton, Dialog } from "../../ui/Dialog";
import { clockSeconds, duration, moment, number, quantity, sensorName } from "../../ui/format";
import { ProblemNote } from "../../ui/Note";
import { Panel } from "../../ui/Panel";
import { Scroll } from "../../ui/Scroll";
import { Evidence } from "./Evidence";
import { aboutTime, concerns, stoodDuring } from "./evidence";

const SHOWN = 8;
const HALF_DAY_MS = 43_200_000;

/** Those of `sensors` that touch the window, the surest first. */
export function inView(anomalies: readonly Anomaly[], sensors: readonly string[], window: Window): Anomaly[] {
  return anomalies
    .filter((anomaly) => sensors.some((sensor) => concerns(anomaly, sensor)))
    .filter((anomaly) => stoodDuring(anomaly, window))
    .sort((a, b) => b.score - a.score || Date.parse(b.started_at) - Date.parse(a.started_at));
}

const TITLE = "Anomalies in this window";

interface Props {
  anomalies: readonly Anomaly[];
  /** Why they may be missing. */
  error: unknown;
  retry: () => void;
  now: number;
  onOpen: (id: string) => void;
}

/** What the shaded stretches of the plots are; each opens what it rests on. */
export function AnomalyList({ anomalies, error, retry, now, onOpen }: Props) {
  if (error) {
    return (
      <Panel title={TITLE}>
        <div className="in">
          <ProblemNote error={error} what="The anomalies could not be read" retry={retry} />
        </div>
      </Panel>
    );
  }
  if (anomalies.length === 0) return null;
  const shown = anomalies.slice(0, SHOWN);
  const at = (time: string) =>
    now - Date.parse(time) < HALF_DAY_MS ? clockSeconds(time) : moment(time, now);
  return (
    <Panel
      title={TITLE}
      meta={
        shown.length < anomalies.length
          ? `${shown.length} of ${anomalies.length}, surest first`
          : "surest first"
      }
    >
      <Scroll label="Anomalies table">
        <table className="tbl">
          <thead>
            <tr>
              <th scope="col">Where</th>
              <th scope="col">Rule</th>
              <th scope="col" className="r">
                Score
              </th>
              <th scope="col" className="r">
                Value
              </th>
              <th scope="col">Began</th>
              <th scope="col">Lasts</th>
              <th scope="col" className="hide-phone">
                Detector
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((anomaly) => (
              <tr key={anomaly.anomaly_id}>
                <td className="k nowrap">
                  <button
                    type="button"
                    className="linky plain"
                    aria-haspopup="dialog"
                    onClick={() => onOpen(anomaly.anomaly_id)}
                  >
                    {sensorName(anomaly.sensor)}
                    <span className="sr">, evidence</span>
                  </button>
                </td>
                <td>{anomaly.rule}</td>
                <td className="r">{number(anomaly.score)}</td>
                <td className="r nowrap">
                  {aboutTime(anomaly) ? duration(anomaly.value) : quantity(anomaly.value, anomaly.unit)}
                </td>
                <td className="nowrap">{at(anomaly.started_at)}</td>
                <td className="nowrap">
                  {duration(
                    ((anomaly.cleared_at ? Date.parse(anomaly.cleared_at) : now) -
                      Date.parse(anomaly.started_at)) /
                      1000,
                  )}
                  {anomaly.cleared_at ? "" : ", goes on"}
                </td>
                <td className="mono nowrap hide-phone">
                  {anomaly.detector.name} {anomaly.detector.version}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Panel>
  );
}

export function AnomalyDrawer({ anomaly, onClose }: { anomaly: Anomaly; onClose: () => void }) {
  return (
    <Dialog
      title={`Anomaly of ${sensorName(anomaly.sensor)}`}
      lead={`${anomaly.severity}, ${anomaly.state}`}
      onClose={onClose}
      drawer
      foot={<CloseButton onClick={onClose} />}
    >
      <Evidence anomaly={anomaly} />
    </Dialog>
  );
}
