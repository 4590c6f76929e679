// One place that knows how the browser is started, how the pages are called and how the server is asked.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before } from "node:test";
import { chromium } from "playwright-core";

export const base = process.env.E2E_BASE;
export const key = process.env.E2E_KEY;
export const isMock = process.env.E2E_MOCK === "1";
/** How long anything may take before a test gives up on it. */
export const PATIENCE_MS = 30_000;
const POLL_MS = 100;

const CANDIDATES = [
  process.env.CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];

export const SIZES = {
  desk: { width: 1440, height: 900 },
  phone: { width: 390, height: 844 },
};

let browser;
/** How many answers of the API each page still waits for. */
const waiting = new WeakMap();
const isCall = (request) => new URL(request.url()).pathname.startsWith("/api/");

function countCalls(page) {
  waiting.set(page, 0);
  const count = (by) => (request) => isCall(request) && waiting.set(page, waiting.get(page) + by);
  page.on("request", count(1));
  page.on("requestfinished", count(-1));
  page.on("requestfailed", count(-1));
}

/** Every test file calls this once: one browser for all its tests. */
export function shareBrowser() {
  before(async () => {
    const executablePath = CANDIDATES.find((path) => path && existsSync(path));
    if (!executablePath) throw new Error("no Chromium found: install the package chromium or set CHROMIUM");
    browser = await chromium.launch({
      executablePath,
      // It talks to the pages alone, to nobody on its own account.
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
  });
  after(() => browser?.close());
}

/** How the server says that it is not well. */
const UNWELL = {
  status: 500,
  contentType: "application/problem+json",
  body: JSON.stringify({ type: "/docs/errors/internal", title: "Something went wrong here", status: 500 }),
};

/**
 * Runs `act` with a page of its own and fails when the page wrote an error or a request of it failed.
 * What `failing` matches is answered with an error, until `act` calls `heal`; what `refused` matches the server
 * may refuse.
 */
export async function withPage({ size = "desk", scheme = "light", timezoneId, failing, refused }, act) {
  const context = await browser.newContext({
    viewport: SIZES[size],
    colorScheme: scheme,
    reducedMotion: "reduce",
    hasTouch: size === "phone",
    isMobile: size === "phone",
    locale: "en-GB",
    timezoneId,
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  countCalls(page);
  const wrong = [];
  const meant = (url) => [failing, refused].some((each) => each?.test(url));
  if (failing) await page.route(failing, (route) => route.fulfill(UNWELL));
  const heal = () => page.unroute(failing);
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !meant(message.location().url))
      wrong.push(`${message.text()} ${message.location().url}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400 && !meant(response.url()))
      wrong.push(`${response.status()} ${response.url()}`);
  });
  try {
    await act(page, heal);
    assert.deepEqual(wrong, [], "nothing is written to the console, no request fails");
  } catch (error) {
    // What the page showed is half of the explanation.
    const shown = await page.locator("body").innerText({ timeout: 2_000 }).catch(String);
    console.error(`${page.url()}\n${wrong.join("\n")}\n${shown}`);
    throw error;
  } finally {
    await context.close();
  }
}

export async function open(page, path, ownKey = key) {
  const hash = ownKey ? `#key=${encodeURIComponent(ownKey)}` : "";
  await page.goto(`${base}/app${path}${hash}`, { waitUntil: "domcontentloaded" });
  await page.waitForSelector("h1");
  await settled(page);
}

/** Waits until the address is as wanted. */
export const arrive = (page, fits) => page.waitForURL((url) => fits(url));

/** Every answer is there, nothing is loading any more and every picture has been drawn. */
export async function settled(page) {
  await until("the answers of the API", () => waiting.get(page) === 0);
  await page.waitForFunction(
    () =>
      document.querySelector("h1") !== null &&
      document.querySelector(".loading") === null &&
      document.querySelector("[data-busy=true]") === null,
    undefined,
    { timeout: 20_000 },
  );
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

async function ask(path, init = {}) {
  const headers = { "X-API-Key": key, ...(init.body ? { "Content-Type": "application/json" } : {}) };
  const response = await fetch(`${base}/api/v1${path}`, { ...init, headers });
  if (!response.ok) throw new Error(`${init.method ?? "GET"} ${path} answered ${response.status}`);
  return response.json();
}

export const read = (path) => ask(path);
export const write = (path, body = {}, method = "POST") => ask(path, { method, body: JSON.stringify(body) });
export const list = async (path) => (await read(`${path}${path.includes("?") ? "&" : "?"}limit=500`)).items;

/** Asks until there is an answer. */
export async function until(what, question, patience = PATIENCE_MS) {
  const end = Date.now() + patience;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`${what}: not within ${patience / 1000} s`);
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

const UNSEEN = ["unacknowledged", "returned_unacknowledged"];
export const unseen = (alert) => UNSEEN.includes(alert.state);
export const stands = (alert) => unseen(alert) || alert.state === "acknowledged";

/**
 * An alarm that `fits`, made by a fault of `sensor`: the plant's own alarms come and go while a test
 * looks at them. The mock plant plays no faults; there any alarm does.
 */
export async function alarm(fits, sensor) {
  const wanted = (one) => (isMock || one.sensor === sensor) && fits(one);
  const find = async () => (await list("/alerts")).find(wanted);
  const known = await find();
  if (known) return known;
  await write("/simulate/anomaly-event", { sensor });
  return until(`an alarm of ${sensor}`, find);
}

/** The alarm as it was when somebody acknowledged it: a fault that grows worse rings again at once. */
export async function acknowledged(id) {
  if (isMock) return read(`/alerts/${id}`);
  const told = await list(`/events?types=alert.acknowledged&subject=alert/${id}`);
  return told[0]?.data;
}

const HOUR_MS = 3_600_000;
const ago = (hours) => new Date(Date.now() - hours * HOUR_MS).toISOString();

/** A finding of a process model; when there is none, a model is learned from the plant's past and disturbed. */
export async function processFinding() {
  const find = async () => (await list("/anomalies")).find((anomaly) => anomaly.rule === "process");
  const known = await find();
  if (known) return known;
  await write("/assets/north/km-60/model", { fit: { from: ago(4), to: ago(1) } }, "PUT");
  await write("/simulate/anomaly-event", { sensor: "north/km-60/pressure" });
  return until("a finding of the model", find, 2 * PATIENCE_MS);
}

/** A decision that waits for a person, made by a golden path when there is none. */
export async function waitingDecision() {
  const find = async () => (await list("/decisions")).find((decision) => decision.state === "waiting");
  const known = await find();
  if (known) return known;
  await write("/demo/golden-path?target_anomaly_rate=0.3");
  return until("a decision that waits", find);
}

/** The pages of the app, with the state that fills them. */
export async function pagesOf() {
  const decision = await waitingDecision();
  const known = new Set((await list("/sensors/sensors")).map((sensor) => sensor.key));
  const chosen = ["north/km-00/flow", "north/km-60/flow", "north/km-60/pressure", "north/p-2/vibration"];
  for (const sensor of chosen) assert.ok(known.has(sensor), `the simulated plant has ${sensor}`);
  const incidents = await until("an incident", async () => {
    const items = await list("/incidents");
    return items.length > 0 && items;
  });
  const incident = incidents.sort((a, b) => b.alerts.length - a.alerts.length || a.number - b.number)[0];
  return [
    ["overview", "/"],
    ["alarms", "/alarms"],
    ["incidents", "/alarms?view=incidents"],
    ["incident", `/incidents/${incident.incident_id}`],
    ["decisions", `/decisions?decision=${decision.decision_id}`],
    ["workbench", `/workbench?range=1h&s=${encodeURIComponent(chosen.join(","))}`],
    ["one-plot", `/workbench?range=1h&l=together&s=${encodeURIComponent(chosen.join(","))}`],
    ["normalised", `/workbench?range=1h&l=share&s=${encodeURIComponent(chosen.join(","))}`],
    ["golden-path", "/workbench?tab=golden"],
    ["connect", "/connect"],
  ];
}
