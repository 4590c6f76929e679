import type { Alert, Incident, Priority } from "../../api/types";
import { duration, limit, number, quantity } from "../../ui/format";

export const worst = (alerts: readonly Alert[]): Alert | undefined =>
  [...alerts].sort((a, b) => a.priority - b.priority || Date.parse(b.raised_at) - Date.parse(a.raised_at))[0];

export const isOpen = (incident: Pick<Incident, "state">) =>
  incident.state === "open" || incident.state === "investigating";

/** `705.6 < 708 m³/h` */
export function valueAndLimit(alert: Alert): string {
  if (alert.value == null) return alert.rule;
  // These two are about time, whatever the unit of the sensor.
  if (alert.rule === "missing") {
    const allowed = alert.limit == null ? "" : `, at most ${duration(alert.limit)}`;
    return `silent ${duration(alert.value)}${allowed}`;
  }
  if (alert.rule === "flatline") return `${quantity(alert.value, alert.unit)}, unchanged`;
  // Sensors may leave their common ways while each alone is still in order: no single limit was passed.
  if (alert.limit == null || alert.rule === "rate" || alert.rule === "process")
    return quantity(alert.value, alert.unit);
  // What a detector worked out has more digits than anybody set.
  const bound = alert.rule === "score" ? quantity(alert.limit, alert.unit) : limit(alert.limit, alert.unit);
  const sign = alert.value < alert.limit ? "<" : ">";
  return `${number(alert.value, alert.unit)} ${sign} ${bound}`;
}

const RULES: Record<string, string> = {
  score: "It moves as it never did before; the adaptive score says so.",
  range: "It left its expected range.",
  rate: "It changed faster than it may.",
  flatline: "It has not changed; the sensor may be stuck.",
  missing: "No reading came when one was due.",
  process: "It no longer goes together with the other sensors of its asset.",
};

export const whyOf = (alert: Alert): string => RULES[alert.rule] ?? `Rule ${alert.rule} raised it.`;

const DOES: Record<Priority, string> = {
  1: "Look now. Confirm in the field, then act.",
  2: "Look within 10 minutes.",
  3: "Look within the shift.",
  4: "Have the instrument checked.",
};

export const whatToDo = (alert: Alert): string => DOES[alert.priority];
