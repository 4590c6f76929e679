// The simulated North plant of the mock server: what its sensors read at any moment.
// Every value is a pure function of sensor and time, so a reload shows the same history.

const HOUR = 3_600_000;

export const start = Date.now();

function noise(seed, n) {
  let a = (seed * 2654435761 + Math.floor(n) * 40503) >>> 0;
  a = Math.imul(a ^ (a >>> 15), 1 | a);
  a = (a + Math.imul(a ^ (a >>> 7), 61 | a)) ^ a;
  return ((a ^ (a >>> 14)) >>> 0) / 4294967296 - 0.5;
}

function smooth(seed, t, every) {
  const n = t / every;
  const f = n - Math.floor(n);
  const w = f * f * (3 - 2 * f);
  return noise(seed, n) * (1 - w) + noise(seed, n + 1) * w;
}

const step = (t, at, width) => {
  const u = Math.min(1, Math.max(0, (t - at) / width));
  return u * u * (3 - 2 * u);
};

export const leakAt = start - 24 * 60_000;
export const stuckAt = start - 186 * 60_000;
export const levelAt = start - 8 * 60_000;

/** key, unit, kind, expected low, expected high, centre, wobble, extra(t) */
const rows = [
  ["p-1/vibration", "mm/s", "vibration", 0, 4.5, 1.9, 0.25],
  ["p-1/bearing_temp", "°C", "temperature", 30, 80, 58.2, 1.2],
  ["p-1/speed", "rpm", "speed", 2900, 3000, 2960, 8],
  ["p-1/power", "kW", "power", 300, 520, 412, 9],
  [
    "p-2/vibration",
    "mm/s",
    "vibration",
    0,
    4.5,
    3.75,
    0.3,
    (t) => 0.85 * Math.max(0, 1 + (t - start) / (24 * HOUR)) ** 2,
  ],
  [
    "p-2/bearing_temp",
    "°C",
    "temperature",
    30,
    80,
    66,
    1.4,
    (t) => 6 * Math.max(0, 1 + (t - start) / (24 * HOUR)) ** 2,
  ],
  ["p-2/speed", "rpm", "speed", 2900, 3000, 2957, 9],
  ["p-2/power", "kW", "power", 300, 520, 418, 10],
  ["p-3/vibration", "mm/s", "vibration", 0, 4.5, 0.12, 0.05],
  ["p-3/bearing_temp", "°C", "temperature", 10, 80, 19.4, 0.5],
  ["km-00/flow", "m³/h", "flow", 690, 740, 720.2, 1.6],
  ["km-00/pressure", "bar", "pressure", 46, 58, 51.4, 0.3],
  ["km-15/pressure", "bar", "pressure", 44, 54, 49.1, 0.25],
  ["km-30/pressure-a", "bar", "pressure", 43, 50, 46.9, 0.2],
  ["km-30/pressure-b", "bar", "pressure", 43, 50, 47.2, 0.2],
  ["km-45/pressure", "bar", "pressure", 44.8, 47.5, 45.7, 0.1, (t) => -1.1 * step(t, leakAt, 9 * 60_000)],
  ["km-60/flow", "m³/h", "flow", 708, 735, 720, 1.6, (t) => -14.4 * step(t, leakAt, 3 * 60_000)],
  ["km-60/pressure", "bar", "pressure", 40, 46, 42.7, 0.1, (t) => -0.3 * step(t, leakAt, 12 * 60_000)],
  ["v-101/position", "%", "position", 95, 100, 100, 0],
  ["v-102/position", "%", "position", 95, 100, 100, 0],
  ["v-103/position", "%", "position", 95, 100, 100, 0],
  ["v-104/position", "%", "position", 95, 100, 100, 0],
  ["v-105/position", "%", "position", 95, 100, 100, 0],
  ["v-106/position", "%", "position", 95, 100, 100, 0],
  [
    "t-2/level",
    "%",
    "level",
    15,
    90,
    62,
    0.6,
    (t) => 28.4 * step(t, start - 3.6 * HOUR, 3.5 * HOUR) + (t > levelAt ? 0.9 * Math.sin(t / 20_000) : 0),
  ],
];

export const sensors = rows.map(([key, unit, kind, low, high, centre, wobble, extra], index) => {
  const full = `north/${key}`;
  const [own, measure] = key.split("/");
  const asset = `north/${own}`;
  const value = (t) => {
    const at = full === "north/km-30/pressure-b" ? Math.min(t, stuckAt) : t;
    const v =
      centre +
      wobble * (smooth(index + 1, at, 40_000) + smooth(index + 91, at, 9000) * 0.7) +
      (extra ? extra(at) : 0);
    return Math.round(v * 1000) / 1000;
  };
  return { key: full, asset, measure, kind, unit, low, high, value };
});

export const sensorOf = (key) => sensors.find((sensor) => sensor.key === key);

const SECOND = 1000;

export function points(sensor, from, to, most) {
  const out = [];
  for (
    let t = Math.ceil(from / SECOND) * SECOND;
    t < Math.min(to, Date.now()) && out.length < most;
    t += SECOND
  ) {
    // A transmitter that was calibrated for a moment.
    const doubtful = sensor.key.endsWith("km-60/pressure") && Math.abs(t - (leakAt + 300_000)) < 20_000;
    out.push({ at: new Date(t).toISOString(), value: sensor.value(t), quality: doubtful ? "bad" : "good" });
  }
  return { sensor: sensor.key, unit: sensor.unit, truncated: false, points: out };
}

export function buckets(sensor, from, to, count) {
  const width = Math.max(1000, (to - from) / count);
  const out = [];
  for (let t = from; t < Math.min(to, Date.now()); t += width) {
    const v = [0.1, 0.35, 0.6, 0.85].map((f) => sensor.value(t + f * width));
    out.push({
      at: new Date(t).toISOString(),
      count: Math.max(1, Math.round(width / 1000)),
      min: Math.min(...v),
      max: Math.max(...v),
      mean: v.reduce((a, b) => a + b, 0) / v.length,
      first: v[0],
      last: v[3],
    });
  }
  return { sensor: sensor.key, unit: sensor.unit, width_s: width / 1000, buckets: out };
}
