// What people come for, from the first look to the finished run, each in a page of its own.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { approve } from "./approve.mjs";
import {
  acknowledged,
  alarm,
  key,
  list,
  open,
  pagesOf,
  read,
  settled,
  shareBrowser,
  stands,
  unseen,
  until,
  waitingDecision,
  withPage,
} from "./browser.mjs";

const STEPS = ["ingest", "validate", "detect", "predict", "decide", "schedule", "notify"];

shareBrowser();

/** Waits until the address is as wanted. */
const arrive = (page, fits) => page.waitForURL((url) => fits(url));

/** Tabs to what is wanted, as somebody without a mouse does. */
async function tabTo(page, locator, most = 150) {
  for (let i = 0; i < most; i++) {
    if (await locator.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`${locator} is not reached by Tab`);
}

describe("the pages", () => {
  it("show what the server holds, and nothing goes wrong", async () => {
    const pages = new Map(await pagesOf());
    const sensors = await list("/sensors/sensors");
    const alerts = await list("/alerts");
    const incidents = await list("/incidents");
    await withPage({}, async (page) => {
      await open(page, pages.get("overview"));
      const values = await page.locator(".kpis .val").allInnerTexts();
      assert.ok(values.length >= 4, `key values: ${values}`);
      for (const value of values) assert.match(value, /\d/, "a key value has a number");
      assert.match(await page.locator(".top").innerText(), new RegExp(`\\b${sensors.length} sensors`));

      await open(page, pages.get("alarms"));
      const shown = await page.locator(".alarms input[type=checkbox]").count();
      assert.ok(shown >= alerts.filter(stands).length, "every standing alarm has a row");

      await open(page, pages.get("incidents"));
      const rows = await page.locator('section[aria-label="Incidents table"] tbody tr').count();
      assert.ok(rows >= incidents.length, "every incident has a row");

      await open(page, pages.get("workbench"));
      await page.waitForFunction(() => document.querySelectorAll(".strip canvas").length === 4);
      for (const value of await page.locator(".strip output").allInnerTexts()) assert.match(value, /\d/);
    });
  });
});

describe("the key", () => {
  it("moves from the address into the tab", () =>
    withPage({}, async (page) => {
      await open(page, "/");
      assert.equal(await page.evaluate(() => location.hash), "");
      assert.equal(await page.evaluate(() => sessionStorage.getItem("plainview.key")), key);
    }));

  it("is asked for before anybody may act", async () => {
    const decision = await waitingDecision();
    await withPage({}, async (page) => {
      await open(page, `/decisions?decision=${decision.decision_id}`, null);
      await page.getByRole("button", { name: /Enter a key/ }).waitFor();
      const button = page.locator("#decision").getByRole("button", { name: /^Approve D-/ });
      assert.equal(await button.isDisabled(), true);
    });
  });
});

describe("live data", () => {
  it("changes values by the stream alone", () =>
    withPage({}, async (page) => {
      await open(page, "/");
      await page.getByText("Connected").waitFor();
      const asked = [];
      page.on("request", (request) => asked.push(new URL(request.url()).pathname));
      const words = async () => (await page.locator(".kpis .val").allInnerTexts()).join();
      const first = await words();
      const second = await until("another value", async () => {
        const now = await words();
        return now !== first && now;
      });
      await until("and another", async () => (await words()) !== second);
      assert.ok(!asked.includes("/api/v1/sensors/sensors"), "no value was asked for");
    }));
});

describe("alarms", () => {
  it("are acknowledged by key", async () => {
    const { alert_id: id, number } = await alarm(unseen, "north/km-45/pressure");
    await withPage({}, async (page) => {
      await open(page, "/alarms?view=new");
      await page
        .getByRole("row")
        .getByLabel(new RegExp(`^Select A-${number} `))
        .check();
      await page.keyboard.press("a");
      await page.getByText("1 alarm acknowledged").waitFor();
    });
    const after = await acknowledged(id);
    assert.ok(!unseen(after), after.state);
    assert.ok(after.acknowledged_by);
  });

  it("are shelved with a reason and brought back by Undo", async () => {
    // One that is active stands while the test goes on; a returned one may end meanwhile.
    const active = (one) => stands(one) && one.active;
    const { alert_id: id, number } = await alarm(active, "north/km-15/pressure");
    const reason = "Known, the fitter is on the way.";
    await withPage({}, async (page) => {
      await open(page, "/alarms");
      await page
        .getByRole("row")
        .getByLabel(new RegExp(`^Select A-${number} `))
        .check();
      await page.keyboard.press("s");
      const dialog = page.locator("dialog[open]");
      await dialog.getByRole("button", { name: /^Shelve until/ }).click();
      await dialog.getByText("Say in a few words why.").waitFor();
      await dialog.getByLabel("Reason").fill(reason);
      await dialog.getByRole("button", { name: /^Shelve until/ }).click();
      const undo = page.getByRole("button", { name: "Undo" });
      await undo.waitFor();
      const shelved = await read(`/alerts/${id}`);
      assert.deepEqual([shelved.state, shelved.shelve_reason], ["shelved", reason]);
      await undo.click();
      await until("the alarm is back", async () => (await read(`/alerts/${id}`)).state !== "shelved");
    });
  });

  it("lead to the story of their incident", async () => {
    const { incident_id: id } = await alarm(
      (one) => stands(one) && one.incident_id,
      "north/km-30/pressure-a",
    );
    const incident = await read(`/incidents/${id}`);
    await withPage({}, async (page) => {
      await open(page, "/alarms");
      await page
        .getByRole("row")
        .getByRole("link", { name: `INC-${incident.number}` })
        .first()
        .click();
      await arrive(page, (url) => url.pathname === `/app/incidents/${id}`);
      await settled(page);
      assert.match(await page.locator("h1").innerText(), new RegExp(incident.title));
      const story = page.getByRole("region", { name: "What happened" }).first();
      assert.match(await story.locator("svg.plot").getAttribute("aria-label"), /^One axis from /);
      await story.getByRole("button", { name: /as table/ }).click();
      const rows = await story.getByRole("row").count();
      assert.ok(rows > incident.timeline.length, `${rows} rows for ${incident.timeline.length} entries`);
      await story.getByRole("cell", { name: incident.timeline[0].title }).first().waitFor();
    });
  });
});

describe("a decision", () => {
  it("is approved and becomes a work order", async () => {
    const decision = await waitingDecision();
    await withPage({}, (page) => approve(page, decision));
  });

  it("is rejected with a reason, with the keyboard only", async () => {
    const { decision_id: id, number } = await waitingDecision();
    const reason = "Looked at on the last round.";
    await withPage({}, async (page) => {
      await open(page, "/");
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await page.waitForFunction(() => document.activeElement?.id === "main");
      await page.keyboard.press("Control+k");
      await page.getByRole("combobox").waitFor();
      await page.keyboard.type(`D-${number} `);
      await page.keyboard.press("Enter");
      await arrive(page, (url) => url.searchParams.get("decision") === id);
      await settled(page);
      await tabTo(page, page.locator("#decision").getByRole("button", { name: "Reject…" }));
      await page.keyboard.press("Enter");
      const dialog = page.locator("dialog[open]");
      await tabTo(page, dialog.getByLabel("Reason"));
      await page.keyboard.type(reason);
      await tabTo(page, dialog.getByRole("button", { name: `Reject D-${number}` }));
      await page.keyboard.press("Enter");
      await page.getByText(`D-${number} rejected`).waitFor();
      await page
        .locator("#decision")
        .getByRole("heading", { name: /^Rejected by / })
        .waitFor();
    });
    const after = await read(`/decisions/${id}`);
    assert.deepEqual([after.state, after.reason], ["rejected", reason]);
  });
});

describe("the keyboard", () => {
  it("goes to every place", () =>
    withPage({}, async (page) => {
      await open(page, "/");
      for (const [letter, path] of [
        ["a", "/app/alarms"],
        ["d", "/app/decisions"],
        ["w", "/app/workbench"],
        ["o", "/app"],
      ]) {
        await page.keyboard.press("g");
        await page.keyboard.press(letter);
        await arrive(page, (url) => url.pathname.replace(/\/$/, "") === path);
        await settled(page);
      }
      await page.keyboard.press("?");
      await page.getByRole("heading", { name: "Keys" }).waitFor();
    }));

  it("finds sensors and things to do in the palette", () =>
    withPage({}, async (page) => {
      await open(page, "/");
      await page.keyboard.press("Control+k");
      await page.getByRole("combobox").fill("km-45 press");
      await page.keyboard.press("Enter");
      await arrive(page, (url) => url.searchParams.get("s") === "north/km-45/pressure");
      await page.waitForSelector(".strip canvas");
      await page.keyboard.press("Control+k");
      await page.getByRole("combobox").fill("golden path");
      await page.keyboard.press("Enter");
      await arrive(page, (url) => url.searchParams.get("tab") === "golden");
    }));
});

describe("the golden path", () => {
  it("shows its steps while they happen, waits for a person and completes", () =>
    withPage({}, async (page) => {
      await open(page, "/workbench?tab=golden");
      await page.getByRole("button", { name: "Start a run" }).click();
      await arrive(page, (url) => url.searchParams.has("run"));
      const id = new URL(page.url()).searchParams.get("run");
      const step = (name, status) => page.locator(`[data-step=${name}][data-status=${status}]`);
      await step("ingest", "done").waitFor();
      await step("decide", "waiting").waitFor();
      await step("notify", "pending").waitFor();
      const { decision_id: decision } = await read(`/demo/golden-path/status/${id}`);

      await page.getByRole("link", { name: /^Review D-/ }).click();
      await arrive(page, (url) => url.searchParams.get("decision") === decision);
      const panel = page.locator("#decision");
      await panel.getByLabel("Reason").fill("The path is being tried.");
      await panel.getByRole("button", { name: /^Approve D-/ }).click();
      await panel.getByTestId("work-order").waitFor();

      await page.goBack();
      await arrive(page, (url) => url.searchParams.get("run") === id);
      for (const name of STEPS) await step(name, "done").waitFor();
      await page.getByTestId("overall-status").getByText("7 of 7, complete").waitFor();
      assert.equal((await read(`/demo/golden-path/status/${id}`)).overall_status, "completed");
    }));
});

describe("the explorer", () => {
  it("keeps its view in the address and hands out a file of readings", () =>
    withPage({}, async (page) => {
      await open(page, "/workbench?s=north/km-00/flow");
      await page.waitForSelector(".strip canvas");
      await page.getByRole("button", { name: "Look closer" }).click();
      await arrive(page, (url) => url.searchParams.has("from") && url.searchParams.has("to"));
      const address = page.url();
      await page.reload();
      await page.waitForSelector(".strip canvas");
      assert.equal(page.url(), address);
      await page.getByRole("button", { name: "Back to live" }).waitFor();
      const [file] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: "CSV" }).click(),
      ]);
      assert.match(file.suggestedFilename(), /^plainview-.*\.csv$/);
      const lines = (await readFile(await file.path(), "utf8")).trim().split("\n");
      assert.ok(lines.length > 100, `${lines.length} lines`);
      assert.match(lines[1], /north\/km-00\/flow/);
    }));
});

describe("the theme", () => {
  it("goes from light to dark and stays over a reload", () =>
    withPage({ scheme: "light" }, async (page) => {
      await open(page, "/");
      const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const light = await ground();
      const button = page.getByRole("button", { name: /^Theme: / });
      await button.click();
      await page.getByRole("button", { name: "Theme: light. Change it" }).waitFor();
      assert.equal(await ground(), light);
      await button.click();
      await page.getByRole("button", { name: "Theme: dark. Change it" }).waitFor();
      const dark = await ground();
      assert.notEqual(dark, light);
      await page.reload();
      await page.waitForSelector("h1");
      assert.equal(await ground(), dark);
    }));
});
