import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { LOOKS, violations } from "./axe.mjs";
import { launch, newPage, open, pagesOf } from "./browser.mjs";

const base = process.env.E2E_BASE;
const key = process.env.E2E_KEY;
let browser;

before(async () => {
  browser = await launch();
});
after(() => browser.close());

for (const [size, scheme] of LOOKS) {
  describe(`axe, ${size}, ${scheme}`, () => {
    it("finds nothing on any page", async () => {
      const { page, context, errors } = await newPage(browser, { size, scheme });
      for (const [name, address] of await pagesOf(base, key)) {
        await open(page, base, address, key);
        assert.deepEqual(await violations(page), [], name);
      }
      assert.deepEqual(errors, [], "nothing is written to the console");
      await context.close();
    });
  });
}

const DIALOGS = [
  ["the palette", "/", (page) => page.keyboard.press("Control+k")],
  ["the keys", "/", (page) => page.keyboard.press("?")],
  ["the key", "/", (page) => page.locator(".who button").click()],
  ["the messages", "/", (page) => page.getByRole("button", { name: "Messages" }).click()],
  ["reject", "/decisions", (page) => page.getByRole("button", { name: "Reject…" }).last().click()],
  ["other date", "/decisions", (page) => page.getByRole("button", { name: "Other date…" }).click()],
];

for (const scheme of ["light", "dark"]) {
  describe(`axe, open dialogs, ${scheme}`, () => {
    for (const [name, address, act] of DIALOGS) {
      it(name, async (t) => {
        const { page, context } = await newPage(browser, { scheme });
        await open(page, base, address, key);
        if (
          address === "/decisions" &&
          (await page.getByRole("button", { name: "Other date…" }).count()) === 0
        ) {
          await context.close();
          t.skip("no decision waits on this server");
          return;
        }
        await act(page);
        await page.waitForSelector("dialog[open]");
        assert.deepEqual(await violations(page), []);
        await page.keyboard.press("Escape");
        await page.waitForSelector("dialog[open]", { state: "detached" });
        await context.close();
      });
    }

    it("every picture as a table", async () => {
      const { page, context } = await newPage(browser, { scheme });
      for (const [name, address] of await pagesOf(base, key)) {
        await open(page, base, address, key);
        const toggles = page.locator("button.linky[aria-pressed=false]");
        while ((await toggles.count()) > 0) await toggles.first().click();
        assert.deepEqual(await violations(page), [], name);
      }
      await context.close();
    });
  });
}
