import assert from "node:assert/strict";
import { list, open, read } from "./browser.mjs";

const REASON = "Agreed, the evidence is clear.";

/** Finds the decision on the board, approves it with a reason and sees the work that is planned. */
export async function approve(page, { decision_id: id, number }) {
  await open(page, "/decisions");
  const card = page.locator(`article[aria-labelledby="card-${id}"]`);
  await card.getByRole("button").first().click();
  const panel = page.locator("#decision");
  await panel.getByRole("heading", { name: new RegExp(`^D-${number}\\b`) }).waitFor();
  await panel.getByRole("button", { name: /^Approve/ }).click();
  await panel.getByText("Say in a few words why.").waitFor();
  await panel.getByLabel("Reason").fill(REASON);
  await panel.getByRole("button", { name: /^Approve/ }).click();
  await panel.getByRole("heading", { name: /^Approved by / }).waitFor();
  await panel.getByText(REASON).waitFor();
  const order = panel.getByTestId("work-order");
  await order.waitFor();

  const after = await read(`/decisions/${id}`);
  assert.equal(after.state, "approved");
  assert.equal(after.reason, REASON);
  const work = (await list("/maintenance/scheduled?state=all")).find((each) => each.decision_id === id);
  assert.equal(work?.state, "scheduled");
  assert.match(await order.innerText(), new RegExp(`W-${work.number}\\b`));
}
