/** The shapes that travel between server and browser, as the HTTP contract states them. */

export type Priority = 1 | 2 | 3 | 4;
export type Severity = "critical" | "high" | "medium" | "low";
export type Quality = "good" | "uncertain" | "bad";
export type Origin = "real" | "simulated" | "replayed";
export type Role = "ingest" | "viewer" | "operator" | "engineer" | "admin";

export interface Page<T> {
  items: T[];
  next?: string | null;
}

export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  detail?: string | null;
  errors?: { field: string; reason: string }[];
  request_id?: string | null;
  retry_after?: number | null;
}

/** CloudEvents 1.0 envelope. */
export interface Envelope<T = unknown> {
  id: string;
  type: string;
  source: string;
  subject: string;
  time: string;
  correlationid: string;
  causationid?: string | null;
  data: T;
}

export interface Me {
  name: string;
  role: Role | null;
  environment: string;
  version: string;
}

export interface Sensor {
  key: string;
  site: string;
  asset: string;
  measure: string;
  kind: string;
  unit: string | null;
  expected_low: number | null;
  expected_high: number | null;
  rate_max_per_s?: number | null;
  interval_s?: number | null;
  trust: "trusted" | "stuck" | "silent" | "suspect";
  trust_reason?: string | null;
  origin: Origin;
  metadata?: Record<string, unknown> | null;
  latest: { at: string; value: number; quality: Quality; received_at?: string | null } | null;
  anomaly: { score: number; severity: Severity; since: string; rule: string } | null;
}

export interface Bucket {
  at: string;
  count: number;
  min: number;
  max: number;
  mean: number;
  first: number;
  last: number;
}

export interface Point {
  at: string;
  value: number;
  quality: Quality;
}

export interface Series {
  sensor: string;
  unit: string | null;
  width_s?: number;
  buckets?: Bucket[];
  points?: Point[];
  truncated?: boolean;
}

export interface Tick {
  at: string;
  values: { sensor: string; at: string; value: number; quality: Quality; score?: number | null }[];
}

export interface Anomaly {
  anomaly_id: string;
  sensor: string;
  asset: string;
  site: string;
  kind: string;
  unit: string | null;
  rule: string;
  state: "active" | "cleared";
  severity: Severity;
  score: number;
  value: number;
  expected: { low: number; high: number } | null;
  started_at: string;
  detected_at: string;
  cleared_at: string | null;
  evidence?: {
    from: string;
    to: string;
    samples: number;
    baseline_mean: number | null;
    baseline_spread: number | null;
  } | null;
  detector?: { name: string; version: string } | null;
  origin: Origin;
  correlation_id?: string | null;
}

export interface Prediction {
  prediction_id: string;
  asset: string;
  sensor: string;
  anomaly_id?: string | null;
  kind: string | null;
  unit: string | null;
  risk: number;
  severity: Severity;
  summary: string;
  limit: { value: number; source: string } | null;
  /** `high` is missing when the trend may also never get there. */
  time_to_limit_s: { median: number; low: number; high: number | null; confidence: number } | null;
  why_unsure: string | null;
  trend: { slope_per_day: number; error_per_day: number; samples: number; from: string; to: string } | null;
  contributions?: { name: string; value: number; weight: number }[];
  model?: { name: string; version: string };
  predicted_at: string;
  anomaly?: { score: number; rule: string; started_at: string } | null;
  origin?: Origin;
}

export type DecisionState = "waiting" | "approved" | "rejected" | "deferred" | "expired";

export interface Decision {
  decision_id: string;
  number: number;
  title: string;
  question: string;
  asset: string;
  sensor: string;
  severity: Severity;
  state: DecisionState;
  requested_at: string;
  expires_at: string;
  requested_by: string;
  proposal: {
    action: string;
    due_from: string;
    due_to: string;
    duration_h: number;
    skill: string;
  };
  evidence: Prediction | null;
  prediction_id?: string | null;
  anomaly_id?: string | null;
  answered_by: string | null;
  answered_at: string | null;
  reason: string | null;
  deferred_until: string | null;
  dismissed_before: number;
  escalated: boolean;
  origin: Origin;
}

export interface DecisionAnswer {
  decision_id: string;
  decision: "approve" | "reject" | "defer";
  reason: string;
  deferred_until?: string;
  starts_at?: string;
}

export type Verdict = "confirmed" | "false_alarm" | "not_found";

export interface WorkOrder {
  work_id: string;
  number: number;
  decision_id: string | null;
  asset: string;
  sensor: string | null;
  title: string;
  state: "scheduled" | "completed" | "cancelled";
  priority: Priority;
  starts_at: string;
  ends_at: string;
  assignee: string | null;
  skill: string | null;
  severity: Severity;
  completion: null | {
    completed_at: string;
    completed_by: string;
    verdict: Verdict;
    failure_mode: string | null;
    failure_mechanism: string | null;
    failure_cause: string | null;
    notes: string | null;
  };
  created_at: string;
  approved_by: string | null;
  reason: string | null;
  origin: Origin;
}

export interface Completion {
  verdict: Verdict;
  failure_mode?: string;
  failure_mechanism?: string;
  failure_cause?: string;
  notes: string;
}

export type AlertState =
  | "unacknowledged"
  | "acknowledged"
  | "returned_unacknowledged"
  | "normal"
  | "shelved"
  | "suppressed"
  | "out_of_service";

export interface Alert {
  alert_id: string;
  number: number;
  sensor: string;
  asset: string;
  site: string;
  title: string;
  rule: string;
  priority: Priority;
  state: AlertState;
  active: boolean;
  severity: Severity;
  value: number | null;
  unit: string | null;
  limit: number | null;
  anomaly_id: string | null;
  incident_id: string | null;
  raised_at: string;
  cleared_at: string | null;
  acknowledged_by: string | null;
  acknowledged_at: string | null;
  shelved_until: string | null;
  shelve_reason: string | null;
  resolved_by: string | null;
  resolved_at: string | null;
  resolution: string | null;
  occurrences: number;
  /** It comes and goes faster than people can follow. */
  chattering: boolean;
  origin: Origin;
}

export interface AlarmQuality {
  last_10_min: number;
  mean_per_10_min: number;
  flood_share: number;
  /** Sensors with three alarms within a minute. */
  chattering: string[];
  stale: number;
  per_10_min: { at: string; count: number }[];
  by_priority: Record<string, number>;
  top: { sensor: string; count: number }[];
}

export type IncidentState = "open" | "investigating" | "resolved" | "dismissed";

export interface Incident {
  incident_id: string;
  number: number;
  title: string;
  asset: string;
  site: string;
  priority: Priority;
  state: IncidentState;
  opened_at: string;
  updated_at: string;
  closed_at: string | null;
  assignee: string | null;
  alerts: string[];
  sensors: string[];
  summary: string;
  dismissal: null | { reason: string; by: string; until: string };
  dismissals: number;
  escalated: boolean;
  origin: Origin;
}

export type Lane = "alarms" | "signals" | "people" | "decisions" | "work";

export interface TimelineEntry {
  at: string;
  kind: "alarm" | "signal" | "person" | "decision" | "prediction" | "work" | "message";
  lane: Lane;
  title: string;
  detail?: string | null;
  actor?: string | null;
  event_id?: string | null;
  until?: string | null;
  priority?: Priority | null;
}

export interface IncidentDetail extends Omit<Incident, "alerts"> {
  alerts: Alert[];
  timeline: TimelineEntry[];
}

export interface IncidentUpdate {
  state?: IncidentState;
  assignee?: string | null;
  note?: string;
  dismissal?: { reason: string; until: string };
}

export interface Notification {
  notification_id: string;
  channel: "in_app" | "email" | "webhook";
  to: string;
  title: string;
  body: string;
  about: { type: string; subject: string; event_id: string } | null;
  state: "pending" | "sending" | "sent" | "failed" | "unknown";
  attempts: number;
  error: string | null;
  created_at: string;
  sent_at: string | null;
}

export interface GoldenStep {
  name: "ingest" | "validate" | "detect" | "predict" | "decide" | "schedule" | "notify";
  status: "done" | "running" | "waiting" | "pending" | "failed";
  started_at: string | null;
  finished_at: string | null;
  event_ids: string[];
  detail: string | null;
  evidence?: Record<string, unknown> | null;
}

export interface GoldenRun {
  correlation_id: string;
  overall_status: "running" | "waiting" | "completed" | "stuck" | "failed";
  started_at: string;
  finished_at: string | null;
  waiting_for: string | null;
  decision_id?: string | null;
  sensor?: string | null;
  steps: GoldenStep[];
}

export interface GoldenStart {
  correlation_id: string;
  status_url: string;
  sensor: string;
}
