import { Link } from "@tanstack/react-router";
import type { Incident } from "../../api/types";
import { duration, incidentNo, moment, plural } from "../../ui/format";
import { Glyph } from "../../ui/Glyph";
import { useSteps } from "../../ui/More";
import { Empty } from "../../ui/Note";

const STATE: Record<Incident["state"], string> = {
  open: "open",
  investigating: "being looked into",
  resolved: "resolved",
  dismissed: "dismissed",
};

export function IncidentList({ incidents, now }: { incidents: readonly Incident[]; now: number }) {
  const { shown, more } = useSteps(incidents);
  if (incidents.length === 0) {
    return (
      <Empty title="No incidents" picture="rows">
        Alarms that belong together become one incident with one timeline. It opens here by itself.
      </Empty>
    );
  }
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
    <section className="scroll" tabIndex={0} aria-label="Incidents table">
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
              <td className="k">{incident.title}</td>
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
    </section>
  );
}
