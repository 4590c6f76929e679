// One place that knows how the browser is started and how the pages are called.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

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

export function launch() {
  const executablePath = CANDIDATES.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error("no Chromium found: install the package chromium or set CHROMIUM");
  return chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
}

export async function newPage(browser, { size = "desk", scheme = "light", reducedMotion = "reduce" } = {}) {
  const context = await browser.newContext({
    viewport: SIZES[size],
    colorScheme: scheme,
    reducedMotion,
    hasTouch: size === "phone",
    isMobile: size === "phone",
    locale: "en-GB",
  });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  return { page, context, errors };
}

export async function open(page, base, path, key) {
  const hash = key ? `#key=${encodeURIComponent(key)}` : "";
  await page.goto(`${base}/app${path}${hash}`, { waitUntil: "domcontentloaded" });
  await page.waitForSelector("h1");
  await settled(page);
}

/** Nothing is loading any more and every picture has been drawn. */
export async function settled(page) {
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

export async function read(base, path, key) {
  const response = await fetch(`${base}/api/v1${path}`, { headers: key ? { "X-API-Key": key } : {} });
  if (!response.ok) throw new Error(`GET ${path} answered ${response.status}`);
  return response.json();
}

/** The pages of the app that exist on this server, with the state that fills them. */
export async function pagesOf(base, key) {
  const incidents = (await read(base, "/incidents?limit=100", key)).items;
  const decisions = (await read(base, "/decisions?limit=100", key)).items;
  const sensors = (await read(base, "/sensors/sensors?limit=500", key)).items;
  const waiting = decisions.find((d) => d.state === "waiting") ?? decisions[0];
  const wanted = ["north/km-00/flow", "north/km-60/flow", "north/km-60/pressure", "north/p-2/vibration"];
  const known = new Set(sensors.map((s) => s.key));
  const chosen = wanted.filter((key_) => known.has(key_));
  if (chosen.length === 0) chosen.push(...sensors.slice(0, 3).map((s) => s.key));
  const pages = [
    ["overview", "/"],
    ["alarms", "/alarms"],
    ["incidents", "/alarms?view=incidents"],
    ["decisions", waiting ? `/decisions?decision=${waiting.decision_id}` : "/decisions"],
    ["workbench", `/workbench?range=1h&s=${encodeURIComponent(chosen.join(","))}`],
    ["golden-path", "/workbench?tab=golden"],
  ];
  const incident = [...incidents].sort((a, b) => a.priority - b.priority)[0];
  if (incident) pages.push(["incident", `/incidents/${incident.incident_id}`]);
  return pages;
}

export function argument(name, fallback) {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1];
}
