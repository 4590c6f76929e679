import { describe, expect, it } from "vitest";
import { gapsBefore } from "./gaps";

const every = (step: number, n: number, from = 0) => Array.from({ length: n }, (_, i) => from + i * step);

describe("gaps", () => {
  it("are not seen in slow history beside fast live data", () => {
    const times = [...every(10, 60), ...every(1, 300, 600)];
    expect(gapsBefore(times).filter(Boolean)).toEqual([]);
    expect(gapsBefore([...every(1, 300), ...every(10, 60, 310)]).filter(Boolean)).toEqual([]);
  });

  it("are seen in fast data, also when they are no longer than a usual distance elsewhere", () => {
    const times = [...every(10, 60), ...every(1, 100, 600), ...every(1, 100, 712)];
    expect(gapsBefore(times).flatMap((gap, i) => (gap ? [times[i]] : []))).toEqual([712]);
  });

  it("need something beside them to be judged by", () => {
    expect(gapsBefore([0, 500])).toEqual([false, false]);
    expect(gapsBefore([])).toEqual([]);
    expect(gapsBefore([0, 1, 2, 500])).toEqual([false, false, false, true]);
  });

  it("narrower than a few buckets cannot be told from empty ones", () => {
    expect(gapsBefore([...every(1, 10), 50], 10).some(Boolean)).toBe(false);
  });
});
