import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { anomalyQuery } from "../../api/queries";
import type { Alert, Incident } from "../../api/types";
import { CloseButton, Dialog } from "../../ui/Dialog";
import { alarmNo, clock, clockSeconds, duration, incidentNo, moment, sensorName } from "../../ui/format";
import { PRIORITY_NAME } from "../../ui/Glyph";
import { Loading, ProblemNote } from "../../ui/Note";
import { Evidence } from "../telemetry/Evidence";
import { valueAndLimit, whatToDo, whyOf } from "./model";
import { stands, unseen } from "./standing";

interface Props {
  alert: Alert;
  incident: Incident | undefined;
  now: number;
  may: { ok: boolean; why: string | null };
  onAck: () => void;
  onClose: () => void;
}

/** One alarm with what it rests on. */
export function AlarmDrawer({ alert, incident, now, may, onAck, onClose }: Props) {
  const found = useQuery(anomalyQuery(alert.sensor, alert.anomaly_id, alert.raised_at));
  const facts: [string, React.ReactNode][] = [
    ["Priority", `${alert.priority}, ${PRIORITY_NAME[alert.priority]}`],
    ["Value and limit", valueAndLimit(alert)],
    ["Raised", moment(alert.raised_at, now).replace(clock(alert.raised_at), clockSeconds(alert.raised_at))],
    [
      "State",
      `${alert.state.replaceAll("_", " ")}${stands(alert) ? `, ${duration((now - Date.parse(alert.raised_at)) / 1000)}` : ""}`,
    ],
    ["Occurrences", String(alert.occurrences)],
  ];
  if (incident) {
    facts.push([
      "Belongs to",
      <Link key="incident" to="/incidents/$incidentId" params={{ incidentId: incident.incident_id }}>
        {incidentNo(incident.number)} {incident.title}
      </Link>,
    ]);
  }
  return (
    <Dialog
      title={`${alarmNo(alert.number)} ${alert.title}`}
      lead={`${sensorName(alert.sensor)} · ${whyOf(alert)}`}
      onClose={onClose}
      drawer
      foot={
        <>
          <CloseButton onClick={onClose} />
          {unseen(alert) ? (
            <button
              type="button"
              className="btn pri"
              disabled={!may.ok}
              title={may.why ?? undefined}
              onClick={onAck}
            >
              Acknowledge {alarmNo(alert.number)}
            </button>
          ) : null}
        </>
      }
    >
      {found.isPending ? <Loading what="Reading what it rests on" height={300} /> : null}
      {found.error ? (
        <ProblemNote
          error={found.error}
          what="What it rests on could not be read"
          retry={() => void found.refetch()}
        />
      ) : null}
      {found.data ? <Evidence anomaly={found.data} /> : null}
      {found.data === null ? <p className="cap">The finding behind this alarm is kept no more.</p> : null}
      <p>
        <span className="dim">Do:</span> {whatToDo(alert)}
      </p>
      <dl className="kv facts">
        {facts.map(([name, value]) => (
          <div key={name} style={{ display: "contents" }}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
