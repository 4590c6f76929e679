// The explorer: from a search down to every reading, compared, taken along, and back again.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { arrive, isMock, list, open, settled, shareBrowser, until, withPage } from "./browser.mjs";

shareBrowser();

/** Drags over the strip at `index`, from one share of its width to another. */
async function drag(page, index, from, to) {
  const box = await page.locator(".strip .u-over").nth(index).boundingBox();
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width * from, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * to, y + 2, { steps: 6 });
  await page.mouse.up();
}

const spanOf = (address) => {
  const { searchParams } = new URL(address);
  return Number(searchParams.get("to")) - Number(searchParams.get("from"));
};

describe("the explorer", () => {
  it("goes from a search over a drag down to every reading, and back", () =>
    withPage({}, async (page) => {
      await open(page, "/workbench?range=15m&s=north/km-60/pressure");
      await page.getByLabel("Find sensors").fill("kind:flow km-00");
      const found = page.locator(".sn input[type=checkbox]");
      await until("one sensor is found", async () => (await found.count()) === 1);
      await found.check();
      await arrive(page, (url) => (url.searchParams.get("s") ?? "").endsWith("north/km-00/flow"));
      await page.waitForFunction(() => document.querySelectorAll(".strip canvas").length === 2);

      await drag(page, 1, 0.4, 0.6);
      await arrive(page, (url) => url.searchParams.has("from"));
      await settled(page);
      const first = page.url();
      await drag(page, 0, 0.3, 0.7);
      await arrive(page, (url) => url.href !== first);
      assert.ok(spanOf(page.url()) < spanOf(first), "closer than before");
      await settled(page);
      await page.getByText("every reading").first().waitFor({ state: "attached" });

      await page.getByRole("button", { name: "Step back" }).click();
      await arrive(page, (url) => url.href === first);
      await page.getByRole("button", { name: "Back to live" }).click();
      await arrive(page, (url) => !url.searchParams.has("from"));
    }));

  it("pans with the wheel and moves its crosshair by keys, and says what stands there", () =>
    withPage({}, async (page) => {
      await open(page, "/workbench?range=15m&s=north/km-00/flow,north/km-60/flow");
      await page.waitForFunction(() => document.querySelectorAll(".strip canvas").length === 2);
      const box = await page.locator(".strip .u-over").first().boundingBox();
      await page.mouse.move(box.x + box.width / 2, box.y + 20);
      await page.mouse.wheel(-200, 0);
      await arrive(page, (url) => url.searchParams.has("from"));
      const before = spanOf(page.url());
      await page.keyboard.down("Control");
      await page.mouse.wheel(0, -300);
      await page.keyboard.up("Control");
      await arrive(page, (url) => spanOf(url.href) < before);
      await settled(page);
      await page.locator(".strips").focus();
      await page.keyboard.press("ArrowRight");
      const said = page.locator(".strips [role=status]");
      await until("the crosshair is told", async () =>
        /km-00 flow [\d,.]+, km-60 flow [\d,.]+/.test((await said.textContent()) ?? ""),
      );
    }));

  it("compares sensors in one plot and normalised, chooses a whole asset, and goes back and forward", () =>
    withPage({}, async (page) => {
      await open(page, "/workbench?range=15m&s=north/km-00/flow,north/km-60/pressure");
      const canvases = (n) =>
        page.waitForFunction((n) => document.querySelectorAll(".strip canvas").length === n, n);
      await canvases(2);
      await page.getByRole("button", { name: "One plot" }).click();
      await arrive(page, (url) => url.searchParams.get("l") === "together");
      await canvases(1);
      const value = (key) => page.getByLabel(`Value of ${key}`);
      assert.match(await value("north/km-00/flow").innerText(), /\d/);
      await page.getByRole("button", { name: "Normalised" }).click();
      await canvases(1);
      // Its values are told as they were read, not in percent.
      await page.locator(".strips").focus();
      await page.keyboard.press("ArrowLeft");
      const said = page.locator(".strips [role=status]");
      await until("the crosshair is told", async () =>
        /km-00 flow \d{3}[\d.]*, km-60 pressure [\d.]+/.test((await said.textContent()) ?? ""),
      );

      await page.getByLabel("Find sensors").fill("asset:p-2");
      await page.getByRole("button", { name: /^all \d of/ }).click();
      await arrive(page, (url) => (url.searchParams.get("s") ?? "").includes("north/p-2/vibration"));
      await canvases(2);

      await page.getByRole("button", { name: "Take north/km-00/flow out of the picture" }).click();
      await arrive(page, (url) => !(url.searchParams.get("s") ?? "").includes("km-00/flow"));

      const before = page.url();
      await page.getByRole("button", { name: "Look closer" }).click();
      await arrive(page, (url) => url.searchParams.has("from"));
      const closer = page.url();
      await page.goBack();
      await arrive(page, (url) => url.href === before);
      await page.goForward();
      await arrive(page, (url) => url.href === closer);
      await page.getByRole("button", { name: "Back to live" }).click();
      await arrive(page, (url) => !url.searchParams.has("from"));
      // A pan away from the clock is a step of its own: back is the clock again, not the page before.
      await page.locator(".strips").focus();
      await page.keyboard.press("Shift+ArrowLeft");
      await arrive(page, (url) => url.searchParams.has("from"));
      await page.goBack();
      await arrive(page, (url) => !url.searchParams.has("from") && url.pathname.endsWith("/workbench"));
    }));

  it("names the command that writes Parquet", () =>
    withPage({}, async (page) => {
      await open(page, "/workbench?s=north/km-00/flow");
      await page.getByRole("button", { name: "Parquet…" }).click();
      const text = await page.locator("dialog[open] pre").innerText();
      assert.match(text, /plainview export[\s\S]*--sensor 'north\/km-00\/flow'[\s\S]*\.parquet/);
    }));

  it("keeps its view in the address and hands out a file of readings", () =>
    withPage({}, async (page) => {
      await open(page, "/workbench?s=north/km-00/flow");
      await page.waitForSelector(".strip canvas");
      await page.getByRole("button", { name: "Look closer" }).click();
      await arrive(page, (url) => url.searchParams.has("from") && url.searchParams.has("to"));
      await page.getByRole("button", { name: "Range", exact: true }).click();
      await arrive(page, (url) => url.searchParams.get("y") === "range");
      const address = page.url();
      await page.reload();
      await page.waitForSelector(".strip canvas");
      assert.equal(page.url(), address);
      await page.getByRole("button", { name: "Back to live" }).waitFor();
      await page.getByRole("button", { name: "Copy link" }).click();
      await page.getByText("Link copied").waitFor();
      const link = new URL(await page.evaluate(() => navigator.clipboard.readText()));
      assert.equal(link.searchParams.get("s"), "north/km-00/flow");
      assert.equal(link.searchParams.get("y"), "range");
      const [file] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: "CSV" }).click(),
      ]);
      assert.match(file.suggestedFilename(), /^plainview-.*\.csv$/);
      const lines = (await readFile(await file.path(), "utf8")).trim().split("\n");
      assert.ok(lines.length > 100, `${lines.length} lines`);
      assert.match(lines[1], /north\/km-00\/flow/);
      const [arrow] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: "Arrow" }).click(),
      ]);
      assert.match(arrow.suggestedFilename(), /\.arrow$/);
      // Each message of an Arrow stream begins so.
      const bytes = await readFile(await arrow.path());
      assert.equal(bytes.readUInt32LE(0), 0xffffffff);
    }));

  it("tells the time of the place where the screen is", () =>
    withPage({ timezoneId: "Asia/Kolkata" }, async (page) => {
      const at = Date.UTC(2026, 10, 21, 6, 15);
      await open(page, `/workbench?s=north/km-00/flow&from=${at}&to=${at + 1_800_000}`);
      await page.getByText("UTC+05:30").waitFor();
      assert.match(await page.locator("h1").innerText(), /11:45 to .*12:15$/);
    }));

  it("opens what a shaded stretch rests on", async () => {
    const [anomaly] = await until("an anomaly", async () => {
      const all = await list("/anomalies");
      return all.length > 0 && all;
    });
    const at = Date.parse(anomaly.started_at);
    await withPage({}, async (page) => {
      await open(page, `/workbench?s=${anomaly.sensor}&from=${at - 600_000}&to=${at + 600_000}`);
      const panel = page.getByRole("region", { name: "Anomalies in this window" });
      await panel.getByRole("button").first().click();
      await page.locator("dialog.drawer figure.evidence svg.plot .l1").waitFor();
      assert.ok(new URL(page.url()).searchParams.has("anomaly"));
    });
  });

  it("says what an anomaly consists of, and whether judging again gave the same", {
    skip: !isMock,
  }, async () => {
    const all = await list("/anomalies");
    const judged = async (rule) => {
      const { anomaly_id: id, sensor } = all.find((each) => each.rule === rule);
      let said = "";
      await withPage({}, async (page) => {
        await open(page, `/workbench?s=${sensor}&anomaly=${id}`);
        await page.getByRole("button", { name: "Judge it again" }).click();
        said = await page.locator("figure.evidence .again").innerText();
      });
      return said;
    };
    const score = await judged("score");
    assert.match(score, /Level has left its long-term place\s+71\s%[\s\S]*22\s%[\s\S]*7\.0\s%/);
    assert.match(score, /707\.4\sm³\/h[\s\S]*708\.0 to 735\.0\sm³\/h, 0\.6\sm³\/h below/);
    assert.match(score, /robust-score 1\.0\.0[\s\S]*gave the same answer/);
    const rule = await judged("flatline");
    assert.match(
      rule,
      /nothing to weigh[\s\S]*could not be judged again: the method of the detector has changed since/,
    );
  });

  it("marks where a level changed for good, and lists it", { skip: !isMock }, () =>
    withPage({}, async (page) => {
      await open(page, "/workbench?range=1h&s=north/km-60/flow");
      const said = /level changed from 720\.0 to 705\.6\sm³\/h at [\d:]+, confidence 94\s%/;
      const plot = page.locator(".strip [role=img]");
      await until("the plot tells it", async () => said.test((await plot.getAttribute("aria-label")) ?? ""));
      const box = await page.locator(".strip .u-over").boundingBox();
      const step = page.locator(".strip .u-step");
      await until("the crosshair finds it", async () => {
        const [changed] = await list("/changepoints?sensor=north/km-60/flow");
        const share = 1 - (Date.now() - Date.parse(changed.changed_at)) / 3_600_000;
        await page.mouse.move(box.x + box.width * share, box.y + 60);
        return (await step.isVisible()) && said.test(await step.innerText());
      });
      const panel = page.getByRole("region", { name: "Level changes in this window" });
      assert.match(await panel.locator("tbody tr").innerText(), /km 60 flow[\s\S]*720\.0[\s\S]*705\.6/);
      await page.getByRole("button", { name: "as table Readings" }).click();
      await page.locator('section[aria-label="Events in the window"]').getByText(said).waitFor();
    }),
  );

  for (const [what, title, failing] of [
    ["the level changes", "Level changes in this window", /\/api\/v1\/changepoints\?/],
    ["the anomalies", "Anomalies in this window", /\/api\/v1\/anomalies\?/],
  ]) {
    it(`says that ${what} could not be read, and reads them on request`, { skip: !isMock }, () =>
      withPage({ failing }, async (page, heal) => {
        await open(page, "/workbench?range=1h&s=north/km-60/flow");
        const panel = page.getByRole("region", { name: title });
        await panel
          .getByRole("alert")
          .getByText(`${what.replace("t", "T")} could not be read`)
          .waitFor();
        // The plots go on without them.
        assert.equal(await page.locator(".strip canvas").count(), 1);
        await heal();
        await panel.getByRole("button", { name: "Try again" }).click();
        await panel.locator("tbody tr").first().waitFor();
        assert.equal(await panel.getByRole("alert").count(), 0);
      }),
    );
  }

  it("follows a finger on a phone", () =>
    withPage({ size: "phone" }, async (page) => {
      await open(page, "/workbench?range=1h&s=north/km-00/flow");
      await page.waitForSelector(".strip canvas");
      await page
        .locator(".strip .u-over")
        .first()
        .evaluate(async (over) => {
          const box = over.getBoundingClientRect();
          const send = (type, share) =>
            over.dispatchEvent(
              new PointerEvent(type, {
                bubbles: true,
                pointerId: 7,
                pointerType: "touch",
                clientX: box.left + box.width * share,
                clientY: box.top + 20,
              }),
            );
          send("pointerdown", 0.3);
          for (let i = 1; i <= 10; i++) {
            send("pointermove", 0.3 + i * 0.04);
            await new Promise((done) => requestAnimationFrame(done));
          }
          send("pointerup", 0.7);
        });
      await arrive(page, (url) => url.searchParams.has("from"));
      const { searchParams } = new URL(page.url());
      const late = Date.now() - Number(searchParams.get("to"));
      assert.ok(Math.abs(late - 0.4 * 3_600_000) < 120_000, `${late} ms before now`);
    }));

  it("shows the same as a table", () =>
    withPage({}, async (page) => {
      await open(page, "/workbench?range=15m&s=north/km-00/flow");
      await page.getByRole("button", { name: "as table Readings" }).click();
      const rows = page.locator('section[aria-label="Values over time"] tbody tr');
      assert.ok((await rows.count()) > 20);
      assert.match(await rows.nth(2).innerText(), /\d\d:\d\d:\d\d\s+\d+\.\d/);
    }));
});
