import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { launch, newPage, open, read, settled } from "./browser.mjs";
import { approve } from "./journeys/approve.mjs";

const base = process.env.E2E_BASE;
const key = process.env.E2E_KEY;
const PATIENCE_MS = 30_000;
let browser;

before(async () => {
  browser = await launch();
});
after(() => browser.close());

async function withPage(options, run) {
  const { page, context, errors } = await newPage(browser, options);
  try {
    await run(page);
    assert.deepEqual(errors, [], "nothing is written to the console");
  } finally {
    await context.close();
  }
}

describe("the key", () => {
  it("moves from the address into the tab", () =>
    withPage({}, async (page) => {
      await open(page, base, "/", key);
      assert.equal(await page.evaluate(() => location.hash), "");
      assert.equal(await page.evaluate(() => sessionStorage.getItem("plainview.key")), key);
    }));

  it("is asked for before anybody may act", () =>
    withPage({}, async (page) => {
      await open(page, base, "/decisions");
      await page.getByRole("button", { name: /Enter a key/ }).waitFor();
      const approveButton = page.getByRole("button", { name: /^Approve D-/ });
      if ((await approveButton.count()) > 0) assert.equal(await approveButton.isDisabled(), true);
    }));
});

describe("live data", () => {
  it("changes values without a reload", () =>
    withPage({}, async (page) => {
      await open(page, base, "/", key);
      const words = () => page.locator(".kpis .val").allInnerTexts();
      await page.waitForSelector(".kpis .val");
      const first = (await words()).join();
      await page.waitForFunction(
        (before_) => [...document.querySelectorAll(".kpis .val")].map((e) => e.innerText).join() !== before_,
        first,
        { timeout: PATIENCE_MS },
      );
    }));
});

describe("the keyboard", () => {
  it("goes to every place and finds things", () =>
    withPage({}, async (page) => {
      await open(page, base, "/", key);
      for (const [letter, path] of [
        ["a", "/app/alarms"],
        ["d", "/app/decisions"],
        ["w", "/app/workbench"],
        ["o", "/app"],
      ]) {
        await page.keyboard.press("g");
        await page.keyboard.press(letter);
        await page.waitForFunction((want) => location.pathname.replace(/\/$/, "") === want, path, {
          timeout: PATIENCE_MS,
        });
        await settled(page);
      }
      await page.keyboard.press("Control+k");
      await page.getByRole("combobox").fill("golden");
      await page.keyboard.press("Enter");
      await page.waitForFunction(() => location.search.includes("tab=golden"));
      await page.keyboard.press("?");
      await page.getByRole("heading", { name: "Keys" }).waitFor();
    }));
});

describe("alarms", () => {
  it("are acknowledged by key", async (t) => {
    const fresh = (await read(base, "/alerts?limit=500", key)).items.filter(
      (a) => a.state === "unacknowledged",
    );
    if (fresh.length === 0) {
      t.skip("no new alarm on this server");
      return;
    }
    await withPage({}, async (page) => {
      await open(page, base, "/alarms?view=new", key);
      await page.locator(".alarms input[type=checkbox]").first().check();
      await page.keyboard.press("a");
      await page.getByText("1 alarm acknowledged").waitFor({ timeout: PATIENCE_MS });
    });
    const left = (await read(base, "/alerts?limit=500", key)).items.filter(
      (a) => a.state === "unacknowledged",
    );
    assert.ok(left.length < fresh.length);
  });

  it("are shelved with a reason and brought back by Undo", async (t) => {
    const standing = (await read(base, "/alerts?limit=500", key)).items.filter(
      (a) => a.state === "acknowledged",
    );
    if (standing.length === 0) {
      t.skip("no acknowledged alarm on this server");
      return;
    }
    await withPage({}, async (page) => {
      await open(page, base, "/alarms", key);
      await page.locator(".alarms input[type=checkbox]").last().check();
      await page.keyboard.press("s");
      const dialog = page.locator("dialog[open]");
      await dialog.getByRole("button", { name: /^Shelve until/ }).click();
      await dialog.getByText("Say in a few words why.").waitFor();
      await dialog.getByLabel("Reason").fill("Known, the fitter is on the way.");
      await dialog.getByRole("button", { name: /^Shelve until/ }).click();
      await page.getByRole("button", { name: "Undo" }).click({ timeout: PATIENCE_MS });
      await page.getByRole("button", { name: /^Shelved/ }).waitFor();
    });
  });
});

describe("a decision", () => {
  it("is approved and becomes a work order", async (t) => {
    const waiting = (await read(base, "/decisions?limit=500", key)).items.filter(
      (d) => d.state === "waiting",
    );
    const decision = process.env.E2E_DECISION || waiting[0]?.decision_id;
    if (!decision) {
      t.skip("no decision waits on this server");
      return;
    }
    await withPage({}, async (page) => {
      const result = await approve(page, { base, key, decision });
      assert.equal(result.state, "approved");
      assert.ok(result.work, "a work order exists");
      assert.equal(result.work_state, "scheduled");
    });
  });
});

describe("the golden path", () => {
  it("shows its steps while they happen", () =>
    withPage({}, async (page) => {
      await open(page, base, "/workbench?tab=golden", key);
      await page.getByRole("button", { name: "Start a run" }).click();
      await page.waitForFunction(() => location.search.includes("run="), undefined, { timeout: PATIENCE_MS });
      await page.locator('[data-step=ingest][data-status="done"]').waitFor({ timeout: PATIENCE_MS });
      await page
        .locator('[data-step=decide][data-status="waiting"], [data-step=decide][data-status="done"]')
        .waitFor({ timeout: 2 * PATIENCE_MS });
    }));
});

describe("the explorer", () => {
  it("keeps its view in the address and hands out a file", () =>
    withPage({}, async (page) => {
      await open(page, base, "/workbench", key);
      await page.waitForSelector(".strip canvas");
      await page.getByRole("button", { name: "Look closer" }).click();
      await page.waitForFunction(() => /from=\d+/.test(location.search));
      await page.reload();
      await page.waitForSelector(".strip canvas");
      await page.getByRole("button", { name: "Back to live" }).waitFor();
      const [file] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: "CSV" }).click(),
      ]);
      assert.match(file.suggestedFilename(), /^plainview-.*\.csv$/);
    }));
});
