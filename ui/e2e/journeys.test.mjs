// What people come for, from the first look to the finished run, each in a page of its own.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { approve } from "./approve.mjs";
import {
  acknowledged,
  alarm,
  arrive,
  isMock,
  key,
  list,
  open,
  pagesOf,
  processFinding,
  read,
  settled,
  shareBrowser,
  stands,
  unseen,
  until,
  waitingDecision,
  withPage,
  write,
} from "./browser.mjs";

const STEPS = ["ingest", "validate", "detect", "predict", "decide", "schedule", "notify"];

shareBrowser();

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

/** Cumulative layout shift: more than this is felt. */
const SHIFT_MOST = 0.1;

describe("the pages while they load", () => {
  for (const size of ["desk", "phone"]) {
    it(`do not jump, ${size}`, async () => {
      const pages = await pagesOf();
      await withPage({ size }, async (page) => {
        await page.addInitScript(() => {
          window.shift = 0;
          new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
          }).observe({ type: "layout-shift", buffered: true });
        });
        for (const [name, address] of pages) {
          // Only what is loaded anew counts; an address with the same path would be kept.
          await page.goto("about:blank");
          await open(page, address);
          const shift = await page.evaluate(() => window.shift);
          assert.ok(shift <= SHIFT_MOST, `${name} on ${size} jumps by ${shift.toFixed(3)}`);
        }
      });
    });
  }
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
        .getByRole("link", { name: `INC-${incident.number}`, exact: true })
        .first()
        .click();
      await arrive(page, (url) => url.pathname === `/app/incidents/${id}`);
      await settled(page);
      // What it is called follows its alarms.
      await until("its title", async () =>
        (await page.locator("h1").innerText()).includes((await read(`/incidents/${id}`)).title),
      );
      await page.locator("figure.evidence svg.plot .l1").first().waitFor();
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
        ["c", "/app/connect"],
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

describe("an alarm", () => {
  it("shows what it rests on, in words and as a picture", async () => {
    const { number, title } = await alarm(stands, "north/km-45/pressure");
    await withPage({}, async (page) => {
      await open(page, "/alarms");
      await page.getByRole("button", { name: `evidence of A-${number}` }).click();
      const drawer = page.locator("dialog.drawer");
      await drawer.getByRole("heading", { name: `A-${number} ${title}` }).waitFor();
      await drawer.locator("figure.evidence svg.plot .l1").waitFor();
      const words = await drawer.locator("figure.evidence").innerText();
      assert.match(words, /it read [\d.,\u2212]+/);
      assert.match(words, /by detector \S+ \S+, rule \w+/);
      await drawer.getByRole("button", { name: /^as table/ }).click();
      assert.ok((await drawer.locator("tbody tr").count()) > 3);
      await page.keyboard.press("Escape");
      await arrive(page, (url) => !url.searchParams.has("alarm"));
    });
  });
});

describe("a finding of a process model", () => {
  it("shows the sensor that contributes most against where it lay normally", async () => {
    const { anomaly_id: id, sensor } = await processFinding();
    await withPage({}, async (page) => {
      await open(page, `/workbench?range=1h&s=${encodeURIComponent(sensor)}&anomaly=${id}`);
      const figure = page.locator("dialog.drawer figure.evidence");
      await figure.locator("svg.plot .l1").waitFor();
      await figure.getByText(/^normal [\d.,\u2212]+ to [\d.,\u2212]+$/).waitFor();
      const words = await figure.innerText();
      assert.match(words, /contributed most, [\d.]+\s%/);
      assert.match(words, /is normal, learned/);
      // The room that the model leaves a wandering sensor is no spread that anybody could use.
      assert.ok(!words.includes("±"), words);
      const parts = await figure.getByRole("list", { name: "Contributing sensors" }).locator("li").count();
      assert.ok(parts >= 1, `${parts} contributors`);
    });
  });
});

describe("a process model", () => {
  it("that is learned anew waits until it is accepted, and the one before comes back by Undo", async () => {
    const { asset } = await processFinding();
    const own = async () => (await read("/assets/models")).models.find((model) => model.asset === asset);
    const force = async () => (await own()).versions.find((version) => version.state === "accepted").version;
    const { fit } = (await own()).versions[0];
    if (!isMock) await write(`/assets/${asset}/model`, { fit }, "PUT");
    const before = await force();
    await withPage({}, async (page) => {
      await open(page, "/connect");
      const panel = page.locator("#process-models");
      await panel
        .getByRole("button", { name: /^Accept version \d+ of / })
        .first()
        .click();
      const undo = page.getByRole("button", { name: "Undo" });
      await undo.waitFor();
      await until("the new one is in force", async () => (await force()) !== before);
      await undo.click();
      await until("the old one is in force", async () => (await force()) === before);
    });
  });
});

/** What somebody types into a field for a time: local, so many hours ago. */
function typed(hoursAgo) {
  const at = new Date(Date.now() - hoursAgo * 3_600_000);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

describe("learning a process model", () => {
  it("names what is wrong, counts rows first, and puts the candidate beside the model in force", async () => {
    const { asset } = await processFinding();
    const reason = "The tank was being cleaned.";
    await withPage({ refused: /\/model$/ }, async (page) => {
      await open(page, "/connect");
      await page.locator("#process-models").getByRole("button", { name: "Learn a model…" }).click();
      const dialog = page.locator("dialog[open]");
      await dialog.getByRole("button", { name: "Learn the model" }).click();
      await dialog.getByText("Choose the asset.").waitFor();
      await dialog.getByLabel("Asset").selectOption(asset);
      await dialog.getByText(/is in force\. The new one waits/).waitFor();
      const [from, to] = [typed(4), typed(1)];
      await dialog.getByLabel("Normal period from").fill(to);
      await dialog.getByLabel("Normal period to").fill(from);
      const learn = dialog.getByRole("button", { name: /^Learn km 60/ });
      await learn.click();
      await dialog.getByText("The end lies before the start.").waitFor();
      // A minute is too short, and the server says so in the field.
      await dialog.getByLabel("Normal period from").fill(from);
      await dialog.getByLabel("Normal period to").fill(typed(4 - 1 / 60));
      await dialog.getByText(/are needed\. Choose a longer period/).waitFor();
      await learn.click();
      await dialog.getByText(/complete rows to (fit|calibrate) on/).waitFor();
      await dialog.getByLabel("Normal period to").fill(to);
      await dialog.getByText(/^It holds about [\d,]+ rows of /).waitFor();
      assert.ok((await dialog.locator("svg.spark").count()) >= 2, "each sensor's course is shown");
      await learn.click();
      await dialog.getByRole("heading", { name: /^km 60: version \d+ beside version \d+$/ }).waitFor();
      const figures = await dialog.locator("table.versions").innerText();
      assert.match(figures, /in force[\s\S]*proposed[\s\S]*False alarms[\s\S]*\d\s%/);

      await dialog.getByRole("button", { name: "Reject…" }).click();
      await dialog.getByRole("button", { name: /^Reject version/ }).click();
      await dialog.getByText("Say in a few words why.").waitFor();
      await dialog.getByLabel("Reason").fill(reason);
      await dialog.getByRole("button", { name: /^Reject version/ }).click();
      await page.getByText(/^km 60: version \d+ is rejected$/).waitFor();
    });
    const [newest] = (await read(`/assets/${asset}/model`)).versions;
    assert.deepEqual([newest.state, newest.rejection.reason], ["retired", reason]);
  });
});

describe("connect data", () => {
  it("makes a key, turns to live on the first sample and describes the sensor", () =>
    withPage({}, async (page) => {
      await open(page, "/connect");
      assert.match(await page.locator("h1").innerText(), /readings a second/);
      const panel = page.locator("#connect-data");
      await panel.getByText("no key yet").waitFor();
      await panel.getByRole("button", { name: /^Make key ingest-/ }).click();
      await panel.getByText("waiting for the first sample").waitFor();
      const text = await panel.locator("pre").innerText();
      const [, address] = /curl -i (\S+)/.exec(text);
      const [, token] = /Token (\S+)"/.exec(text);
      const [, line] = /'(vibration,[^']+)'/.exec(text);
      for (const [client, words] of [
        ["Telegraf", "[[outputs.influxdb_v2]]"],
        ["Prometheus", "/api/v1/write"],
        ["OTLP", "/v1/metrics"],
        ["MQTT", "mosquitto_pub"],
        ["Python", "from plainview import Client"],
        ["Files", "/api/v1/data/files"],
      ]) {
        await panel.getByRole("button", { name: client }).click();
        const snippet = await panel.locator("pre").innerText();
        assert.ok(snippet.includes(words) && snippet.includes(token), `${client}: ${snippet}`);
      }
      const answer = await fetch(address, {
        method: "POST",
        headers: { Authorization: `Token ${token}` },
        body: line,
      });
      assert.equal(answer.status, 204);
      await panel.getByText("First sample is here").waitFor();
      await panel.getByText("live", { exact: true }).waitFor();
      await panel.getByRole("button", { name: "Describe it…" }).click();
      const sensor = await panel.locator("[data-arrived]").getAttribute("data-arrived");
      assert.match(sensor, /^[\w-]+\/p-\d+\/vibration$/);

      const dialog = page.locator("dialog[open]");
      await dialog.getByLabel("Expected from").fill("5");
      await dialog.getByLabel("Expected to").fill("4.5");
      await dialog.getByRole("button", { name: /^Save/ }).click();
      await dialog.getByText("The low end lies above the high end.").waitFor();
      await dialog.getByLabel("Expected from").fill("0");
      await dialog.getByRole("button", { name: /^Save/ }).click();
      await panel.getByText("is described").waitFor();
      const known = await read(`/sensors/${sensor}`);
      assert.equal(known.expected_high, 4.5);
      // The sender is a source from now on.
      await page
        .getByRole("button", { name: /^Ingest \d/ })
        .first()
        .waitFor();
    }));
});

/** What somebody would write into a field that must not stay empty. */
function fill(field) {
  if (field.kind === "number") return "1";
  if (field.kind === "json") return field.name === "registers" ? REGISTERS : "[]";
  return field.name === "host" ? "127.0.0.1" : "x";
}
const REGISTERS = '[{"sensor":"north/v-104/torque","address":0,"type":"f32"}]';

describe("a source", () => {
  it("is added, stopped, started and removed", async () => {
    const { kinds } = await read("/sources/kinds");
    const kind = kinds.find((each) => each.protocol === "mqtt");
    assert.ok(kind, `there is an MQTT kind: ${kinds.map((each) => each.protocol)}`);
    const name = `away-${Date.now() % 100_000}`;
    await withPage({}, async (page) => {
      await open(page, "/connect");
      await page.getByRole("button", { name: "Add a source…" }).first().click();
      const dialog = page.locator("dialog[open]");
      await dialog.getByRole("button", { name: kind.title, exact: true }).click();
      await dialog.getByRole("button", { name: /^Add/ }).last().click();
      await dialog.getByText("This is needed.").first().waitFor();
      await dialog.getByLabel("Name", { exact: true }).fill(name);
      for (const field of kind.fields.filter((each) => each.required && each.default === undefined)) {
        await dialog.locator(`#source-${field.name}`).fill(fill(field));
      }
      // Nobody listens there: it is added all the same, and says that it cannot connect.
      const port = dialog.locator("#source-port");
      if (await port.count()) await port.fill("9");
      await dialog.getByRole("button", { name: `Add ${name}` }).click();

      const drawer = page.locator("dialog.drawer");
      // It says what is wrong in plain words, and what to do.
      if (!isMock) await drawer.getByText(/^Nobody answers at 127\.0\.0\.1:9/).waitFor();
      await drawer.getByRole("button", { name: "Stop", exact: true }).click();
      await drawer.getByRole("button", { name: "Start", exact: true }).waitFor();
      const state = async () => (await read("/sources")).sources.find((each) => each.name === name);
      await until("it is stopped", async () => (await state()).state === "stopped");
      await drawer.getByRole("button", { name: "Start", exact: true }).click();
      await until("it is wanted again", async () => (await state()).desired === "running");
      await drawer.getByRole("button", { name: "Remove…" }).click();
      await page.getByRole("button", { name: /^Remove Away/ }).click();
      await drawer.waitFor({ state: "detached" });
      await until("it is gone", async () => (await state()) === undefined);
    });
  });
});

describe("dead letters", () => {
  it("are discarded with a reason, or nothing is stuck", async () => {
    const waiting = (await list("/dead-letters")).filter((letter) => letter.state === "waiting");
    await withPage({}, async (page) => {
      await open(page, "/connect");
      const panel = page.locator("#dead-letters");
      const [letter] = waiting;
      if (!letter) return panel.getByText("Nothing is stuck").waitFor();
      const row = panel.locator(`[data-letter="${letter.id}"]`);
      await row.getByRole("button", { name: /^Discard/ }).click();
      const dialog = page.locator("dialog[open]");
      await dialog.getByRole("button", { name: /^Discard/ }).click();
      await dialog.getByText("Say in a few words why.").waitFor();
      await dialog.getByLabel("Reason").fill("The receiver is gone for good.");
      await dialog.getByRole("button", { name: /^Discard/ }).click();
      await row.waitFor({ state: "detached" });
      const after = (await list("/dead-letters")).find((each) => each.id === letter.id);
      assert.equal(after.state, "discarded");
      const [, second] = waiting;
      if (!second) return;
      await panel
        .locator(`[data-letter="${second.id}"]`)
        .getByRole("button", { name: /^Replay/ })
        .click();
      await panel.locator(`[data-letter="${second.id}"]`).waitFor({ state: "detached" });
    });
  });
});

describe("the store", () => {
  it("tells what it keeps, what it takes and whether it is whole", () =>
    withPage({}, async (page) => {
      await open(page, "/connect");
      const store = page.locator("#store");
      await store.getByText(/^[\d.]+ [kMG]?B of [\d,]+ sensors$/).waitFor();
      await store.getByText("none found").waitFor();
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
