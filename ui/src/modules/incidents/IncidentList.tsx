import { Link } from "@tanstack/react-router";
import type { Incident } from "../../api/types";
import { duration, incidentNo, moment, plural } from "../../ui/format";
import { Glyph } from "../../ui/Glyph";
import { useSteps } from "../../ui/More";
import { usePhone } from "../../ui/media";
import { Empty } from "../../ui/Note";
import { Scroll } from "../../ui/Scroll";
import { Words } from "../../ui/Words";

const STATE: Record<Incident["state"], string> = {
  open: "open",
  investigating: "being looked into",
  resolved: "resolved",
  dismissed: "dismissed",
};

export function IncidentList({ incidents, now }: { incidents: readonly Incident[]; now: number }) {
  const phone = usePhone();
  const { shown, more } = useSteps(incidents);
  if (incidents.length === 0) {
    return (
      <Empty title="No incidents" picture="rows">
        Alarms that belong together become one incident with one timeline. It opens here by itself.
      </Empty>
    );
  }
  if (phone) return <IncidentCards incidents={shown} more={more} now={now} />;
  return (
    <Scroll label="Incidents table">
      <table className="tbl">
        <thead>
          <tr>
            <th scope="col">
              <abbr title="Priority">P</abbr>
            </th>
            <th scope="col">Incident</th>
            <th scope="col">What</th>
            <th scope="col">State</th>
            <th scope="col">Opened</th>
            <th scope="col" className="r">
              Lasted
            </th>
            <th scope="col">With</th>
            <th scope="col" className="r">
              Alarms
            </th>
          </tr>
        </thead>
        <tbody>
          {shown.map((incident) => (
            <tr key={incident.incident_id}>
              <td>
                <Glyph p={incident.priority} />
              </td>
              <td className="nowrap">
                <Link to="/incidents/$incidentId" params={{ incidentId: incident.incident_id }}>
                  {incidentNo(incident.number)}
                </Link>
              </td>
              <td className="k">
                <Words>{incident.title}</Words>
              </td>
              <td className="nowrap">
                {STATE[incident.state]}{" "}
                {incident.escalated ? <span className="tag ink">escalated</span> : null}
              </td>
              <td className="nowrap">{moment(incident.opened_at, now)}</td>
              <td className="r nowrap">
                {duration(
                  ((incident.closed_at ? Date.parse(incident.closed_at) : now) -
                    Date.parse(incident.opened_at)) /
                    1000,
                )}
              </td>
              <td>{incident.assignee ?? <span className="dim">nobody yet</span>}</td>
              <td className="r">{incident.alerts.length}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {more}
      <p className="sr">{plural(incidents.length, "incident")}</p>
    </Scroll>
  );
}

interface CardsProps {
  incidents: readonly Incident[];
  more: React.ReactNode;
  now: number;
}

/** The same list for one hand. */
function IncidentCards({ incidents, more, now }: CardsProps) {
  return (
    <>
      <ul className="list cards">
        {incidents.map((incident) => (
          <li key={incident.incident_id}>
            <Glyph p={incident.priority} />
            <div className="t">
              <h3>
                <Link to="/incidents/$incidentId" params={{ incidentId: incident.incident_id }}>
                  {incidentNo(incident.number)}
                </Link>{" "}
                <Words>{incident.title}</Words>
              </h3>
              <p className="sm dim">
                {moment(incident.opened_at, now)} · {STATE[incident.state]}
                {incident.escalated ? ", escalated" : ""} · {incident.assignee ?? "nobody yet"} ·{" "}
                {plural(incident.alerts.length, "alarm")}
              </p>
            </div>
          </li>
        ))}
      </ul>
      {more}
    </>
  );
}
