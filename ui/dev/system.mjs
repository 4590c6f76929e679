// What the mock plant says of itself: its health, what it measures and what it learned from.
import { start } from "./plant.mjs";

const HOUR = 3_600_000;
const iso = (ms) => new Date(ms).toISOString();

/** The version that the findings of the process models name, and one that waits to be accepted. */
export const versions = [
  { version: 4, state: "proposed", fit: { from: iso(start - 14 * HOUR), to: iso(start - 12 * HOUR) } },
  { version: 3, state: "accepted", fit: { from: iso(start - 26 * HOUR), to: iso(start - 25 * HOUR) } },
].map((version) => ({
  asset: "north/km-60",
  interval_s: 10,
  fit_rows: 720,
  calibrate_rows: 240,
  components: 2,
  calibration_alarm_share: 0.004,
  inputs: ["flow", "pressure"].map((measure) => ({
    sensor: `north/km-60/${measure}`,
    centre: 1,
    spread: 1,
    wander: 0,
  })),
  left_out: [],
  created_at: iso(start - HOUR),
  created_by: "ines",
  ...version,
}));

const judged = {
  row_at: iso(Date.now()),
  score: 0.91,
  alarm: true,
  held: false,
  rows: 8640,
  contributions: [],
  changed_at: null,
};

/** The versions of an asset's model, newest first; undefined when it has none. */
export function model(asset) {
  const own = versions.filter((each) => each.asset === asset).sort((a, b) => b.version - a.version);
  if (own.length === 0) return undefined;
  return {
    asset,
    versions: own,
    now: asset === "north/km-60" ? { ...judged, row_at: iso(Date.now()) } : null,
  };
}

/** The models in force. */
export const models = () =>
  [...new Set(versions.map((each) => each.asset))].map((asset) => {
    const own = model(asset);
    return { ...own, versions: own.versions.filter((each) => each.state === "accepted") };
  });

/** Learns a version: proposed when there is one in force. `still` are the sensors that do not move. */
export function learn(asset, { fit, calibrate, sensors, interval_s: intervalS }, still) {
  const before = model(asset)?.versions ?? [];
  const rows = Math.floor((Date.parse(fit.to) - Date.parse(fit.from)) / 1000 / (intervalS ?? 10));
  const further = calibrate ? rows : Math.floor(rows / 4);
  const left = sensors.filter((each) => still.includes(each));
  const made = {
    ...versions[0],
    asset,
    version: (before[0]?.version ?? 0) + 1,
    state: before.some((each) => each.state === "accepted") ? "proposed" : "accepted",
    fit,
    calibrate,
    interval_s: intervalS ?? 10,
    fit_rows: calibrate ? rows : rows - further,
    calibrate_rows: further,
    calibration_alarm_share: 0.002,
    inputs: sensors
      .filter((each) => !left.includes(each))
      .map((sensor) => ({ sensor, centre: 1, spread: 1, wander: 0 })),
    left_out: left.map((sensor) => ({ sensor, reason: "does not move in the fit period" })),
    created_at: iso(Date.now()),
    rejection: null,
  };
  versions.push(made);
  return made;
}

/** Puts a version in force. */
export function accept(asset, version) {
  const own = model(asset).versions;
  for (const each of own) if (each.state === "accepted") each.state = "retired";
  return Object.assign(
    own.find((each) => each.version === version),
    { state: "accepted", rejection: null },
  );
}

export function reject(asset, version, rejection) {
  const own = model(asset).versions.find((each) => each.version === version);
  return Object.assign(own, { state: "retired", rejection });
}

export const health = () => ({
  status: "ok",
  version: "0.1.0",
  uptime_sec: 86_400,
  checks: {
    cache: { status: "ok", detail: "not configured" },
    database: { status: "ok", detail: "sqlite answers" },
    event_bus: { status: "ok", detail: "log at 1204" },
    mqtt: { status: "ok", detail: "not configured" },
    series: { status: "ok", detail: "25 sensors, 6218592 bytes" },
  },
});

export const metrics = () => `plainview_readings_accepted_total 4846120
series_commit_seconds_sum 13.97
series_commit_seconds_count 3482
series_sealed_readings_total 4369625
series_seal_seconds_sum 0.84
series_seal_seconds_count 12
series_compaction_seconds_sum 0.41
series_compaction_seconds_count 1
plainview_series_quarantined 0
`;

/** How sound the alarms themselves are. */
export function quality() {
  const end = Math.floor(Date.now() / 600_000) * 600_000;
  const counts = [0, 1, 0, 0, 1, 0, 0, 2, 0, 1, 0, 0, 0, 3, 2, 1, 0, 0, 1, 0, 1, 3, 2, 2];
  return {
    last_10_min: 2,
    mean_per_10_min: 0.8,
    flood_share: 0,
    chattering: ["north/t-2/level"],
    stale: 1,
    per_10_min: counts.map((count, i) => ({ at: iso(end - (23 - i) * 600_000), count })),
    by_priority: { 1: 1, 2: 4, 3: 13, 4: 2 },
    top: [
      { sensor: "north/t-2/level", count: 11 },
      { sensor: "north/km-45/pressure", count: 2 },
    ],
  };
}
