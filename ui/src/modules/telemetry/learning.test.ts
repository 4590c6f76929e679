import { describe, expect, it } from "vitest";
import { Problem } from "../../api/http";
import type { Anomaly, Series } from "../../api/types";
import {
  bodyOf,
  periodOf,
  previewOf,
  refusedFields,
  rowsWords,
  stoodIn,
  type Wish,
  wrongIn,
} from "./learning";

const T0 = Date.parse("2026-11-21T14:00:00Z");
const WIDTH_S = 60;
const SPAN_S = 3600;

/** An hour of minutes; `count` says how many readings the minute `i` has. */
const series = (sensor: string, count: (i: number) => number, value = (i: number) => i): Series =>
  ({
    sensor,
    width_s: WIDTH_S,
    buckets: Array.from({ length: 60 }, (_, i) => ({
      at: new Date(T0 + i * WIDTH_S * 1000).toISOString(),
      count: count(i),
      min: value(i),
      mean: value(i),
      max: value(i),
    })),
  }) as unknown as Series;

const wish: Wish = {
  asset: "north/p-7",
  sensors: ["north/p-7/flow"],
  fit: { from: "2026-11-21T00:00", to: "2026-11-21T12:00" },
  calibrate: null,
  interval: "",
};

describe("the preview of a model", () => {
  it("counts the rows in which every input has a value", () => {
    const flow = series("flow", () => 6);
    const late = series("late", (i) => (i < 6 ? 0 : 6));
    const preview = previewOf([flow, late], null, SPAN_S);
    expect(preview.intervalS).toBe(10);
    expect(preview.rows).toBe(54 * 6);
    expect(rowsWords(preview.rows, preview.intervalS)).toBe("about 324 rows of 10\u00a0s");
  });

  it("says which sensors would be left out and why, and does not wait for them", () => {
    const preview = previewOf(
      [
        series("flow", () => 6),
        series("half", (i) => (i % 2 ? 6 : 0)),
        series(
          "still",
          () => 6,
          () => 1,
        ),
        series("mute", () => 0),
      ],
      null,
      SPAN_S,
    );
    expect(preview.inputs.map(({ why }) => why)).toEqual([
      null,
      "a value in 50\u00a0% of the rows",
      "does not move",
      "no readings",
    ]);
    expect(preview.rows).toBe(360);
  });

  it("takes the width that is asked for, also one wider than a bucket", () => {
    expect(previewOf([series("flow", () => 6)], 300, SPAN_S).rows).toBe(12);
    // One reading in five minutes is no gap.
    const slow = previewOf([series("slow", (i) => (i % 5 ? 0 : 1))], null, SPAN_S);
    // As many rows as a period may have.
    expect(previewOf([series("flow", () => 60)], null, 86_400).intervalS).toBe(2);
    expect([slow.intervalS, slow.rows]).toEqual([300, 12]);
  });

  it("is empty without readings", () => {
    expect(previewOf([], null, SPAN_S).rows).toBe(0);
    expect(previewOf([series("mute", () => 0)], null, SPAN_S).rows).toBe(0);
  });
});

describe("the form of a model", () => {
  it("names what is wrong in its own field", () => {
    const backwards = { from: wish.fit.to, to: wish.fit.from };
    expect(wrongIn(wish)).toEqual({});
    expect(
      Object.keys(
        wrongIn({ ...wish, sensors: [], fit: backwards, calibrate: { from: "", to: "" }, interval: "no" }),
      ),
    ).toEqual(["sensors", "fit", "calibrate", "interval_s"]);
    expect(wrongIn({ ...wish, asset: "" })).toEqual({ asset: "Choose the asset." });
    expect(bodyOf({ ...wish, fit: backwards }, null)).toBeNull();
    expect(bodyOf(wish, { intervalS: 10, rows: 1, inputs: [] })?.interval_s).toBe(10);
    expect(bodyOf({ ...wish, interval: "2,5" }, null)).toMatchObject({
      fit: { from: new Date("2026-11-21T00:00").toISOString() },
      calibrate: null,
      sensors: wish.sensors,
      interval_s: 2.5,
    });
  });

  it("puts what the server refuses beside its field, and nothing else", () => {
    const refusal = (field: string) =>
      new Problem({ status: 422, title: "No", errors: [{ field, reason: "12 complete rows" }] });
    expect(refusedFields(refusal("fit"))).toEqual({ fit: "12 complete rows." });
    expect(refusedFields(refusal("somewhere"))).toBeNull();
    expect(refusedFields(new Problem({ status: 503, title: "Busy" }))).toBeNull();
  });

  it("knows what stood on the asset in the period", () => {
    const anomaly = (asset: string, from: number, to: number | null) =>
      ({
        asset,
        started_at: new Date(T0 + from).toISOString(),
        cleared_at: to === null ? null : new Date(T0 + to).toISOString(),
      }) as Anomaly;
    const all = [
      anomaly("a/b", -10_000, -5000),
      anomaly("a/b", -10_000, 5000),
      anomaly("a/b", 5000, null),
      anomaly("a/c", 5000, null),
      anomaly("a/b", 20_000, null),
    ];
    expect(stoodIn(all, "a/b", { from: T0, to: T0 + 10_000 })).toEqual([all[1], all[2]]);
    expect(periodOf({ from: "", to: "" })).toBeNull();
  });
});
