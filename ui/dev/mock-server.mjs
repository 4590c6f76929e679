// Serves dist/ and the shapes of the HTTP contract with a believable plant, for work on the UI alone.
// Not shipped and no reference for behaviour: the server is. Options: --port N --dist DIR --empty --mute
import { readFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { finishRun, newRun, runs } from "./golden.mjs";
import { buckets, points, sensorOf, sensors, stuckAt } from "./plant.mjs";
import * as feed from "./sources.mjs";
import * as state from "./state.mjs";
import * as system from "./system.mjs";

const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : (process.argv[at + 1] ?? fallback);
};
const flag = (name) => process.argv.includes(`--${name}`);
const dist = path.resolve(option("dist", "dist"));
const KEY = option("key", "dev-key");
const empty = flag("empty");
const mute = flag("mute");
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};
const CSP =
  "default-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const iso = (ms) => new Date(ms).toISOString();
const now = () => iso(Date.now());

const streams = new Set();
let offset = 100;

function say(type, subject, data, ephemeral = false) {
  offset += 1;
  const event = {
    specversion: "1.0",
    id: state.uuid(),
    type,
    source: "plainview/mock",
    subject,
    time: now(),
    dataschema: `${type}/1`,
    correlationid: state.uuid(),
    data,
  };
  const text = `event: ${type}\n${ephemeral ? "" : `id: ${offset}\n`}data: ${JSON.stringify(event)}\n\n`;
  for (const stream of streams) stream.write(text);
}

if (!mute && !empty) {
  setInterval(() => {
    const at = now();
    const values = sensors
      .filter((s) => s.key !== "north/km-30/pressure-b")
      .map((s) => ({ sensor: s.key, at, value: s.value(Date.now()), quality: "good", score: 0.1 }));
    say("telemetry.tick", "telemetry", { at, values }, true);
    const heard = { at, sources: feed.sources.map(feed.sourceView), removed: [], flow: feed.flow() };
    say("source.tick", "sources", heard, true);
  }, 1000).unref();
}
if (!mute) {
  setInterval(() => {
    for (const stream of streams) stream.write(": heartbeat\n\n");
  }, 10_000).unref();
}

const page = (items) => ({ items: empty ? [] : items });

function sensorView(s) {
  const stuck = s.key === "north/km-30/pressure-b";
  const anomaly = state.anomalies.find((a) => a.sensor === s.key && a.state === "active");
  return {
    key: s.key,
    site: "north",
    asset: s.asset,
    measure: s.measure,
    kind: s.kind,
    unit: s.unit,
    expected_low: s.low,
    expected_high: s.high,
    rate_max_per_s: null,
    interval_s: 1,
    trust: stuck ? "stuck" : "trusted",
    trust_reason: stuck ? "no change in 3 h" : null,
    trust_since: stuck ? iso(stuckAt) : null,
    origin: "simulated",
    metadata: {},
    quarantined: s.madeAt !== undefined,
    version: 1,
    created_at: s.madeAt ?? iso(Date.now() - 86_400_000),
    latest: {
      at: stuck ? state.alerts.find((a) => a.sensor === s.key).raised_at : now(),
      value: s.value(Date.now()),
      quality: stuck ? "bad" : "good",
      received_at: now(),
    },
    anomaly: anomaly
      ? { score: anomaly.score, severity: anomaly.severity, since: anomaly.started_at, rule: anomaly.rule }
      : null,
  };
}

class Refusal extends Error {
  constructor(status, code, title, detail, errors = []) {
    super(title);
    this.body = { type: `/docs/errors/${code}`, title, status, detail, errors };
  }
}

const need = (found) => {
  if (!found) throw new Refusal(404, "not-found", "This does not exist");
  return found;
};

function change(list, idName, id, verb, patch) {
  const entity = need(list.find((each) => each[idName] === id));
  Object.assign(entity, patch);
  say(verb, `${idName.replace("_id", "")}/${id}`, entity);
  return entity;
}

function reason(text) {
  if (!text || !String(text).trim()) {
    throw new Refusal(422, "reason-missing", "A reason is missing", "Say in a few words why.", [
      { field: "reason", reason: "must not be empty" },
    ]);
  }
}

function submit(body, who) {
  const decision = need(state.decisions.find((d) => d.decision_id === body.decision_id));
  if (decision.state !== "waiting") {
    throw new Refusal(
      409,
      "decision-settled",
      "Somebody has answered already",
      `${decision.answered_by ?? "Nobody"} answered: ${decision.state}.`,
    );
  }
  reason(body.reason);
  const to = { approve: "approved", reject: "rejected", defer: "deferred" }[body.decision];
  change(state.decisions, "decision_id", body.decision_id, "decision.submitted", {
    state: to,
    answered_by: who,
    answered_at: now(),
    reason: body.reason,
    deferred_until: body.deferred_until ?? null,
  });
  if (to === "approved") setTimeout(() => schedule(decision, body.starts_at), 600);
  const run = runs.find((r) => r.decision_id === decision.decision_id);
  if (run) finishRun(run, to, say);
  return decision;
}

function schedule(decision, startsAt) {
  const starts = Date.parse(startsAt ?? decision.proposal.due_from);
  const order = {
    work_id: state.uuid(),
    number: 642 + state.works.length,
    decision_id: decision.decision_id,
    asset: decision.asset,
    sensor: decision.sensor,
    title: decision.proposal.action,
    state: "scheduled",
    priority: 2,
    starts_at: iso(starts),
    ends_at: iso(starts + decision.proposal.duration_h * 3_600_000),
    assignee: "ravi",
    skill: decision.proposal.skill,
    severity: decision.severity,
    completion: null,
    created_at: now(),
    approved_by: decision.answered_by,
    reason: decision.reason,
    origin: "simulated",
  };
  state.works.unshift(order);
  say("maintenance.scheduled", `work/${order.work_id}`, order);
  const told = {
    notification_id: state.uuid(),
    channel: "email",
    to: "ravi@north.example",
    title: `W-${order.number} on the calendar`,
    body: order.title,
    about: null,
    state: "sent",
    attempts: 1,
    error: null,
    created_at: now(),
    sent_at: now(),
  };
  state.notifications.unshift(told);
  say("notification.sent", `notification/${told.notification_id}`, told);
}

function readings(query, response) {
  const keys = query.getAll("sensor");
  const from = Date.parse(query.get("from"));
  const to = Date.parse(query.get("to"));
  const count = Math.min(4000, Number(query.get("buckets") ?? 300));
  const series = query.has("buckets")
    ? keys.map((key) => buckets(need(sensorOf(key)), from, to, count))
    : keys.map((key) => points(need(sensorOf(key)), from, to, Number(query.get("limit") ?? 10_000)));
  if (query.get("format") === "arrow") {
    response.writeHead(200, { "content-type": "application/vnd.apache.arrow.stream" });
    response.end(Buffer.from([0xff, 0xff, 0xff, 0xff]));
    return null;
  }
  if (query.get("format") !== "csv") return { series };
  const lines = series.flatMap((s) => s.points.map((p) => `${s.sensor},${p.at},${p.value}`));
  response.writeHead(200, { "content-type": "text/csv" });
  response.end(`sensor,at,value\n${lines.join("\n")}\n`);
  return null;
}

function changepoints(query) {
  const wanted = (name, fits) => !query.has(name) || fits(query.get(name));
  return state.changepoints.filter(
    (each) =>
      wanted("sensor", (sensor) => each.sensor === sensor) &&
      wanted("asset", (asset) => each.asset === asset) &&
      wanted("from", (from) => Date.parse(each.changed_at) >= Date.parse(from)) &&
      wanted("to", (to) => Date.parse(each.changed_at) < Date.parse(to)),
  );
}

const decode = decodeURIComponent;

const sourceOf = (protocol, name) => need(feed.sources.find((each) => each.id === `${protocol}/${name}`));

function steer(protocol, name, desired) {
  const own = sourceOf(protocol, name);
  Object.assign(own, { desired, reconciled: false });
  setTimeout(() => {
    // Whoever was told otherwise meanwhile stays so.
    if (own.desired !== desired) return;
    const live = desired === "running";
    Object.assign(own, { reconciled: true, state: live ? "live" : "stopped", rate_per_s: live ? 84 : 0 });
  }, 1200);
  return feed.sourceView(own);
}

function settle(id, to, why) {
  const letter = need(feed.letters.find((each) => String(each.id) === id));
  return Object.assign(letter, { state: to, settled_at: now(), settled_reason: why });
}

/** Learning takes a moment, and two minutes are not enough for it. */
async function learn(asset, body) {
  const span = (Date.parse(body.fit.to) - Date.parse(body.fit.from)) / 1000;
  const rows = Math.floor(span / (body.interval_s ?? 1));
  if (span < 120)
    throw new Refusal(422, "process-model-unfit", "No model can be made of this", null, [
      { field: "fit", reason: `${rows} complete rows to fit on; at least 30 are needed` },
    ]);
  await new Promise((done) => setTimeout(done, 1200));
  const still = body.sensors.filter((key) => sensorOf(key)?.low === 95);
  return system.learn(asset, body, still);
}

/** A line of the line protocol, as far as a first sample needs it. */
async function write(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const line = Buffer.concat(chunks).toString().trim();
  const key = feed.keyOf(/Token (.+)/.exec(request.headers.authorization ?? "")?.[1]);
  if (!key) return sendJson(response, 401, { title: "This needs a key", status: 401 });
  const [series, values] = line.split(" ");
  const [measure, ...tags] = series.split(",");
  const tag = Object.fromEntries(tags.map((each) => each.split("=")));
  const value = Number(values.split("=")[1]);
  const own = `${tag.site ?? "default"}/${tag.asset ?? measure}/${measure}`;
  if (!sensorOf(own)) {
    const [, asset] = own.split("/");
    sensors.push({
      key: own,
      asset: `${tag.site}/${asset}`,
      measure,
      kind: "other",
      unit: tag.unit ?? null,
      low: null,
      high: null,
      value: () => value,
      madeAt: now(),
    });
  }
  feed.heard("line_protocol", key.name);
  return response.writeHead(204).end();
}

const routes = [
  [
    "GET",
    /^\/me$/,
    (_m, c) => ({
      name: c.who ?? "anonymous",
      role: c.who ? option("role", "admin") : null,
      environment: "development",
      version: "0.1.0",
    }),
  ],
  [
    "GET",
    /^\/sensors\/sensors$/,
    (_m, c) => page(sensors.filter((s) => s.key.includes(c.query.get("q") ?? "")).map(sensorView)),
  ],
  ["GET", /^\/sensors\/readings$/, (_m, c) => readings(c.query, c.response)],
  [
    "GET",
    /^\/sensors\/([^/]+\/.+)$/,
    (m, c) => {
      c.response.setHeader("etag", '"1"');
      return sensorView(need(sensorOf(m[1])));
    },
  ],
  [
    "PUT",
    /^\/sensors\/([^/]+\/.+)$/,
    (m, c) => {
      const sensor = need(sensorOf(m[1]));
      const { unit, kind, expected_low: low, expected_high: high } = c.body;
      return sensorView(Object.assign(sensor, { unit, kind, low, high }));
    },
  ],
  [
    "GET",
    /^\/sources$/,
    () =>
      empty
        ? {
            sources: [],
            flow: {
              received_per_s: 0,
              refused_per_s: 0,
              stored_per_s: 0,
              bytes_per_reading: null,
              readers: [],
            },
          }
        : { sources: feed.sources.map(feed.sourceView), flow: feed.flow() },
  ],
  ["GET", /^\/sources\/kinds$/, () => ({ kinds: feed.kinds })],
  [
    "POST",
    /^\/sources$/,
    (_m, c) => {
      const kind = need(feed.kinds.find((each) => each.protocol === c.body.protocol));
      const missing = kind.fields.filter((f) => f.required && !c.body.settings[f.name]);
      if (missing.length > 0)
        throw new Refusal(
          422,
          "fields-invalid",
          "The settings are not complete",
          null,
          missing.map((f) => ({ field: `settings.${f.name}`, reason: "must not be empty" })),
        );
      return feed.sourceView(feed.addSource(c.body));
    },
  ],
  ["GET", /^\/sources\/([^/]+)\/([^/]+)$/, (m) => feed.sourceView(sourceOf(m[1], m[2]))],
  [
    "PUT",
    /^\/sources\/([^/]+)\/([^/]+)$/,
    (m, c) => {
      const own = sourceOf(m[1], m[2]);
      return feed.sourceView(Object.assign(own, { settings: c.body.settings, version: own.version + 1 }));
    },
  ],
  ["POST", /^\/sources\/([^/]+)\/([^/]+)\/start$/, (m) => steer(m[1], m[2], "running")],
  ["POST", /^\/sources\/([^/]+)\/([^/]+)\/stop$/, (m) => steer(m[1], m[2], "stopped")],
  [
    "DELETE",
    /^\/sources\/([^/]+)\/([^/]+)$/,
    (m) => {
      feed.sources.splice(feed.sources.indexOf(sourceOf(m[1], m[2])), 1);
      return {};
    },
  ],
  ["GET", /^\/agents$/, () => page(feed.agents())],
  ["GET", /^\/dead-letters$/, () => page(feed.letters)],
  ["POST", /^\/dead-letters\/([^/]+)\/replay$/, (m) => settle(m[1], "replayed", null)],
  ["POST", /^\/dead-letters\/([^/]+)\/discard$/, (m, c) => settle(m[1], "discarded", c.body.reason)],
  ["GET", /^\/keys$/, () => page(feed.keys)],
  ["POST", /^\/keys$/, (_m, c) => feed.makeKey(c.body)],
  [
    "DELETE",
    /^\/keys\/([^/]+)$/,
    (m) => Object.assign(need(feed.keys.find((each) => each.id === m[1])), { revoked_at: now() }),
  ],
  ["GET", /^\/assets\/models$/, () => ({ models: empty ? [] : system.models() })],
  ["GET", /^\/assets\/([^/]+\/[^/]+)\/model$/, (m) => need(system.model(m[1]))],
  ["PUT", /^\/assets\/([^/]+\/[^/]+)\/model$/, (m, c) => learn(m[1], c.body)],
  ["POST", /^\/assets\/([^/]+\/[^/]+)\/model\/accept$/, (m, c) => system.accept(m[1], c.body.version)],
  [
    "POST",
    /^\/assets\/([^/]+\/[^/]+)\/model\/reject$/,
    (m, c) => {
      reason(c.body.reason);
      return system.reject(m[1], c.body.version, { reason: c.body.reason, at: now(), by: c.who });
    },
  ],
  ["GET", /^\/anomalies$/, () => page(state.anomalies)],
  ["GET", /^\/changepoints$/, (_m, c) => page(changepoints(c.query))],
  [
    "GET",
    /^\/anomalies\/([^/]+)\/explain$/,
    (m) => {
      const anomaly = need(state.anomalies.find((a) => a.anomaly_id === m[1]));
      if (!anomaly.process) return state.explained(anomaly);
      const at = Date.parse(anomaly.started_at);
      const rows = Array.from({ length: 60 }, (_, i) => ({
        row_at: iso(at - (50 - i) * 10_000),
        score: i < 48 ? 0.2 + 0.1 * Math.sin(i) : Math.min(0.95, 0.2 + (i - 47) * 0.08),
        alarm: i > 52,
        held: false,
      }));
      return { anomaly, same: true, again: anomaly, rows };
    },
  ],
  ["GET", /^\/alerts$/, () => page(state.alerts)],
  [
    "GET",
    /^\/alerts\/quality$/,
    () =>
      empty
        ? {
            ...system.quality(),
            last_10_min: 0,
            mean_per_10_min: 0,
            chattering: [],
            stale: 0,
            per_10_min: [],
            by_priority: {},
            top: [],
          }
        : system.quality(),
  ],
  ["GET", /^\/alerts\/([^/]+)$/, (m) => need(state.alerts.find((a) => a.alert_id === m[1]))],
  [
    "POST",
    /^\/alerts\/([^/]+)\/acknowledge$/,
    (m, c) =>
      change(state.alerts, "alert_id", m[1], "alert.acknowledged", {
        state: "acknowledged",
        acknowledged_by: c.who,
        acknowledged_at: now(),
      }),
  ],
  [
    "POST",
    /^\/alerts\/([^/]+)\/shelve$/,
    (m, c) => {
      reason(c.body.reason);
      return change(state.alerts, "alert_id", m[1], "alert.shelved", {
        state: "shelved",
        shelved_until: c.body.until,
        shelve_reason: c.body.reason,
      });
    },
  ],
  [
    "POST",
    /^\/alerts\/([^/]+)\/unshelve$/,
    (m) =>
      change(state.alerts, "alert_id", m[1], "alert.acknowledged", {
        state: "acknowledged",
        shelved_until: null,
      }),
  ],
  [
    "POST",
    /^\/alerts\/([^/]+)\/resolve$/,
    (m, c) => {
      reason(c.body.resolution);
      return change(state.alerts, "alert_id", m[1], "alert.resolved", {
        state: "normal",
        active: false,
        resolved_by: c.who,
        resolved_at: now(),
        resolution: c.body.resolution,
      });
    },
  ],
  ["GET", /^\/incidents$/, () => page(state.incidents)],
  [
    "GET",
    /^\/incidents\/([^/]+)$/,
    (m, c) => {
      const incident = need(state.incidents.find((i) => i.incident_id === m[1]));
      c.response.setHeader("etag", `"${incident.updated_at}"`);
      return {
        ...incident,
        alerts: state.alerts.filter((a) => incident.alerts.includes(a.alert_id)),
        timeline: state.timeline(incident),
      };
    },
  ],
  [
    "POST",
    /^\/incidents\/([^/]+)\/update$/,
    (m, c) => {
      const { dismissal, note, ...patch } = c.body;
      if (dismissal) Object.assign(patch, { state: "dismissed", dismissal: { ...dismissal, by: c.who } });
      return change(state.incidents, "incident_id", m[1], "incident.updated", {
        ...patch,
        updated_at: now(),
      });
    },
  ],
  ["GET", /^\/predictions$/, () => page(state.predictions)],
  ["GET", /^\/decisions$/, () => page(state.decisions)],
  ["GET", /^\/decisions\/([^/]+)$/, (m) => need(state.decisions.find((d) => d.decision_id === m[1]))],
  ["POST", /^\/decisions\/submit$/, (_m, c) => submit(c.body, c.who)],
  ["GET", /^\/maintenance\/scheduled$/, () => page(state.works)],
  [
    "POST",
    /^\/maintenance\/([^/]+)\/complete$/,
    (m, c) =>
      change(state.works, "work_id", m[1], "maintenance.completed", {
        state: "completed",
        completion: {
          failure_mode: null,
          failure_mechanism: null,
          failure_cause: null,
          ...c.body,
          completed_at: now(),
          completed_by: c.who,
        },
      }),
  ],
  ["GET", /^\/notifications$/, () => page(state.notifications)],
  ["GET", /^\/demo\/golden-path$/, () => page(runs)],
  [
    "POST",
    /^\/demo\/golden-path$/,
    () => {
      const run = newRun(say);
      return {
        correlation_id: run.correlation_id,
        status_url: `/api/v1/demo/golden-path/status/${run.correlation_id}`,
        sensor: run.sensor,
      };
    },
  ],
  ["GET", /^\/demo\/golden-path\/status\/([^/]+)$/, (m) => need(runs.find((r) => r.correlation_id === m[1]))],
];

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : {};
}

function sendJson(response, status, value, type = "application/json") {
  response.writeHead(status, { "content-type": type, "x-request-id": state.uuid() });
  response.end(JSON.stringify(value));
}

async function api(request, response, url) {
  const rest = url.pathname.slice("/api/v1".length);
  const route = routes.find(([method, pattern]) => method === request.method && pattern.test(rest));
  const who = request.headers["x-api-key"] === KEY ? "ines" : null;
  try {
    if (request.headers["x-api-key"] && !who)
      throw new Refusal(401, "key-unknown", "Plainview does not know this key");
    if (!route) throw new Refusal(404, "not-found", "There is nothing at this address");
    if (request.method !== "GET" && !who) throw new Refusal(401, "key-missing", "This needs a key");
    const body = request.method === "GET" ? null : await bodyOf(request);
    const match = route[1].exec(rest).map((part) => (part === undefined ? part : decode(part)));
    const answer = await route[2](match, { query: url.searchParams, body, who, response });
    if (answer !== null) sendJson(response, 200, answer);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const id = state.uuid();
    sendJson(response, error.body.status, { ...error.body, request_id: id }, "application/problem+json");
  }
}

function events(response) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.write(`retry: 2000\nid: ${offset}\n\n`);
  streams.add(response);
  response.on("close", () => streams.delete(response));
}

async function file(response, url) {
  const rest = url.pathname.replace(/^\/app\/?/, "");
  const wanted = path.join(dist, path.normalize(rest));
  const name = path.extname(rest) && wanted.startsWith(dist) ? wanted : path.join(dist, "index.html");
  try {
    const content = await readFile(name);
    response.writeHead(200, {
      "content-type": TYPES[path.extname(name)] ?? "application/octet-stream",
      "content-security-policy": CSP,
    });
    response.end(content);
  } catch {
    response.writeHead(404).end();
  }
}

const server = http.createServer((request, response) => {
  const url = new URL(request.url, "http://localhost");
  const handled = url.pathname.startsWith("/api/v1/")
    ? api(request, response, url)
    : url.pathname === "/api/v2/write"
      ? write(request, response)
      : url.pathname === "/health"
        ? sendJson(response, 200, system.health())
        : url.pathname === "/metrics"
          ? response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end(system.metrics())
          : url.pathname === "/events"
            ? events(response)
            : url.pathname === "/"
              ? response.writeHead(302, { location: "/app/" }).end()
              : file(response, url);
  Promise.resolve(handled).catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    if (!response.headersSent)
      sendJson(response, 500, {
        type: "/docs/errors/internal",
        title: "Something went wrong here",
        status: 500,
      });
  });
});

server.listen(Number(option("port", "4100")), "127.0.0.1", () => {
  process.stdout.write(`http://127.0.0.1:${server.address().port}/app/#key=${KEY}\n`);
});
