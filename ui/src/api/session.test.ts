import { expect, it } from "vitest";
import { adoptKeyFromFragment, currentKey, setKey } from "./session";

it("the key leaves the address and stays in the tab", () => {
  setKey(null);
  window.history.replaceState(null, "", "/app/decisions?decision=1#key=pv_a%2Bb");
  adoptKeyFromFragment(window.location, window.history);
  expect(currentKey()).toBe("pv_a+b");
  expect(window.location.hash).toBe("");
  expect(window.location.search).toBe("?decision=1");
  setKey(null);
  expect(currentKey()).toBeNull();
});
