// The README's pictures: one fault has gone through the whole chain, one decision waits, then a line leaks.
import assert from "node:assert/strict";
import { mkdir, stat } from "node:fs/promises";
import path from "node:path";
import { before, it } from "node:test";
import {
  base,
  list,
  open,
  pagesOf,
  read,
  settled,
  shareBrowser,
  until,
  waitingDecision,
  withPage,
  write,
} from "./browser.mjs";

const folder = process.env.E2E_PICTURES;
const MOST_BYTES = 400_000;
/** A page that shows nothing is far smaller. */
const LEAST_BYTES = 20_000;
const LEAK = { kind: "leak", magnitude: 0.12 };
const LEAK_ALARMS = 5;
/** The alarms of one cause come within moments of each other; then the pages hold still. */
const QUIET_MS = 10_000;
const LEAK_PATIENCE_MS = 120_000;

/** The leak is young; over longer ranges it would be a dot at the right end. */
const RANGE = "range=15m";

shareBrowser();

/** A fault from its first reading to the verdict of the person who looked. */
async function closedFault() {
  const { correlation_id: id } = await write("/demo/golden-path?target_anomaly_rate=0.3");
  const run = () => read(`/demo/golden-path/status/${id}`);
  const decision = await until("the run asks", async () => (await run()).decision_id);
  const reason = "Agreed, the trend is clear.";
  await write("/decisions/submit", { decision_id: decision, decision: "approve", reason });
  await until("the run is complete", async () => (await run()).overall_status === "completed");
  const work = (await list("/maintenance/scheduled")).find((each) => each.decision_id === decision);
  await write(`/maintenance/${work.work_id}/complete`, {
    verdict: "confirmed",
    failure_mode: "vibration",
    failure_mechanism: "misalignment",
    failure_cause: "installation",
    notes: "Coupling realigned.",
  });
}

async function leak() {
  await write("/simulate/scenarios", LEAK);
  const alarms = await until(
    "the alarms of the leak",
    async () => {
      const active = (await list("/alerts")).filter((alert) => alert.active);
      const newest = Math.max(...active.map((alert) => Date.parse(alert.raised_at)));
      return active.length >= LEAK_ALARMS && Date.now() - newest > QUIET_MS && active;
    },
    LEAK_PATIENCE_MS,
  );
  const first = alarms.toSorted((a, b) => a.raised_at.localeCompare(b.raised_at))[0];
  await write(`/alerts/${first.alert_id}/acknowledge`, { note: "Looking at it." });
}

/** Takes the page at `address` once `proof` is on it. */
async function picture(name, address, proof, { size = "desk", scheme = "light" } = {}) {
  const file = path.join(folder, `${name}-${scheme}.png`);
  await withPage({ size, scheme }, async (page) => {
    await open(page, address);
    await page.locator(proof).first().waitFor({ state: "attached" });
    await settled(page);
    await page.evaluate(() => document.fonts.ready);
    await page.screenshot({ path: file });
  });
  const { size: bytes } = await stat(file);
  assert.ok(bytes > LEAST_BYTES && bytes < MOST_BYTES, `${file} has ${bytes} bytes`);
}

before(async () => {
  assert.ok(folder, "--pictures says where they go");
  await mkdir(folder, { recursive: true });
});

it("a fault that went the whole way, and a decision that waits", async () => {
  const { decision_id: decision } = await waitingDecision();
  await closedFault();
  await picture("golden-path", "/workbench?tab=golden", "[data-step=notify][data-status=done]");
  await picture("decisions", `/decisions?decision=${decision}`, "#decision svg .limit");
});

/** Two agents at our doors and a connector whose other end is away: what Connect & admin is for. */
const AGENTS = { telegraf: 40, historian: 12 };
const FEED_MS = 14_000;
const FEED_EVERY_MS = 250;

async function agents() {
  const secrets = {};
  for (const name of Object.keys(AGENTS))
    secrets[name] = (await write("/keys", { name, role: "ingest" })).secret;
  await write("/sources", {
    name: "cathodic-protection",
    protocol: "modbus_tcp",
    settings: {
      host: "127.0.0.1",
      port: 9,
      registers: [{ sensor: "north/cp-1/voltage", address: 0, type: "f32", unit_of_measure: "V" }],
    },
  });
  const send = async (path, name, body, more = {}) => {
    const headers = { Authorization: `Token ${secrets[name]}`, ...more };
    const answer = await fetch(`${base}${path}`, { method: "POST", headers, body });
    assert.ok(answer.ok, `${path} answered ${answer.status}: ${await answer.text()}`);
  };
  const value = (i) => (20 + Math.sin(Date.now() / 9000 + i) + i).toFixed(2);
  const many = (count) => Array.from({ length: count }, (_, i) => i);
  for (const end = Date.now() + FEED_MS; Date.now() < end; ) {
    const lines = many(AGENTS.telegraf).map(
      (i) => `temperature,site=north,asset=room-${i + 1} value=${value(i)}`,
    );
    await send("/api/v2/write", "telegraf", lines.join("\n"));
    const rows = many(AGENTS.historian).map((i) => ({
      sensor: `north/scale-${i + 1}/load`,
      value: Number(value(i)),
    }));
    await send("/api/v1/data/ingest", "historian", JSON.stringify(rows), {
      "Content-Type": "application/json",
    });
    await new Promise((done) => setTimeout(done, FEED_EVERY_MS));
  }
}

it("a leak", async () => {
  await leak();
  const pages = new Map(await pagesOf());
  const overview = `/?${RANGE}`;
  const values = ".kpis .val";
  await picture("overview", overview, values);
  await picture("overview", overview, values, { scheme: "dark" });
  await picture("overview-phone", overview, values, { size: "phone" });
  await picture("alarms", `/alarms?${RANGE}`, ".alarms input[type=checkbox]");
  await picture("incident", pages.get("incident"), "svg.plot .l1");
  await picture("workbench", pages.get("workbench").replace("range=1h", RANGE), ".strip canvas");
  await agents();
  await picture("connect", "/connect", "#sources tbody tr");
  await picture("connect", "/connect", "#sources tbody tr", { scheme: "dark" });
});
