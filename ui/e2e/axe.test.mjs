// No page, dialog or table breaks a rule of axe, in both themes, on desk and phone.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { describe, it } from "node:test";
import { isMock, open, pagesOf, shareBrowser, waitingDecision, withPage } from "./browser.mjs";

const source = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const SIZES = ["desk", "phone"];
const SCHEMES = ["light", "dark"];

shareBrowser();

/** Fails with what is wrong on the page as it stands now. */
async function check(page, name) {
  await page.evaluate(source);
  const result = await page.evaluate(
    (tags) => window.axe.run(document, { runOnly: { type: "tag", values: tags } }),
    TAGS,
  );
  assert.ok(result.passes.length > 0, `axe looked at ${name}`);
  const found = result.violations.flatMap((rule) =>
    rule.nodes.map((node) => `${rule.id}: ${node.target.join(" ")} ${node.failureSummary ?? ""}`),
  );
  assert.deepEqual(found, [], name);
}

for (const size of SIZES) {
  for (const scheme of SCHEMES) {
    describe(`axe, ${size}, ${scheme}`, () => {
      it("finds nothing on any page", async () => {
        const pages = await pagesOf();
        await withPage({ size, scheme }, async (page) => {
          for (const [name, address] of pages) {
            await open(page, address);
            await check(page, name);
          }
        });
      });

      it("finds nothing in any table that stands for a picture", async () => {
        const pages = await pagesOf();
        await withPage({ size, scheme }, async (page) => {
          for (const [name, address] of pages) {
            await open(page, address);
            const toggles = page.locator("button.linky[aria-pressed=false]");
            if ((await toggles.count()) === 0) continue;
            while ((await toggles.count()) > 0) await toggles.first().click();
            await check(page, `${name} as tables`);
          }
        });
      });
    });
  }
}

const DIALOGS = [
  ["the palette", "/", (page) => page.keyboard.press("Control+k")],
  ["the keys", "/", (page) => page.keyboard.press("?")],
  ["the key", "/", (page) => page.locator(".who button").click()],
  ["the messages", "/", (page) => page.getByRole("button", { name: "Messages" }).click()],
  ["reject", "/decisions", (page) => page.getByRole("button", { name: "Reject…" }).last().click()],
  [
    "an alarm's evidence",
    "/alarms",
    async (page) => {
      await page.locator("table.alarms button.linky").first().click();
      await page.locator("figure.evidence svg.plot").waitFor();
    },
  ],
  ...(isMock
    ? [
        [
          "an alarm judged again",
          "/alarms",
          async (page) => {
            await page.locator("table.alarms button.linky").first().click();
            await page.getByRole("button", { name: "Judge it again" }).click();
            await page.locator("figure.evidence .again").waitFor();
          },
        ],
      ]
    : []),
  [
    "add a source",
    "/connect",
    (page) =>
      page
        .getByRole("button", { name: /^Add a source/ })
        .first()
        .click(),
  ],
  [
    "a source",
    "/connect",
    async (page) => {
      await page.locator("table.sources button.linky").first().click();
      await page.locator("dialog.drawer").waitFor();
    },
  ],
  [
    "learn a model",
    "/connect",
    async (page) => {
      await page.getByRole("button", { name: "Learn a model…" }).click();
      await page.getByLabel("Asset").selectOption("north/km-60");
      await page.getByText(/^It holds about/).waitFor();
    },
  ],
  ...(isMock
    ? [
        [
          "a model beside another",
          "/connect",
          async (page) => {
            await page.getByRole("button", { name: /^Compare…/ }).click();
            await page.getByRole("button", { name: "Reject…" }).click();
          },
        ],
      ]
    : []),
  ["a new key", "/connect", (page) => page.getByRole("button", { name: "Make a key…" }).click()],
  ["another date", "/decisions", (page) => page.getByRole("button", { name: "Other date…" }).click()],
];

/** What a phone opens in another way or not at all. */
const DESK_ONLY = new Set([
  "the palette",
  "the keys",
  "the key",
  "the messages",
  "an alarm's evidence",
  "an alarm judged again",
]);

describe("axe, open dialogs, phone", () => {
  for (const [name, address, act] of DIALOGS.filter(
    ([each, where]) => !DESK_ONLY.has(each) && where !== "/decisions",
  )) {
    it(name, () =>
      withPage({ size: "phone", scheme: "dark" }, async (page) => {
        await open(page, address);
        await act(page);
        await page.waitForSelector("dialog[open]");
        await check(page, `${name} on a phone`);
      }),
    );
  }
});

for (const scheme of SCHEMES) {
  describe(`axe, open dialogs, ${scheme}`, () => {
    for (const [name, address, act] of DIALOGS) {
      it(name, async () => {
        const decision = await waitingDecision();
        await withPage({ scheme }, async (page) => {
          await open(
            page,
            address === "/decisions" ? `/decisions?decision=${decision.decision_id}` : address,
          );
          await act(page);
          await page.waitForSelector("dialog[open]");
          await check(page, name);
          await page.keyboard.press("Escape");
          await page.waitForSelector("dialog[open]", { state: "detached" });
        });
      });
    }
  });
}
