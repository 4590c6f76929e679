import { QueryClient } from "@tanstack/react-query";
import { describe, expect, it, vi } from "vitest";
import { applyTicks, LiveCache, upsert } from "./live";
import { type Flow, type Source, sourcesQuery } from "./sources";
import type { Alert, Envelope, Page, Sensor, Tick } from "./types";

const sensor = (key: string): Sensor =>
  ({
    key,
    site: "north",
    asset: "north/p-2",
    measure: "vibration",
    latest: null,
    anomaly: null,
  }) as unknown as Sensor;

const tick = (at: string, value: number): Tick => ({
  at,
  values: [{ sensor: "north/p-2/vibration", at, value, quality: "good" }],
});

const event = (type: string, data: unknown): Envelope => ({
  id: "e",
  specversion: "1.0",
  dataschema: `${type}/1`,
  type,
  source: "plainview/test",
  subject: "s",
  time: "2026-11-19T14:00:00Z",
  correlationid: "c",
  data,
});

describe("lists", () => {
  it("replace what they know and put the new first", () => {
    const page: Page<{ id: string; n: number }> = { items: [{ id: "a", n: 1 }] };
    expect(upsert(page, { id: "a", n: 2 }, (x) => x.id)?.items).toEqual([{ id: "a", n: 2 }]);
    expect(upsert(page, { id: "b", n: 3 }, (x) => x.id)?.items.map((x) => x.id)).toEqual(["b", "a"]);
    expect(upsert(undefined, { id: "b", n: 3 }, (x) => x.id)).toBeUndefined();
  });

  it("take the newest value of a frame and leave other sensors alone", () => {
    const other = sensor("north/p-1/vibration");
    const page = { items: [sensor("north/p-2/vibration"), other] };
    const next = applyTicks(page, [tick("2026-11-19T14:00:00Z", 4.5), tick("2026-11-19T14:00:01Z", 4.6)]);
    expect(next?.items[0]?.latest?.value).toBe(4.6);
    expect(next?.items[1]).toBe(other);
  });
});

describe("the live cache", () => {
  it("patches alarms at once and asks for what depends on them once", () => {
    vi.useFakeTimers();
    const client = new QueryClient();
    client.setQueryData(["alerts"], { items: [] });
    const asked = vi.spyOn(client, "invalidateQueries");
    const live = new LiveCache(client, () => {});
    const alert = { alert_id: "1", title: "Vibration high" } as Alert;
    live.apply([
      event("alert.created", alert),
      event("alert.acknowledged", { ...alert, state: "acknowledged" }),
    ]);
    expect(client.getQueryData<Page<Alert>>(["alerts"])?.items).toEqual([
      { ...alert, state: "acknowledged" },
    ]);
    expect(asked).not.toHaveBeenCalled();
    vi.advanceTimersByTime(5000);
    expect(asked.mock.calls.map(([filter]) => filter?.queryKey?.[0]).sort()).toEqual([
      "alert-quality",
      "incident",
    ]);
    vi.useRealTimers();
  });

  it("asks for the changes of level again when one was found", () => {
    vi.useFakeTimers();
    const client = new QueryClient();
    const asked = vi.spyOn(client, "invalidateQueries");
    const live = new LiveCache(client, () => {});
    live.apply([event("changepoint.detected", {}), event("changepoint.detected", {})]);
    vi.advanceTimersByTime(5000);
    expect(asked.mock.calls).toEqual([[{ queryKey: ["changepoints"] }]]);
    vi.useRealTimers();
  });

  it("follows sources by their ticks and asks for none of them", () => {
    const client = new QueryClient();
    const source = (id: string, readings: number) => ({ id, readings }) as Source;
    const flow = (stored_per_s: number) => ({ stored_per_s }) as Flow;
    const before = { sources: [source("json/b", 1), source("mqtt/c", 1)], flow: flow(1) };
    client.setQueryData(sourcesQuery.queryKey, before);
    const asked = vi.spyOn(client, "invalidateQueries");
    const live = new LiveCache(client, () => {});
    const sources = [source("json/b", 5), source("json/a", 2)];
    live.apply([event("source.tick", { at: "x", sources, removed: ["mqtt/c"], flow: flow(7) })]);
    const after = client.getQueryData(sourcesQuery.queryKey);
    expect(after?.sources.map((it) => [it.id, it.readings])).toEqual([
      ["json/a", 2],
      ["json/b", 5],
    ]);
    expect(after?.flow.stored_per_s).toBe(7);
    expect(asked).not.toHaveBeenCalled();
  });
});
