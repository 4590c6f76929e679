import { expect, it } from "vitest";
import type { Series } from "../api/types";
import { pointsOf } from "./points";

it("lifts the pen where no readings came", () => {
  const bucket = (s: number, count = 1) => ({
    at: new Date(s * 1000).toISOString(),
    count,
    mean: s,
    min: s,
    max: s,
    first: s,
    last: s,
  });
  const series = { sensor: "a/b/c", width_s: 10, buckets: [0, 10, 20, 200].map((s) => bucket(s)) } as Series;
  expect(pointsOf(series).map((point) => point[1])).toEqual([0, 10, 20, Number.NaN, 200]);
  expect(pointsOf({ ...series, buckets: [bucket(0), bucket(10, 0)] })).toHaveLength(1);
  expect(pointsOf(undefined)).toEqual([]);
});
