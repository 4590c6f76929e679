// What the mock plant's people and agents have done so far.
import { leakAt, levelAt, start, stuckAt } from "./plant.mjs";

const MIN = 60_000;
const DAY = 86_400_000;
const iso = (ms) => new Date(ms).toISOString();
let counter = 0;
export const uuid = () => {
  counter += 1;
  return `019a9c41-7e0b-7c52-9d1e-${(0x4b60c2a80000 + counter * 7919).toString(16).padStart(12, "0")}`;
};

const alertBase = {
  site: "north",
  limit: null,
  anomaly_id: null,
  incident_id: null,
  cleared_at: null,
  acknowledged_by: null,
  acknowledged_at: null,
  shelved_until: null,
  shelve_reason: null,
  resolved_by: null,
  resolved_at: null,
  resolution: null,
  occurrences: 1,
  chattering: false,
  origin: "simulated",
};

const SEVERITY = { 1: "critical", 2: "high", 3: "medium", 4: "low" };

function alert(number, sensor, priority, title, raised, more) {
  return {
    ...alertBase,
    alert_id: uuid(),
    number,
    sensor: `north/${sensor}`,
    asset: `north/${sensor.split("/")[0]}`,
    title,
    rule: "range",
    priority,
    severity: SEVERITY[priority],
    state: "acknowledged",
    active: true,
    value: null,
    unit: null,
    raised_at: iso(raised),
    ...more,
  };
}

const seen = (at, by = "ines") => ({ acknowledged_by: by, acknowledged_at: iso(at) });
const fresh = { state: "unacknowledged" };

export const leakIncident = uuid();
export const wearIncident = uuid();
const wearAt = start - 98 * MIN;

export const alerts = [
  alert(31, "km-60/flow", 1, "Delivery flow low", leakAt + 4 * MIN, {
    value: 705.6,
    limit: 708,
    unit: "m³/h",
    incident_id: leakIncident,
    ...seen(leakAt + 4.6 * MIN),
  }),
  alert(28, "p-2/vibration", 2, "Vibration high", wearAt, {
    value: 4.6,
    limit: 4.5,
    unit: "mm/s",
    incident_id: wearIncident,
    rule: "score",
    ...seen(wearAt + MIN),
  }),
  alert(33, "p-2/bearing_temp", 2, "Bearing temperature rising", start - 11 * MIN, {
    ...fresh,
    value: 72.1,
    limit: 71,
    unit: "°C",
    incident_id: wearIncident,
    rule: "score",
  }),
  alert(30, "km-45/pressure", 3, "Pressure below band", leakAt + 2 * MIN, {
    value: 44.6,
    limit: 44.8,
    unit: "bar",
    incident_id: leakIncident,
    ...seen(leakAt + 4.6 * MIN),
  }),
  alert(34, "t-2/level", 3, "Level high", levelAt, {
    ...fresh,
    value: 90.7,
    limit: 90,
    unit: "%",
    occurrences: 11,
  }),
  alert(22, "km-30/pressure-b", 4, "Value stuck", stuckAt, {
    value: 47.2,
    unit: "bar",
    rule: "flatline",
    ...seen(stuckAt + 4 * MIN),
  }),
  alert(14, "v-103/position", 3, "Stroke test overdue", start - 30 * 60 * MIN, {
    state: "shelved",
    shelved_until: iso(start + 2 * DAY),
    shelve_reason: "Test is planned with the line stop.",
    ...seen(start - 29 * 60 * MIN),
  }),
  ...[19, 21, 24, 25].map((number, i) =>
    alert(
      number,
      ["km-15/pressure", "t-2/level", "p-1/power", "km-00/flow"][i],
      3,
      ["Pressure above band", "Level high", "Power high", "Flow unsteady"][i],
      start - (210 - i * 35) * MIN,
      {
        state: "normal",
        active: false,
        cleared_at: iso(start - (202 - i * 35) * MIN),
        ...seen(start - (208 - i * 35) * MIN, "tom"),
      },
    ),
  ),
];

const ids = (sensor) => alerts.filter((a) => a.incident_id === sensor).map((a) => a.alert_id);

const incidentBase = {
  site: "north",
  closed_at: null,
  dismissal: null,
  dismissals: 0,
  escalated: false,
  origin: "simulated",
};

export const incidents = [
  {
    ...incidentBase,
    incident_id: leakIncident,
    number: 2071,
    title: "Flow out falls short at km 60",
    asset: "north/km-60",
    priority: 1,
    state: "investigating",
    opened_at: iso(leakAt + 2 * MIN),
    updated_at: iso(start - 6 * MIN),
    assignee: "ines",
    alerts: ids(leakIncident),
    sensors: ["north/km-60/flow", "north/km-45/pressure", "north/km-60/pressure"],
    summary: "Delivery flow is 14.4 m³/h below the flow in and pressure at km 45 fell 2 minutes earlier.",
  },
  {
    ...incidentBase,
    incident_id: wearIncident,
    number: 2070,
    title: "P-2 bearing wears",
    asset: "north/p-2",
    priority: 2,
    state: "open",
    opened_at: iso(wearAt),
    updated_at: iso(start - 11 * MIN),
    assignee: null,
    alerts: ids(wearIncident),
    sensors: ["north/p-2/vibration", "north/p-2/bearing_temp"],
    summary: "Vibration and bearing temperature of P-2 rise together since yesterday.",
  },
  {
    ...incidentBase,
    incident_id: uuid(),
    number: 2064,
    title: "Pressure surge at km 15",
    asset: "north/km-15",
    priority: 3,
    state: "resolved",
    opened_at: iso(start - 210 * MIN),
    updated_at: iso(start - 190 * MIN),
    closed_at: iso(start - 190 * MIN),
    assignee: "tom",
    alerts: [],
    sensors: ["north/km-15/pressure"],
    summary: "A pump change raised the pressure for 8 minutes.",
  },
];

function prediction(sensor, kind, unit, limit, summary, span, slope, severity = "high") {
  return {
    prediction_id: uuid(),
    asset: `north/${sensor.split("/")[0]}`,
    sensor: `north/${sensor}`,
    anomaly_id: uuid(),
    kind,
    unit,
    risk: 0.82,
    severity,
    summary,
    limit: limit === null ? null : { value: limit, source: "sensor range" },
    time_to_limit_s: span ? { median: span[0], low: span[1], high: span[2], confidence: 0.8 } : null,
    why_unsure: span ? null : "The trend changes direction too often to extrapolate.",
    trend: slope
      ? {
          slope_per_day: slope,
          error_per_day: slope * 0.18,
          samples: 8640,
          from: iso(start - DAY),
          to: iso(start - 30 * MIN),
        }
      : null,
    contributions: [
      { name: "slope over 24 h", value: slope ?? 0, weight: 0.61 },
      { name: "distance to limit", value: 2.5, weight: 0.27 },
      { name: "spread", value: 0.12, weight: 0.12 },
    ],
    model: { name: "trend-to-limit", version: "1.0.0" },
    predicted_at: iso(start - 34 * MIN),
    anomaly: { score: 0.97, rule: "score", started_at: iso(wearAt) },
    origin: "simulated",
  };
}

const H = 3600;
export const wear = prediction(
  "p-2/vibration",
  "vibration",
  "mm/s",
  7.1,
  "Vibration reaches 7.1 mm/s in 19 days [12–27]",
  [19 * 86400, 12 * 86400, 27 * 86400],
  0.131,
);
const level = prediction(
  "t-2/level",
  "level",
  "%",
  95,
  "Level reaches 95 % in 5 hours [3–9]",
  [5 * H, 3 * H, 9 * H],
  22,
  "medium",
);
const temp = prediction("p-1/bearing_temp", "temperature", "°C", 80, "No clear trend", null, null, "medium");
export const predictions = [wear, level];

function decision(number, sensor, title, state, asked, more) {
  return {
    decision_id: uuid(),
    number,
    title,
    question: `${title}?`,
    asset: `north/${sensor.split("/")[0]}`,
    sensor: `north/${sensor}`,
    severity: "medium",
    state,
    requested_at: iso(start - asked),
    expires_at: iso(start - asked + DAY),
    requested_by: "trend-to-limit 1.0.0",
    proposal: {
      action: title,
      due_from: iso(start + DAY),
      due_to: iso(start + 11 * DAY),
      duration_h: 6,
      skill: "rotating equipment",
    },
    evidence: null,
    prediction_id: null,
    anomaly_id: null,
    answered_by: null,
    answered_at: null,
    reason: null,
    deferred_until: null,
    dismissed_before: 0,
    escalated: false,
    origin: "simulated",
    ...more,
  };
}

export const decisions = [
  decision(318, "p-2/vibration", "Replace the drive-end bearing of P-2", "waiting", 34 * MIN, {
    severity: "high",
    evidence: wear,
    prediction_id: wear.prediction_id,
    question: "May a fitter replace the drive-end bearing of P-2 while P-3 takes over?",
  }),
  decision(320, "t-2/level", "Inspect T-2: level rising", "waiting", 7 * MIN, {
    evidence: level,
    expires_at: iso(start + 2 * DAY),
  }),
  decision(319, "v-103/position", "Stroke test of v-103", "waiting", 5 * 60 * MIN, {
    severity: "low",
    expires_at: iso(start + DAY),
    dismissed_before: 1,
  }),
  decision(316, "km-30/pressure-b", "Replace transmitter B at km 30", "approved", 170 * MIN, {
    severity: "low",
    answered_by: "tom",
    answered_at: iso(start - 120 * MIN),
    reason: "It is stuck, the spare is in stock.",
  }),
  decision(312, "v-106/position", "Grease the v-106 stem at the next visit", "approved", 6 * DAY, {
    severity: "low",
    answered_by: "ravi",
    answered_at: iso(start - 6 * DAY + 90 * MIN),
    reason: "Goes with the monthly round.",
  }),
  decision(315, "p-1/bearing_temp", "Shut P-1 for a seal check", "rejected", 4 * DAY, {
    evidence: temp,
    answered_by: "mira",
    answered_at: iso(start - 4 * DAY + 50 * MIN),
    reason: "The temperature rise came from a warm batch, not from the seal.",
  }),
  decision(314, "km-15/pressure", "Check the relief valve at km 15", "deferred", 5 * DAY, {
    answered_by: "tom",
    answered_at: iso(start - 5 * DAY + 20 * MIN),
    reason: "After the pigging run.",
    deferred_until: iso(start + 3 * DAY),
  }),
  decision(309, "km-60/flow", "Recalibrate the outlet meter", "expired", 7 * DAY, { escalated: true }),
];

function work(number, decisionNumber, title, startsAt, more) {
  const d = decisions.find((each) => each.number === decisionNumber);
  return {
    work_id: uuid(),
    number,
    decision_id: d.decision_id,
    asset: d.asset,
    sensor: d.sensor,
    title,
    state: "scheduled",
    priority: 3,
    starts_at: iso(startsAt),
    ends_at: iso(startsAt + 4 * 3_600_000),
    assignee: "ravi",
    skill: "instruments",
    severity: d.severity,
    completion: null,
    created_at: d.answered_at,
    approved_by: d.answered_by,
    reason: d.reason,
    origin: "simulated",
    ...more,
  };
}

export const works = [
  work(640, 316, "Replace transmitter B at km 30", start + 20 * 3_600_000),
  work(633, 312, "Grease the v-106 stem", start - 3 * DAY, {
    state: "completed",
    completion: {
      completed_at: iso(start - 3 * DAY + 3_600_000),
      completed_by: "ravi",
      verdict: "confirmed",
      failure_mode: "stiction",
      failure_mechanism: "wear",
      failure_cause: "lubrication",
      notes: "Stem was dry.",
    },
  }),
];

export const notifications = [
  {
    channel: "email",
    to: "ravi@north.example",
    title: "W-640 on the calendar",
    body: "Replace transmitter B at km 30, tomorrow.",
    ago: 119,
    state: "sent",
  },
  {
    channel: "webhook",
    to: "https://erp.north.example/hook",
    title: "INC-2071 opened",
    body: "Flow out falls short at km 60.",
    ago: 22,
    state: "sent",
  },
  {
    channel: "in_app",
    to: "operators",
    title: "Delivery flow low",
    body: "705.6 m³/h, limit 708 m³/h.",
    ago: 20,
    state: "sent",
  },
].map((n) => ({
  notification_id: uuid(),
  channel: n.channel,
  to: n.to,
  title: n.title,
  body: n.body,
  about: null,
  state: n.state,
  attempts: 1,
  error: null,
  created_at: iso(start - n.ago * MIN),
  sent_at: iso(start - n.ago * MIN),
}));

const anomaly = (sensor, rule, severity, score, at, cleared, more) => ({
  anomaly_id: uuid(),
  sensor: `north/${sensor}`,
  asset: `north/${sensor.split("/")[0]}`,
  site: "north",
  kind: "pressure",
  unit: "bar",
  rule,
  state: cleared ? "cleared" : "active",
  severity,
  score,
  value: 0,
  expected: null,
  started_at: iso(at),
  detected_at: iso(at + 3000),
  cleared_at: cleared ? iso(cleared) : null,
  evidence: {
    from: iso(at - 10 * MIN),
    to: iso(at),
    samples: 600,
    baseline_mean: 720.1,
    baseline_spread: 0.8,
  },
  detector: { name: "robust-score", version: "1.0.0" },
  origin: "simulated",
  correlation_id: uuid(),
  ...more,
});

const baseline = (mean, spread, at) => ({
  from: iso(at - 10 * MIN),
  to: iso(at),
  samples: 600,
  baseline_mean: mean,
  baseline_spread: spread,
});

export const anomalies = [
  anomaly("km-60/flow", "score", "critical", 0.97, leakAt + MIN, null, {
    value: 707.4,
    unit: "m³/h",
    kind: "flow",
    expected: { low: 708, high: 735 },
    detected_at: iso(leakAt + 2.6 * MIN),
    contributions: [
      { sensor: "north/km-60/flow", share: 0.62 },
      { sensor: "north/km-60/pressure", share: 0.21 },
      { sensor: "north/km-45/pressure", share: 0.17 },
    ],
  }),
  anomaly("km-45/pressure", "range", "medium", 0.93, leakAt + MIN, null, {
    value: 44.75,
    expected: { low: 44.8, high: 47.5 },
    evidence: baseline(45.7, 0.09, leakAt + MIN),
  }),
  anomaly("p-2/vibration", "score", "high", 0.97, wearAt, null, {
    value: 4.6,
    unit: "mm/s",
    kind: "vibration",
    expected: { low: 0, high: 4.5 },
    evidence: baseline(4.2, 0.12, wearAt),
  }),
  anomaly("km-60/pressure", "process", "high", 0.91, leakAt + 2 * MIN, null, {
    value: 42.6,
    expected: { low: 42.5, high: 42.9 },
    evidence: baseline(42.7, 0.05, leakAt + 2 * MIN),
    detector: { name: "process", version: "1" },
    contributions: [
      { sensor: "north/km-60/pressure", share: 0.58 },
      { sensor: "north/km-60/flow", share: 0.42 },
    ],
    process: { model_version: 3, interval_s: 10, look: "level", t2: 31.2, q: 8.4 },
  }),
  anomaly("km-30/pressure-b", "flatline", "low", 0.9, stuckAt, null, {
    value: 47.2,
    evidence: baseline(47.2, 0.08, stuckAt),
  }),
  anomaly("km-15/pressure", "score", "medium", 0.88, start - 210 * MIN, start - 202 * MIN, {
    value: 49.4,
    evidence: baseline(49.1, 0.08, start - 210 * MIN),
  }),
];

/** What judging the readings of a sensor again brings; one of a rule has no aspects. */
export function explained(anomaly) {
  const { rule, value, expected, score, started_at, detected_at, detector } = anomaly;
  const late = rule === "flatline";
  return {
    anomaly,
    rows: [],
    same: !late,
    again: late ? null : anomaly,
    series: {
      detector,
      threshold: 0.5,
      measure: score,
      observed: value,
      expected,
      limit: expected?.low ?? null,
      aspects:
        rule === "score"
          ? [
              { aspect: "shift", share: 0.71 },
              { aspect: "jump", share: 0.22 },
              { aspect: "noise", share: 0.07 },
            ]
          : [],
      found_at: detected_at,
      replayed_after: iso(Date.parse(started_at) - 20_000),
      readings: [],
      hindrance: late ? "the method of the detector has changed since" : null,
    },
  };
}

const changed = (sensor, unit, before, after, at, more) => ({
  changepoint_id: uuid(),
  sensor: `north/${sensor}`,
  asset: `north/${sensor.split("/")[0]}`,
  site: "north",
  unit,
  changed_at: iso(at),
  noticed_at: iso(at + 2.5 * MIN),
  before,
  after,
  noise: Math.abs(after - before) / 14,
  confidence: 0.94,
  detector: { name: "changepoint", version: "1.0.0" },
  model_version: null,
  inputs: [],
  anomaly_id: anomalies.find((each) => each.sensor === `north/${sensor}`)?.anomaly_id ?? null,
  origin: "simulated",
  ...more,
});

export const changepoints = [
  changed("km-60/flow", "m³/h", 720, 705.6, leakAt + 1.5 * MIN),
  changed("km-45/pressure", "bar", 45.7, 44.6, leakAt + 4.5 * MIN, { confidence: 0.88 }),
];

for (const alert of alerts) {
  alert.anomaly_id = anomalies.find((each) => each.sensor === alert.sensor)?.anomaly_id ?? uuid();
}

export function timeline(incident) {
  const at = (ms) => iso(ms);
  const entries = alerts
    .filter((a) => incident.alerts.includes(a.alert_id))
    .map((a) => ({
      at: a.raised_at,
      kind: "alarm",
      lane: "alarms",
      title: a.title,
      detail: a.sensor,
      actor: null,
      event_id: uuid(),
      until: a.cleared_at,
      priority: a.priority,
    }));
  if (incident.incident_id === leakIncident) {
    entries.push(
      {
        at: at(leakAt + MIN),
        kind: "signal",
        lane: "signals",
        title: "Anomaly on km-60/flow",
        detail: "score 0.97",
        event_id: uuid(),
      },
      {
        at: at(leakAt + 4.6 * MIN),
        kind: "person",
        lane: "people",
        title: "Ines acknowledged",
        actor: "ines",
        event_id: uuid(),
      },
      {
        at: at(leakAt + 7 * MIN),
        kind: "person",
        lane: "people",
        title: "Ines took the incident",
        actor: "ines",
        event_id: uuid(),
      },
      {
        at: at(leakAt + 12 * MIN),
        kind: "person",
        lane: "people",
        title: "Tom ordered a walk-down",
        actor: "tom",
        event_id: uuid(),
      },
      {
        at: at(leakAt + 9 * MIN),
        kind: "decision",
        lane: "decisions",
        title: "D-317 reduce flow",
        detail: "approved by tom",
        until: at(leakAt + 15 * MIN),
        event_id: uuid(),
      },
      {
        at: at(leakAt + 15 * MIN),
        kind: "work",
        lane: "work",
        title: "W-641 walk-down km 42–47",
        until: at(start + 20 * MIN),
        event_id: uuid(),
      },
      {
        at: at(leakAt + 5 * MIN),
        kind: "message",
        lane: "people",
        title: "E-mail to the shift lead",
        event_id: uuid(),
      },
    );
  } else if (incident.incident_id === wearIncident) {
    entries.push(
      {
        at: at(wearAt + MIN),
        kind: "person",
        lane: "people",
        title: "Ines acknowledged",
        actor: "ines",
        event_id: uuid(),
      },
      {
        at: at(start - 34 * MIN),
        kind: "prediction",
        lane: "signals",
        title: wear.summary,
        event_id: uuid(),
      },
      {
        at: at(start - 34 * MIN),
        kind: "decision",
        lane: "decisions",
        title: "D-318 asked",
        until: null,
        event_id: uuid(),
      },
    );
  }
  return entries.sort((a, b) => a.at.localeCompare(b.at));
}
