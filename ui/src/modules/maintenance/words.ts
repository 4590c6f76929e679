import type { Decision, Priority, Severity, Verdict } from "../../api/types";
import { count, day, duration, interval, moment } from "../../ui/format";

const PRIORITY: Record<Severity, Priority> = { critical: 1, high: 2, medium: 3, low: 4 };
export const priorityOf = (severity: Severity): Priority => PRIORITY[severity] ?? 3;

export const VERDICTS: Record<Verdict, string> = {
  confirmed: "It was as predicted",
  false_alarm: "False alarm",
  not_found: "Nothing was found",
};

/** What the corner of a card says: how long is left, or when it was answered. */
export function cornerWords(decision: Decision, now: number): string {
  if (decision.state === "waiting") {
    const left = (Date.parse(decision.expires_at) - now) / 1000;
    return left > 0 ? `${duration(left)} left` : "expires now";
  }
  return moment(decision.answered_at ?? decision.expires_at, now);
}

/** The sentence under a card's picture. */
export function cardWords(decision: Decision): string {
  if (decision.state === "waiting") {
    const span = decision.evidence?.time_to_limit_s;
    const due = `Work from ${day(decision.proposal.due_from)}, ${duration(decision.proposal.duration_h * 3600)}.`;
    return span ? `${interval(span).median} to the limit, ${interval(span).range}. ${due}` : due;
  }
  if (decision.state === "expired")
    return `Nobody answered in time.${decision.escalated ? " It was escalated." : ""}`;
  const who = decision.answered_by ? `${decision.answered_by}: ` : "";
  return `${who}${decision.reason ?? "no reason given"}`;
}

export function boardTitle(waiting: readonly Decision[]): string {
  if (waiting.length === 0) return "No decision waits.";
  const worst = [...waiting].sort((a, b) => priorityOf(a.severity) - priorityOf(b.severity))[0];
  const first = `${count(waiting.length, "decision waits", "decisions wait")}.`;
  const span = worst?.evidence?.time_to_limit_s;
  if (!worst) return first;
  return span
    ? `${first} ${worst.title}: ${interval(span).median} left.`
    : waiting.length === 1
      ? `${first} ${worst.title}.`
      : `${first} ${worst.title.split(":")[0]} comes first.`;
}

/** A person may still answer. */
export const isOpen = (decision: Decision) => decision.state === "waiting" || decision.state === "deferred";

export const byUrgency = (a: Decision, b: Decision) =>
  priorityOf(a.severity) - priorityOf(b.severity) || Date.parse(a.expires_at) - Date.parse(b.expires_at);

export const byAnswer = (a: Decision, b: Decision) =>
  Date.parse(b.answered_at ?? b.expires_at) - Date.parse(a.answered_at ?? a.expires_at);
