import { describe, expect, it } from "vitest";
import {
  age,
  assetName,
  duration,
  hasAll,
  interval,
  limit,
  moment,
  number,
  numberWithin,
  percent,
  plusMinus,
  quantity,
  readable,
  sensorName,
  withoutAsset,
  wordsOf,
} from "./format";

const DAY = 86_400;

describe("a search", () => {
  it("wants every word, whatever its case", () => {
    const words = wordsOf("  P-2 flow ");
    expect(words).toEqual(["p-2", "flow"]);
    expect([hasAll("north/p-2/Flow", words), hasAll("north/p-2/power", words), hasAll("x", [])]).toEqual([
      true,
      false,
      true,
    ]);
  });
});

describe("numbers", () => {
  it("have one precision per unit and a real minus sign", () => {
    expect(number(4.6, "mm/s")).toBe("4.60");
    expect(number(720.31, "m³/h")).toBe("720.3");
    expect(number(-3.14, "bar")).toBe("\u22123.1");
    expect(number(-0.0001, "bar")).toBe("0.0");
    expect(number(null)).toBe("–");
    expect(number(Number.NaN)).toBe("–");
  });

  it("keep two digits that say something when they are small, and their size when they are huge", () => {
    expect(number(0.0268, "g")).toBe("0.027");
    expect(number(-0.00031)).toBe("\u22120.00031");
    expect(number(0)).toBe("0.00");
    expect(number(0.93)).toBe("0.93");
    expect(number(2.4e12, "bar")).toBe("2.4\u00a0×\u00a010¹²");
    expect(number(3e-9)).toBe("3.0\u00a0×\u00a010⁻⁹");
  });

  it("have the digits that their error leaves", () => {
    expect(plusMinus(9.3472, 0.0763)).toBe("9.35 ± 0.08");
    expect(plusMinus(-1234.5, 87)).toBe("\u22121,235 ± 87");
    expect(plusMinus(2.5, 0)).toBe("2.50 ± 0.00");
  });

  it("carry their unit after a space that does not break", () => {
    expect(quantity(51.4, "bar")).toBe("51.4\u00a0bar");
    expect(limit(708, "m³/h")).toBe("708\u00a0m³/h");
    expect(percent(0.82)).toBe("82\u00a0%");
    expect(percent(0.016)).toBe("1.6\u00a0%");
  });
});

describe("times", () => {
  it("are said in at most two parts", () => {
    expect(duration(4)).toBe("4\u00a0s");
    expect(duration(19 * 60)).toBe("19\u00a0min");
    expect(duration(3 * 3600 + 6 * 60)).toBe("3\u00a0h 6\u00a0min");
    expect(duration(23 * 3600 + 33 * 60)).toBe("23\u00a0h");
    expect(duration(-5)).toBe("0\u00a0s");
  });

  it("of age never lie in the future", () => {
    expect(age(-300)).toBe("0.0\u00a0s");
    expect(age(400)).toBe("0.4\u00a0s");
  });

  it("show the day only when it is another one", () => {
    const now = Date.UTC(2026, 10, 19, 14, 26);
    expect(moment("2026-11-19T13:48:00Z", now)).toBe("13:48");
    expect(moment("2026-11-15T08:00:00Z", now)).toBe("15 Nov 08:00");
  });

  it("keep one unit over an interval", () => {
    const words = interval({ median: 19 * DAY, low: 12 * DAY, high: 27 * DAY });
    expect(words).toEqual({ median: "19 days", range: "12 to 27", short: "12–27\u00a0d" });
    expect(interval({ median: 19 * DAY, low: 12 * DAY, high: null }).range).toBe("12 or more");
    expect(interval({ median: 5 * 3600, low: 3 * 3600, high: 9 * 3600 }).median).toBe("5 hours");
  });
});

describe("names", () => {
  it("are those people say", () => {
    expect(assetName("north/p-2")).toBe("P-2");
    expect(assetName("north/km-60")).toBe("km 60");
    expect(sensorName("north/p-2/bearing_temp")).toBe("P-2 bearing temp");
    expect(sensorName("north/km-30/pressure-b")).toBe("km 30 pressure B");
    expect(sensorName("odd")).toBe("odd");
  });

  it("are not said twice", () => {
    expect(withoutAsset("Vibration high, P-2", "north/p-2")).toBe("Vibration high");
    expect(withoutAsset("Vibration high, P-1", "north/p-2")).toBe("Vibration high, P-1");
  });
});

it("times that a machine wrote are read as times", () => {
  expect(readable("Answer before 2026-11-22T15:07:28.549464Z, or it expires.")).toMatch(
    /^Answer before \d+ Nov \d\d:\d\d, or it expires\.$/,
  );
  expect(readable("no time in it")).toBe("no time in it");
});

it("a value on a plot has the digits that its scale can show", () => {
  expect(numberWithin(42.6137, "bar", 0.4)).toBe("42.614");
  expect(numberWithin(42.6137, "bar", 4)).toBe("42.61");
  expect(numberWithin(42.6137, "bar", 40)).toBe("42.6");
  expect(numberWithin(-2957.2, "rpm", 100)).toBe("\u22122,957");
  expect(numberWithin(1, null, 0)).toBe("1.00");
});
