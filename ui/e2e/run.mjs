// The UI in a real browser: `npm run e2e -- [--base URL --key KEY] [--only NAME] [--decision ID] [--pictures DIR]`
//
// Without --base the built UI is served by the mock plant on a free port; with it a running Plainview is asked.
// --only takes one of the files beside this one: journeys, explorer, axe, million, approve (of --decision) or pictures.
// The README's pictures are only taken when --pictures says where they go.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = path.dirname(fileURLToPath(import.meta.url));
const ENDING = ".test.mjs";
const MOCK_KEY = "dev-key";
const NAMES = readdirSync(here)
  .filter((name) => name.endsWith(ENDING))
  .map((name) => name.slice(0, -ENDING.length));

function startMock() {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["dev/mock-server.mjs", "--port", "0", "--dist", "dist"], {
      cwd: path.dirname(here),
      stdio: ["ignore", "pipe", "inherit"],
    });
    child.once("exit", (code) => reject(new Error(`the mock plant ended with ${code}`)));
    child.stdout.once("data", (line) => resolve({ child, base: String(line).split("/app/")[0] }));
  });
}

const TEXT = { type: "string", default: "" };
const { values: given } = parseArgs({
  options: { base: TEXT, key: TEXT, only: TEXT, decision: TEXT, pictures: TEXT },
});
if (given.only && !NAMES.includes(given.only)) {
  throw new Error(`there is no ${given.only}; --only takes ${NAMES.join(", ")}`);
}
const names = given.only ? [given.only] : NAMES.filter((name) => name !== "pictures" || given.pictures);
const mock = given.base ? null : await startMock();
const files = names.map((name) => path.join(here, name + ENDING));
const run = spawn(process.execPath, ["--test", "--test-concurrency=1", "--test-reporter=spec", ...files], {
  stdio: "inherit",
  env: {
    ...process.env,
    E2E_BASE: (given.base || mock.base).replace(/\/$/, ""),
    E2E_KEY: given.key || (mock ? MOCK_KEY : ""),
    E2E_MOCK: mock ? "1" : "",
    E2E_DECISION: given.decision,
    E2E_PICTURES: given.pictures && path.resolve(given.pictures),
  },
});
run.on("exit", (code) => {
  mock?.child.removeAllListeners("exit");
  mock?.child.kill();
  process.exitCode = code ?? 1;
});
