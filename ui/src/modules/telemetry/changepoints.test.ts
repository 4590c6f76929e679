import { describe, expect, it } from "vitest";
import type { Changepoint, Sensor } from "../../api/types";
import { clockSeconds } from "../../ui/format";
import { changesIn, levelWords, sureWords } from "./changepoints";

const T0 = Date.parse("2026-11-21T14:00:00Z");
const iso = (s: number) => new Date(T0 + s * 1000).toISOString();
const sensors = ["north/km-60/flow", "north/km-60/pressure"].map(
  (key, i) => ({ key, asset: "north/km-60", unit: i === 0 ? "m³/h" : "bar" }) as Sensor,
);
const window = { from: T0, to: T0 + 600_000 };

const point = (more: object = {}): Changepoint => ({
  changepoint_id: "c",
  sensor: "north/km-60/flow",
  asset: "north/km-60",
  site: "north",
  unit: "m³/h",
  changed_at: iso(100),
  noticed_at: iso(160),
  before: 720,
  after: 705.6,
  noise: 0.8,
  confidence: 0.94,
  detector: { name: "changepoint", version: "1.0.0" },
  inputs: [],
  origin: "real",
  ...more,
});

describe("changes of level", () => {
  it("say from where to where, when and how sure", () => {
    const [change] = changesIn([point()], sensors, window, T0 + 600_000);
    expect(change?.label).toBe(
      `level changed from 720.0 to 705.6\u00a0m³/h at ${clockSeconds(iso(100))}, confidence 94\u00a0%`,
    );
    expect(change).toMatchObject({ at: T0 / 1000 + 100, before: 720, after: 705.6, anomaly: null });
  });

  it("of an asset show in the plotted sensors that moved, each with its own levels and unit", () => {
    const inputs = [
      { sensor: "north/km-60/pressure", before: 42.7, after: 42.4, spreads: 6 },
      { sensor: "north/km-60/temperature", before: 8, after: 9, spreads: 2 },
    ];
    const whole = point({ sensor: null, before: null, after: null, unit: null, inputs });
    expect(changesIn([whole], sensors, window, T0)).toMatchObject([
      { sensor: "north/km-60/pressure", before: 42.7, after: 42.4, unit: "bar" },
    ]);
  });

  it("leave out what is not plotted, lies outside or has no levels, and go by time", () => {
    const found = [
      point({ changepoint_id: "late", changed_at: iso(300) }),
      point({ sensor: "north/km-15/flow" }),
      point({ changed_at: iso(-1) }),
      point({ before: null }),
      point({ changepoint_id: "early", changed_at: iso(50) }),
    ];
    expect(changesIn(found, sensors, window, T0).map((each) => each.id.split(" ")[0])).toEqual([
      "early",
      "late",
    ]);
  });

  it("are never certain", () => {
    expect(sureWords(0.999)).toBe("over 99\u00a0%");
    expect(sureWords(0.94)).toBe("94\u00a0%");
  });

  it("keep the digits that tell two levels apart", () => {
    expect(levelWords(42.704, 42.71, "bar")).toEqual(["42.704", "42.710\u00a0bar"]);
  });
});
