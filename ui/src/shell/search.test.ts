import { describe, expect, it } from "vitest";
import { match } from "./Palette";
import { alarmSearch, rootSearch, workbenchSearch } from "./search";

describe("the address", () => {
  it("is read with care: what makes no sense is left out", () => {
    expect(rootSearch({ range: "4h", site: "north" })).toEqual({ range: "4h", site: "north" });
    expect(rootSearch({ range: "soon" }).range).toBeUndefined();
    expect(alarmSearch({ view: "new", p: "2", q: "pump" })).toEqual({ view: "new", p: 2, q: "pump" });
    expect(alarmSearch({ view: "x", p: 9 })).toEqual({ view: undefined, p: undefined, q: undefined });
  });

  it("takes a fixed window only whole and forward", () => {
    expect(workbenchSearch({ from: 1, to: 2 })).toMatchObject({ from: 1, to: 2 });
    expect(workbenchSearch({ from: 2, to: 1 }).from).toBeUndefined();
    expect(workbenchSearch({ from: 2 }).from).toBeUndefined();
    expect(workbenchSearch({ from: -5, to: 2 }).from).toBeUndefined();
    expect(workbenchSearch({ from: 1, to: 9e15 }).from).toBeUndefined();
  });
});

describe("the palette", () => {
  const entries = [
    { name: "Workbench", hint: "place" },
    { name: "D-318 Replace the bearing", hint: "waiting" },
    { name: "north/p-2/bearing_temp", hint: "sensor" },
  ];
  it("finds every word, earliest hit first", () => {
    expect(match(entries, "bearing").map((e) => e.name)).toEqual([
      "north/p-2/bearing_temp",
      "D-318 Replace the bearing",
    ]);
    expect(match(entries, "replace waiting")).toHaveLength(1);
    expect(match(entries, "nothing")).toEqual([]);
  });
});
