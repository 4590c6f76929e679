import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, expect, it } from "vitest";
import { Problem } from "../api/http";
import { ProblemNote } from "./Note";

afterEach(cleanup);

it("an error says what is wrong and what to do; codes are folded away", () => {
  const error = new Problem({
    type: "/docs/errors/decision-settled",
    title: "Somebody has answered already",
    status: 409,
    detail: "D-12 is approved by tom.",
    errors: [{ field: "reason", reason: "must not be empty" }],
    request_id: "019a-7e0b",
  });
  render(<ProblemNote error={error} what="Your answer was not taken" />);
  expect(screen.getByRole("alert").textContent).toContain("Your answer was not taken");
  expect(screen.getByText("D-12 is approved by tom.")).toBeTruthy();
  expect(screen.getByText("019a-7e0b").closest("details")?.open).toBe(false);
});

it("an unknown fault shows no internals", () => {
  render(<ProblemNote error={new TypeError("x is not a function")} />);
  expect(screen.getByRole("alert").textContent).not.toContain("x is not");
});
