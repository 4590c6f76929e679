// Checks pages with axe-core: `node e2e/axe.mjs --base URL --key KEY`. Exit code 1 when anything is found.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { argument, launch, newPage, open, pagesOf } from "./browser.mjs";

const source = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** The violations on the page as it stands now, one line each. */
export async function violations(page) {
  await page.evaluate(source);
  const found = await page.evaluate(
    (tags) =>
      window.axe.run(document, { runOnly: { type: "tag", values: tags }, resultTypes: ["violations"] }),
    TAGS,
  );
  return found.violations.flatMap((v) =>
    v.nodes.map(
      (node) =>
        `${v.id}: ${node.target.join(" ")} ${(node.failureSummary ?? "").split("\n").slice(1).join(" ").trim()}`,
    ),
  );
}

export const LOOKS = [
  ["desk", "light"],
  ["desk", "dark"],
  ["phone", "light"],
  ["phone", "dark"],
];

async function main() {
  const base = argument("base", "http://127.0.0.1:4100");
  const key = argument("key", "");
  const browser = await launch();
  let total = 0;
  try {
    const pages = await pagesOf(base, key);
    for (const [size, scheme] of LOOKS) {
      const { page, context } = await newPage(browser, { size, scheme });
      for (const [name, address] of pages) {
        await open(page, base, address, key);
        const found = await violations(page);
        total += found.length;
        process.stdout.write(
          `${name} ${size} ${scheme}: ${found.length}\n${found.map((line) => `  ${line}\n`).join("")}`,
        );
      }
      await context.close();
    }
  } finally {
    await browser.close();
  }
  process.stdout.write(`${total} violations\n`);
  process.exitCode = total === 0 ? 0 : 1;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();
