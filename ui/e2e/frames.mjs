// How smoothly the explorer pans and zooms: `node e2e/frames.mjs --base URL --key KEY [--sensors N] [--points N]`
//
// Hands in N readings of each of so many sensors, opens them all at once and moves by wheel and keys while
// every frame is timed. Prints the distances between frames in ms.
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const TEXT = { type: "string" };
const { values: given } = parseArgs({
  options: {
    base: TEXT,
    key: TEXT,
    sensors: { ...TEXT, default: "4" },
    points: { ...TEXT, default: "1000000" },
  },
});
const base = given.base.replace(/\/$/, "");
const points = Number(given.points);
const keys = Array.from({ length: Number(given.sensors) }, (_, i) => `frames/s-${i + 1}/pressure`);
const BATCH = 50_000;
const STEP_MS = 1000;
const end = Math.floor(Date.now() / STEP_MS) * STEP_MS;
const from = end - points * STEP_MS;

const value = (sensor, i) => 40 + sensor + 3 * Math.sin(i / 7000) + Math.sin(i / 41) + ((i * 7919) % 97) / 97;

async function handIn() {
  for (let sensor = 0; sensor < keys.length; sensor++) {
    for (let start = 0; start < points; start += BATCH) {
      const lines = [];
      for (let i = start; i < Math.min(points, start + BATCH); i++) {
        const at = from + i * STEP_MS;
        lines.push(`pressure,site=frames,asset=s-${sensor + 1} value=${value(sensor, i).toFixed(3)} ${at}`);
      }
      const answer = await fetch(`${base}/api/v2/write?precision=ms`, {
        method: "POST",
        headers: { Authorization: `Token ${given.key}` },
        body: lines.join("\n"),
      });
      if (!answer.ok) throw new Error(`writing answered ${answer.status}: ${await answer.text()}`);
    }
  }
}

const executablePath = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"].find(
  (path) => path && existsSync(path),
);

function figures(frames) {
  const sorted = frames.toSorted((a, b) => a - b);
  const at = (share) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
  const slow = frames.filter((ms) => ms > 50).length;
  return `${frames.length} frames, median ${at(0.5)}, p95 ${at(0.95)}, most ${at(1)} ms; ${slow} over 50 ms`;
}

/** Times every frame while `act` runs. */
async function timed(page, name, act) {
  await page.evaluate(() => {
    window.frameTimes = [];
    let last = performance.now();
    const tick = (now) => {
      window.frameTimes.push(now - last);
      last = now;
      window.frameTimer = requestAnimationFrame(tick);
    };
    window.frameTimer = requestAnimationFrame(tick);
  });
  await act();
  const frames = await page.evaluate(() => {
    cancelAnimationFrame(window.frameTimer);
    return window.frameTimes.slice(1);
  });
  process.stdout.write(`${name}: ${figures(frames)}\n`);
}

/** Wheel turns sent by the page to itself, one each frame: a hand on a touchpad. */
const turn = (page, count, change) =>
  page.evaluate(
    async ({ count, change }) => {
      const over = document.querySelector(".strip .u-over");
      const box = over.getBoundingClientRect();
      for (let i = 0; i < count; i++) {
        over.dispatchEvent(
          new WheelEvent("wheel", {
            bubbles: true,
            cancelable: true,
            clientX: box.left + box.width * 0.6,
            clientY: box.top + 20,
            ...change,
          }),
        );
        await new Promise((done) => requestAnimationFrame(done));
      }
    },
    { count, change },
  );

await handIn();
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
const s = encodeURIComponent(keys.join(","));
const opened = Date.now();
await page.goto(`${base}/app/workbench?s=${s}&from=${from}&to=${end}#key=${encodeURIComponent(given.key)}`);
await page.waitForFunction((n) => document.querySelectorAll(".strip canvas").length === n, keys.length);
await page.waitForFunction(() => document.querySelector("[data-busy=true]") === null);
process.stdout.write(
  `${keys.length} sensors with ${points.toLocaleString("en")} readings each; drawn ${Date.now() - opened} ms after opening\n`,
);
const rest = () => page.waitForTimeout(1500);
await rest();
await timed(page, "nothing", () => page.waitForTimeout(1500));
await timed(page, "pan", () => turn(page, 120, { deltaX: 12 }));
await rest();
await timed(page, "pan back", () => turn(page, 120, { deltaX: -12 }));
await rest();
await timed(page, "zoom in", () => turn(page, 120, { deltaY: -40, ctrlKey: true }));
await rest();
await timed(page, "zoom out", () => turn(page, 120, { deltaY: 40, ctrlKey: true }));
await rest();
await timed(page, "crosshair", async () => {
  const box = await page.locator(".strip .u-over").first().boundingBox();
  for (let i = 0; i <= 100; i++) await page.mouse.move(box.x + (box.width * i) / 100, box.y + 20);
});
await browser.close();
