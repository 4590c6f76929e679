import { describe, expect, it } from "vitest";
import type { Sensor, Series } from "../../api/types";
import { askedWord, findSensors } from "./find";
import { plotData } from "./plotData";
import { runsOf } from "./River";
import { healthOf, orderWorst, type Trouble, unitName, unitsOf } from "./units";
import { bare } from "./ValueStrip";

const sensor = (key: string, more: Partial<Sensor> = {}): Sensor => {
  const [site = "", own = "", measure = ""] = key.split("/");
  return {
    key,
    site,
    asset: `${site}/${own}`,
    measure,
    kind: "flow",
    unit: "bar",
    expected_low: 40,
    expected_high: 50,
    trust: "trusted",
    origin: "simulated",
    created_at: "2026-11-19T00:00:00Z",
    metadata: {},
    quarantined: false,
    score: 0,
    version: 1,
    latest: null,
    anomaly: null,
    ...more,
  };
};

const AT = Date.UTC(2026, 10, 19, 14);
const bucket = (i: number, mean: number, count = 1) => ({
  at: new Date(AT + i * 60_000).toISOString(),
  count,
  min: mean - 1,
  max: mean + 1,
  mean,
  first: mean,
  last: mean,
});
const series = (means: number[]): Series => ({
  sensor: "north/km-45/pressure",
  unit: "bar",
  width_s: 60,
  buckets: means.map((mean, i) => bucket(i, mean)),
});

const trouble: Trouble = {
  id: "1",
  sensor: "north/km-45/pressure",
  title: "Pressure low",
  priority: 1,
  unseen: true,
  from: AT + 8 * 60_000,
  to: null,
  backAt: null,
};

describe("units", () => {
  it("are named by metadata, else by the asset", () => {
    expect(unitName(sensor("north/p-2/vibration"))).toBe("Pump station");
    expect(unitName(sensor("north/km-45/pressure"))).toBe("km 45");
    expect(unitName(sensor("plant/machine/temperature"))).toBe("machine");
    expect(unitName(sensor("north/p-2/vibration", { metadata: { area: "Station A" } }))).toBe("Station A");
    expect(unitsOf([sensor("north/p-1/a"), sensor("north/p-2/b"), sensor("north/t-2/level")])).toHaveLength(
      2,
    );
  });

  it("swell outside the expected range and most while something stands", () => {
    const unit = { name: "km 45", sensors: [sensor("north/km-45/pressure")] };
    const data = new Map([["north/km-45/pressure", series([45, 45.1, 44.9, 45, 45.1, 45, 45, 39, 39, 39])]]);
    const calm = healthOf(unit, data, []);
    const bad = healthOf(unit, data, [trouble]);
    expect(calm.distance[0]?.value).toBeLessThan(0.2);
    expect(calm.distance[8]?.value).toBeGreaterThan(0.4);
    expect(bad.distance[8]?.value).toBeGreaterThan(calm.distance[8]?.value ?? 1);
    expect(bad.worst).toBe(trouble);
    expect(orderWorst([calm, bad])[0]).toBe(bad);
  });
});

describe("finding sensors", () => {
  const all = [sensor("north/p-2/vibration", { unit: "mm/s" }), sensor("north/km-45/pressure")];
  it("takes words and fields", () => {
    expect(findSensors(all, "p-2")).toEqual([all[0]]);
    expect(findSensors(all, "unit:bar")).toEqual([all[1]]);
    // The server takes one part of a key; the longest word says most.
    expect(askedWord("well-200 press unit:bar")).toBe("well-200");
    expect(askedWord("asset:p-2")).toBe("p-2");
    expect(findSensors(all, "north unit:mm")).toEqual([all[0]]);
    expect(findSensors(all, "")).toEqual(all);
  });
});

describe("plots", () => {
  it("leave out empty buckets and lift the pen over a gap", () => {
    const holes: Series = {
      ...series([]),
      buckets: [bucket(0, 1), bucket(1, 2), bucket(2, 0, 0), bucket(3, 3), bucket(30, 4)],
    };
    expect(plotData(holes, false)[1]).toEqual([1, 2, 3, null, 4]);
    expect(plotData(undefined, true)).toEqual([[], [], [], [], []]);
  });
});

it("a value does not say its own quantity twice", () => {
  expect(bare("Vibration far from normal", "vibration")).toBe("far from normal");
  expect(bare("Bearing temperature rising", "bearing_temp")).toBe("rising");
  expect(bare("Delivery flow low", "flow")).toBe("Delivery flow low");
  expect(bare("Vibration", "vibration")).toBe("Vibration");
});

it("a time without readings is a gap in the river", () => {
  const at = (t: number) => ({ at: t, value: 0.1 });
  expect(runsOf([0, 10, 20, 100, 110].map(at), 5).runs.map((run) => run.length)).toEqual([3, 2]);
  expect(runsOf([0, 60, 120].map(at), 5)).toMatchObject({ step: 60, runs: [{ length: 3 }] });
  expect(runsOf([], 5).runs).toEqual([]);
});
