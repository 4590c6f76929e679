// The mock plant's sources, keys, agents and dead letters, as the contract says them.
import { start } from "./plant.mjs";
import { uuid } from "./state.mjs";

const MIN = 60_000;
const iso = (ms) => new Date(ms).toISOString();

function wobble(seed, i) {
  const s = Math.sin(seed * 12.9898 + i * 78.233) * 43758.5453;
  return s - Math.floor(s) - 0.5;
}

const rates = (seed, level, silentFrom = 60) =>
  Array.from({ length: 60 }, (_, i) => (i < silentFrom ? level * (1 + 0.08 * wobble(seed, i)) : 0));

function source(protocol, name, address, level, more = {}) {
  return {
    id: `${protocol}/${name}`,
    name,
    protocol,
    address,
    kind: "connector",
    desired: "running",
    state: "live",
    reconciled: true,
    configured_in: "file",
    readings: Math.round(level * 86_400),
    refused: 0,
    rate_per_s: level,
    rates: rates(name.length + level, level),
    lag_ms: 400,
    backlog: 0,
    reconnects: 0,
    connected_since: iso(start - 86_400_000),
    last_error: null,
    details: [],
    settings: { host: address, port: 1883, username: "plainview", password: "***" },
    version: null,
    // How old its newest reading is; the times of the answer are worked out from it.
    age: 400,
    ...more,
  };
}

export const sources = [
  source("mqtt", "North SCADA", "mqtts://10.4.0.12 north/#", 3902, {
    reconnects: 2,
    details: [
      { name: "subscriptions", value: "3" },
      { name: "in flight", value: "12" },
    ],
  }),
  source("opc_ua", "pump-station", "opc.tcp://10.4.0.20:4840", 620, {
    age: 300,
    configured_in: "api",
    version: 3,
    settings: {
      url: "opc.tcp://10.4.0.20:4840",
      security_policy: "Basic256Sha256",
      username: "plainview",
      password: "***",
      nodes: [{ node: "ns=2;s=P2.Vibration", sensor: "north/p-2/vibration" }],
    },
  }),
  source("modbus_tcp", "Valve RTUs", "6 units, 10.4.2.1–6", 84, { age: 1100, refused: 3 }),
  source("line_protocol", "server-room", "Telegraf on 3 hosts", 240, {
    kind: "agent",
    desired: null,
    configured_in: null,
    settings: null,
    connected_since: null,
    age: 2000,
  }),
  source("sparkplug_b", "cathodic-protection", "spBv1.0/cp", 0, {
    state: "silent",
    rates: rates(5, 21, 56),
    readings: 1_812_300,
    age: 4 * MIN,
    lag_ms: 900,
    last_error: { at: iso(start - 4 * MIN), message: "the node's death came: its tags are stale" },
    details: [
      { name: "rebirths asked", value: "2" },
      { name: "nodes online", value: "0 of 1" },
    ],
  }),
];

export function sourceView({ age, ...rest }) {
  const at = age === null ? null : rest.state === "live" ? Date.now() - age : start - age;
  return {
    ...rest,
    newest_at: at === null ? null : iso(at),
    last_heard_at: at === null ? null : iso(at + (rest.lag_ms ?? 0)),
  };
}

const field = (name, label, kind, more = {}) => ({ name, label, kind, required: false, help: "", ...more });

export const kinds = [
  {
    protocol: "modbus_tcp",
    title: "Modbus TCP",
    fields: [
      field("host", "Host", "text", { required: true, help: "Name or address of the device." }),
      field("port", "Port", "number", { default: 502 }),
      field("unit", "Unit id", "number", { default: 1, help: "1 to 247." }),
      field("poll_s", "Poll every, s", "number", { default: 1 }),
      field("byte_order", "Byte order", "select", {
        default: "ABCD",
        options: ["ABCD", "CDAB", "BADC", "DCBA"],
      }),
      field("registers", "Register map", "json", {
        required: true,
        default: [{ sensor: "north/v-104/position", address: 0, type: "f32", scale: 1 }],
        help: "One entry per sensor: key, address, type, scale.",
      }),
    ],
  },
  {
    protocol: "mqtt",
    title: "MQTT",
    fields: [
      field("host", "Host", "text", { required: true }),
      field("port", "Port", "number", { default: 1883 }),
      field("username", "User", "text"),
      field("password", "Password", "secret"),
      field("topics", "Topics", "json", { required: true, default: ["plant/{site}/{asset}/{measure}"] }),
    ],
  },
  {
    protocol: "opc_ua",
    title: "OPC UA",
    fields: [
      field("url", "Endpoint", "text", { required: true, default: "opc.tcp://" }),
      field("security_policy", "Security policy", "select", {
        default: "Basic256Sha256",
        options: ["None", "Basic256Sha256", "Aes128Sha256RsaOaep"],
      }),
      field("username", "User", "text"),
      field("password", "Password", "secret"),
      field("nodes", "Nodes", "json", { required: true, default: [] }),
    ],
  },
];

export function flow() {
  const live = sources.filter((s) => s.state === "live");
  const all = live.reduce((sum, s) => sum + s.rate_per_s, 0);
  return {
    received_per_s: all,
    refused_per_s: 0.1,
    stored_per_s: all,
    bytes_per_reading: 1.17,
    readers: [
      { name: "anomaly-detection", per_s: all - 1, lag_ms: 6, lag_readings: 12 },
      { name: "leak-guard", per_s: 29, lag_ms: 9, lag_readings: 0 },
      { name: "screens", per_s: 512, lag_ms: 250, lag_readings: 0 },
      { name: "prometheus-api", per_s: 96, lag_ms: null, lag_readings: null },
    ],
  };
}

const agent = (name, title, module, more = {}) => ({
  name,
  title,
  module,
  state: "running",
  consumes: [],
  handled: 18_204,
  failed: 0,
  lag: 0,
  restarts: 0,
  last_error: null,
  last_error_at: null,
  last_active_at: iso(Date.now() - 700),
  ...more,
});

export const agents = () => [
  agent("data-acquisition", "Data acquisition", "telemetry"),
  agent("validation", "Validation", "telemetry"),
  agent("anomaly-detection", "Anomaly detection", "telemetry", { lag: 12 }),
  agent("prediction", "Prediction", "models", { handled: 41 }),
  agent("scheduling", "Scheduling", "maintenance", { handled: 12 }),
  agent("notification", "Notification", "notifications", {
    state: "retrying",
    failed: 3,
    restarts: 1,
    lag: 2,
    last_error: "smtp refused: mailbox full (ravi.nair)",
    last_error_at: iso(start - 312 * MIN),
  }),
  agent("orchestrator", "Orchestrator", "plant", { handled: 96 }),
];

const letter = (id, type, who, error, at) => ({
  id,
  agent: who,
  state: "waiting",
  attempts: 3,
  error,
  dead_at: iso(at),
  settled_at: null,
  settled_reason: null,
  event: {
    specversion: "1.0",
    id: uuid(),
    type,
    source: "plainview",
    subject: "decision/1",
    time: iso(at),
    dataschema: `${type}/1`,
    correlationid: uuid(),
    data: {},
  },
});

export const letters = [
  letter(
    2,
    "decision.submitted",
    "mail",
    "smtp refused after 3 tries: mailbox full (ravi.nair)",
    start - 312 * MIN,
  ),
  letter(1, "detection.made", "webhook", "410 gone from hooks.example/plant", start - 1306 * MIN),
];

let made = 6;
export const keys = [
  ["ines", "operator", 40],
  ["telegraf-hosts", "ingest", 90],
  ["grafana", "viewer", 60],
].map(([name, role, days], i) => ({
  id: `k${i}`,
  name,
  role,
  prefix: `4b60c2a8${i}f31`,
  created_at: iso(start - days * 24 * 60 * MIN),
  expires_at: null,
  last_used_at: iso(start - i * 3 * MIN),
  revoked_at: null,
}));

export function makeKey({ name, role }) {
  made += 1;
  const prefix = `9d1e4b60c2${made}`;
  const key = {
    id: `k${made}`,
    name,
    role,
    prefix,
    created_at: iso(Date.now()),
    expires_at: null,
    last_used_at: null,
    revoked_at: null,
  };
  keys.unshift(key);
  return { ...key, secret: `pv_${prefix}_nFZ1rDqV7o3kU0sXyTb5LwGmHcJ9aE2p` };
}

/** The key of a secret that was made here. */
export const keyOf = (secret) => keys.find((key) => secret?.startsWith(`pv_${key.prefix}_`));

export function addSource({ name, protocol, settings }) {
  const made = source(protocol, name, String(settings.host ?? settings.url ?? ""), 12, {
    configured_in: "api",
    state: "connecting",
    version: 1,
    settings,
    rate_per_s: 0,
    rates: rates(1, 0),
    readings: 0,
    age: null,
    lag_ms: null,
    connected_since: null,
  });
  sources.push(made);
  setTimeout(() => {
    // It may have been stopped before it came so far.
    if (made.desired === "running")
      Object.assign(made, { state: "live", age: 300, lag_ms: 300, rate_per_s: 12 });
  }, 1500);
  return made;
}

/** A sample came through a door: its sender is a source from now on. */
export function heard(protocol, name) {
  const id = `${protocol}/${name}`;
  let own = sources.find((each) => each.id === id);
  if (!own) {
    own = source(protocol, name, "127.0.0.1", 0, {
      kind: "agent",
      desired: null,
      configured_in: null,
      settings: null,
      connected_since: null,
      readings: 0,
      rates: rates(1, 0),
    });
    sources.push(own);
  }
  own.readings += 1;
  own.rate_per_s = 0.1;
  own.age = 0;
  return own;
}
