import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { MOST_SPAN_S, TimeView } from "./view";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it("moves at once, draws once a frame and tells the page when the hand rests", () => {
  const settled = vi.fn();
  const drawn = vi.fn();
  const view = new TimeView(0, 100, settled);
  view.subscribe(drawn);
  view.pan(0.1);
  view.pan(0.1);
  expect([view.from, view.to]).toEqual([20, 120]);
  vi.advanceTimersByTime(20);
  expect(drawn).toHaveBeenCalledTimes(1);
  expect(settled).not.toHaveBeenCalled();
  // The clock must not take it away from the hand.
  view.show(500, 600);
  expect(view.from).toBe(20);
  vi.advanceTimersByTime(500);
  expect(settled).toHaveBeenCalledExactlyOnceWith(20, 120);
  view.show(500, 600);
  expect(view.from).toBe(500);
});

it("keeps the place under the hand where it is, and does not run into the future", () => {
  const view = new TimeView(0, 100, () => {});
  view.zoom(0.5, 0.2);
  expect([view.from, view.to]).toEqual([10, 60]);
  const now = Date.now() / 1000;
  view.move(now, now + 100);
  expect(view.to).toBeCloseTo(now + 10, 3);
  view.stop();
});

it("looks no wider than dates can be written", () => {
  const now = Date.now() / 1000;
  const view = new TimeView(now - 100, now, () => {});
  for (let i = 0; i < 400; i++) view.zoom(1.1);
  expect(view.to - view.from).toBe(MOST_SPAN_S);
  expect(view.from).toBeGreaterThanOrEqual(0);
  expect(() => new Date(view.to * 1000).toISOString()).not.toThrow();
  view.stop();
});
