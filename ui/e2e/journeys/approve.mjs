// A person approves a decision in the browser:
// `node e2e/journeys/approve.mjs --base URL --key KEY --decision ID [--reason TEXT]`
// Prints one JSON line: the decision, its state and the work order that came of it.
import { pathToFileURL } from "node:url";
import { argument, launch, newPage, open, read } from "../browser.mjs";

const PATIENCE_MS = 30_000;

export async function approve(page, { base, key, decision, reason = "Agreed, the evidence is clear." }) {
  await open(page, base, `/decisions?decision=${decision}`, key);
  const panel = page.locator("#decision");
  await panel.getByLabel("Reason").fill(reason);
  await panel.getByRole("button", { name: /^Approve/ }).click();
  await panel
    .getByText(/^Approved/)
    .first()
    .waitFor({ timeout: PATIENCE_MS });
  const order = panel.getByTestId("work-order");
  await order.waitFor({ timeout: PATIENCE_MS });
  const words = (await order.innerText()).split("\n")[0];
  const works = (await read(base, "/maintenance/scheduled?limit=500", key)).items;
  const work = works.find((each) => each.decision_id === decision);
  const after = (await read(base, "/decisions?limit=500", key)).items.find(
    (each) => each.decision_id === decision,
  );
  return {
    decision,
    state: after?.state,
    reason: after?.reason,
    work: work?.work_id,
    work_state: work?.state,
    words,
  };
}

async function main() {
  const options = {
    base: argument("base", "http://127.0.0.1:4000").replace(/\/$/, ""),
    key: argument("key", ""),
    decision: argument("decision", ""),
    reason: argument("reason", "Agreed, the evidence is clear."),
  };
  if (!options.decision) {
    const waiting = (await read(options.base, "/decisions/pending?limit=100", options.key)).items;
    if (waiting.length === 0) throw new Error("no decision waits");
    options.decision = waiting[0].decision_id;
  }
  const browser = await launch();
  try {
    const { page } = await newPage(browser);
    const result = await approve(page, options);
    process.stdout.write(`${JSON.stringify(result)}\n`);
    if (result.state !== "approved" || !result.work) process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();
