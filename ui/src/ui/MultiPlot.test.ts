// @vitest-environment node
import { expect, it } from "vitest";
import { apart, join, type Line, spread } from "./MultiPlot";
import type { PlotData } from "./plotParts";

const line = (key: string, times: number[], values: (number | null)[]): Line => {
  const none = values.map(() => null);
  return {
    key,
    unit: "bar",
    limits: [],
    marks: [],
    steps: [],
    data: [times, values, none, none, none] as PlotData,
  };
};

it("lines with readings at different times share one row of times, gaps stay gaps", () => {
  const { data, read } = join([line("a", [1, 3, 4], [10, null, 30]), line("b", [2, 4], [5, 7])], false);
  expect(data[0]).toEqual([1, 2, 3, 4]);
  expect(read[0]).toEqual([10, undefined, null, 30]);
  expect(read[1]).toEqual([undefined, 5, undefined, 7]);
});

it("each line is normalised to its own range, and told as it was read", () => {
  const { data, read } = join([line("a", [1, 2, 3], [10, 20, 30]), line("b", [1, 2], [4, 4])], true);
  expect(data[1]).toEqual([0, 50, 100]);
  expect(data[2]?.slice(0, 2)).toEqual([50, 50]);
  expect(read[0]).toEqual([10, 20, 30]);
  expect(spread([null, undefined])).toEqual({ low: 0, size: 1 });
});

it("labels keep their order, their distance and the plot", () => {
  expect(apart([10, 12, 90], 15, 0, 100)).toEqual([10, 25, 90]);
  expect(apart([95, 98, 99], 15, 0, 100)).toEqual([70, 85, 100]);
});
