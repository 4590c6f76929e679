// First load may cost at most 300 kB of gzipped JavaScript and 40 kB of CSS; a lazy chunk at most 220 kB.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";

const KB = 1024;
const BUDGET = { first_js: 300 * KB, first_css: 40 * KB, lazy_js: 220 * KB };
const dist = path.resolve("dist");
const html = readFileSync(path.join(dist, "index.html"), "utf8");
const first = new Set([...html.matchAll(/\/app\/(assets\/[^"]+)/g)].map((match) => match[1]));
if (/<script(?![^>]*\bsrc=)/.test(html))
  throw new Error("index.html has an inline script; the content security policy forbids it");

// What a first script imports statically is loaded first as well.
const queue = [...first];
while (queue.length > 0) {
  const name = queue.pop();
  if (!name?.endsWith(".js")) continue;
  const code = readFileSync(path.join(dist, name), "utf8");
  for (const [, file] of code.matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) {
    const full = `assets/${file}`;
    if (!first.has(full)) {
      first.add(full);
      queue.push(full);
    }
  }
}

const size = (name) => gzipSync(readFileSync(path.join(dist, name)), { level: 9 }).length;
const sum = (ending) =>
  [...first].filter((name) => name.endsWith(ending)).reduce((all, name) => all + size(name), 0);
const lazy = readdirSync(path.join(dist, "assets"))
  .map((name) => `assets/${name}`)
  .filter((name) => name.endsWith(".js") && !first.has(name));
const rows = [
  ["first load, JavaScript", sum(".js"), BUDGET.first_js],
  ["first load, CSS", sum(".css"), BUDGET.first_css],
  ...lazy.map((name) => [`lazy ${path.basename(name)}`, size(name), BUDGET.lazy_js]),
];
for (const [name, bytes, most] of rows) {
  const fits = bytes <= most;
  process.stdout.write(
    `${fits ? "ok  " : "OVER"} ${name}: ${(bytes / KB).toFixed(1)} of ${most / KB} kB gz\n`,
  );
  if (!fits) process.exitCode = 1;
}
