import type { Alert } from "../api/types";
import { stands, unseen } from "../modules/incidents/standing";
import type { Trouble } from "../modules/telemetry/units";
import { withoutAsset } from "../ui/format";

const HIDDEN = new Set(["suppressed", "out_of_service", "shelved"]);

/** Alarms as telemetry sees them: a stretch of time against a sensor. */
export function troublesOf(alerts: readonly Alert[], since: number): Trouble[] {
  return alerts
    .filter((alert) => !HIDDEN.has(alert.state))
    .map((alert) => ({
      id: alert.alert_id,
      sensor: alert.sensor,
      title: withoutAsset(alert.title, alert.asset),
      priority: alert.priority,
      unseen: unseen(alert),
      from: Date.parse(alert.raised_at),
      // What it is drawn at: the limit it went over, else what it read.
      value: alert.rule === "missing" ? null : (alert.limit ?? alert.value ?? null),
      to:
        alert.active || stands(alert)
          ? null
          : Date.parse(alert.cleared_at ?? alert.resolved_at ?? alert.raised_at),
      // A late batch clears, by its own clock, before its alarm was raised by ours.
      backAt:
        !alert.active && alert.cleared_at
          ? Math.max(Date.parse(alert.raised_at), Date.parse(alert.cleared_at))
          : null,
    }))
    .filter((trouble) => trouble.to === null || trouble.to >= since);
}
