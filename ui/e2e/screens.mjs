// Writes screenshots of every page: `node e2e/screens.mjs --base URL --key KEY --out DIR [--only NAME]`.
// With --readme only the pictures of the README are taken, under their own names.
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { argument, launch, newPage, open, pagesOf, settled } from "./browser.mjs";

const base = argument("base", "http://127.0.0.1:4100");
const key = argument("key", "");
const readme = process.argv.includes("--readme");
const out = argument("out", readme ? "../docs/images" : ".screens");
const only = argument("only", "");

const README = {
  overview: "light",
  alarms: "dark",
  incident: "light",
  decisions: "light",
  workbench: "light",
  "golden-path": "dark",
};

await mkdir(out, { recursive: true });
const browser = await launch();
try {
  const pages = (await pagesOf(base, key)).filter(([name]) => !only || name === only);
  const sizes = readme ? ["desk"] : ["desk", "phone"];
  for (const size of sizes) {
    for (const scheme of ["light", "dark"]) {
      const { page, context, errors } = await newPage(browser, { size, scheme });
      for (const [name, address] of pages) {
        if (readme && README[name] !== scheme) continue;
        await open(page, base, address, key);
        await page.waitForTimeout(1200);
        await settled(page);
        const file = readme ? `${name}.png` : `${name}-${size}-${scheme}.png`;
        await page.screenshot({ path: path.join(out, file), fullPage: !readme });
      }
      if (errors.length > 0) process.stderr.write(`${size} ${scheme}: ${[...new Set(errors)].join("\n")}\n`);
      await context.close();
    }
  }
  if (readme) {
    const { page, context } = await newPage(browser, { size: "phone", scheme: "dark" });
    await open(page, base, "/", key);
    await page.screenshot({ path: path.join(out, "phone.png") });
    await context.close();
  }
} finally {
  await browser.close();
}
