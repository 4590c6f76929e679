// A person approves one decision: that of --decision, else any that waits.
import { it } from "node:test";
import { approve } from "./approve.mjs";
import { read, shareBrowser, waitingDecision, withPage } from "./browser.mjs";

shareBrowser();

it("a decision is approved and becomes a work order", async () => {
  const id = process.env.E2E_DECISION;
  const decision = id ? await read(`/decisions/${id}`) : await waitingDecision();
  await withPage({}, (page) => approve(page, decision));
});
