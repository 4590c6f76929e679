// `npm run e2e -- --base http://127.0.0.1:4000 --key pv_… [--decision ID] [--only NAME]`
// Without --base the built UI is served by the mock plant on a free port.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { argument } from "./browser.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const MOCK_KEY = "dev-key";

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

const given = argument("base", "");
const mock = given ? null : await startMock();
const only = argument("only", "");
const tests = readdirSync(here)
  .filter((name) => name.endsWith(".test.mjs") && name.includes(only))
  .map((name) => path.join(here, name));
const run = spawn(process.execPath, ["--test", "--test-concurrency=1", "--test-reporter=spec", ...tests], {
  stdio: "inherit",
  env: {
    ...process.env,
    E2E_BASE: (given || mock?.base || "").replace(/\/$/, ""),
    E2E_KEY: argument("key", mock ? MOCK_KEY : ""),
    E2E_DECISION: argument("decision", ""),
    E2E_MOCK: mock ? "1" : "",
  },
});
run.on("exit", (code) => {
  mock?.child.removeAllListeners("exit");
  mock?.child.kill();
  process.exitCode = code ?? 1;
});
