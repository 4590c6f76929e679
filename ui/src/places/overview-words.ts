import type { Alert, Decision, Incident, Priority, Severity, WorkOrder } from "../api/types";
import { isOpen, worst } from "../modules/incidents/model";
import { stands, unseen } from "../modules/incidents/standing";
import {
  assetName,
  clock,
  count,
  decisionNo,
  duration,
  interval,
  plural,
  withoutAsset,
  workNo,
} from "../ui/format";

const PRIORITY: Record<Severity, Priority> = { critical: 1, high: 2, medium: 3, low: 4 };

export const priorityOf = (severity: Severity): Priority => PRIORITY[severity] ?? 3;

/** The page title: what is wrong in one or two short sentences. */
export function overviewTitle(alerts: readonly Alert[], decisions: readonly Decision[]): string {
  const standing = alerts.filter(stands);
  const waiting = decisions.filter((decision) => decision.state === "waiting");
  const wearing = waiting.find((decision) => decision.evidence?.time_to_limit_s);
  const parts: string[] = [];
  const criticals = standing.filter((alert) => alert.priority === 1);
  const critical = worst(criticals.filter((alert) => alert.active)) ?? worst(criticals);
  if (critical)
    parts.push(
      `${withoutAsset(critical.title, critical.asset)} at ${assetName(critical.asset)}${critical.active ? "" : " came and went"}.`,
    );
  if (wearing?.evidence?.time_to_limit_s) {
    parts.push(
      `${assetName(wearing.asset)} reaches its limit in ${interval(wearing.evidence.time_to_limit_s).median}.`,
    );
  }
  const assets = new Set(standing.map((alert) => alert.asset));
  if (critical) assets.delete(critical.asset);
  if (wearing) assets.delete(wearing.asset);
  if (assets.size > 0) {
    parts.push(
      parts.length === 0
        ? `${count(assets.size, "asset needs", "assets need")} a look. Everything else is normal.`
        : `${count(assets.size, "more asset needs", "more assets need")} a look.`,
    );
  } else if (parts.length > 0) {
    parts.push("Everything else is normal.");
  } else if (waiting.length > 0) {
    parts.push(`Everything is normal. ${count(waiting.length, "decision waits", "decisions wait")}.`);
  }
  return parts.length > 0 ? parts.join(" ") : "Everything is normal.";
}

type StepLink =
  | { to: "/incidents/$incidentId"; params: { incidentId: string } }
  | { to: "/decisions"; search: { decision?: string } }
  | { to: "/alarms"; search: { view?: "new" } };

export interface NextStep {
  key: string;
  kind: "incident" | "decision" | "alarms" | "work";
  priority: Priority;
  unack?: boolean;
  title: string;
  detail: string;
  button: string;
  link: StepLink;
}

interface Input {
  alerts: readonly Alert[];
  decisions: readonly Decision[];
  incidents: readonly Incident[];
  works: readonly WorkOrder[];
  now?: number;
}

function decisionStep(decision: Decision, now: number): NextStep {
  const left = (Date.parse(decision.expires_at) - now) / 1000;
  const span = decision.evidence?.time_to_limit_s;
  const when = span ? `${interval(span).median} to the limit, ${interval(span).range}. ` : "";
  const until =
    left > 0 ? `${decisionNo(decision.number)} waits ${duration(left)} more.` : "It is about to expire.";
  return {
    key: decision.decision_id,
    kind: "decision",
    priority: priorityOf(decision.severity),
    title: `Decide: ${decision.title}`,
    detail: when + until,
    button: `Review ${decisionNo(decision.number)}`,
    link: { to: "/decisions", search: { decision: decision.decision_id } },
  };
}

function alarmsStep(fresh: readonly Alert[]): NextStep {
  const top = worst(fresh);
  const named = [...fresh]
    .sort((a, b) => a.priority - b.priority)
    .slice(0, 2)
    .map((alert) => `${alert.title} ${clock(alert.raised_at)}`);
  return {
    key: "alarms",
    kind: "alarms",
    priority: top?.priority ?? 3,
    unack: true,
    title: `Acknowledge ${plural(fresh.length, "alarm")}`,
    detail: `${named.join(". ")}.`,
    button: "Open alarms",
    link: { to: "/alarms", search: { view: "new" } },
  };
}

/** Everything that needs a person, worst first. */
export function nextSteps({ alerts, decisions, incidents, works, now = Date.now() }: Input): NextStep[] {
  const steps: NextStep[] = [];
  for (const incident of incidents.filter((each) => isOpen(each) && each.priority === 1)) {
    steps.push({
      key: incident.incident_id,
      kind: "incident",
      priority: incident.priority,
      title: incident.title,
      detail: incident.summary,
      button: `Open INC-${incident.number}`,
      link: { to: "/incidents/$incidentId", params: { incidentId: incident.incident_id } },
    });
  }
  for (const decision of decisions) if (decision.state === "waiting") steps.push(decisionStep(decision, now));
  const fresh = alerts.filter((alert) => stands(alert) && unseen(alert));
  if (fresh.length > 0) steps.push(alarmsStep(fresh));
  for (const work of works) {
    if (work.state !== "scheduled" || Date.parse(work.ends_at) > now || !work.decision_id) continue;
    steps.push({
      key: work.work_id,
      kind: "work",
      priority: work.priority,
      title: `Close ${workNo(work.number)}`,
      detail: `${work.title} should be done. Say what was found.`,
      button: `Open ${workNo(work.number)}`,
      link: { to: "/decisions", search: { decision: work.decision_id } },
    });
  }
  return steps.sort((a, b) => a.priority - b.priority);
}
