import { describe, expect, it } from "vitest";
import type { Flow, KindField, Source } from "../../../api/sources";
import { inlets } from "./Flow";
import { disagreement, headline, rate, worstFirst } from "./model";
import { readSettings } from "./SourceDialog";
import { CLIENTS, freshAsset, freshName, sampleSensor, snippet } from "./snippets";

const NOW = Date.parse("2026-11-19T14:26:40Z");

const source = (name: string, more: Partial<Source> = {}): Source => ({
  id: `mqtt/${name}`,
  name,
  protocol: "mqtt",
  address: "",
  kind: "connector",
  desired: "running",
  state: "live",
  reconciled: true,
  configured_in: "file",
  readings: 1,
  refused: 0,
  rate_per_s: 100,
  rates: [],
  lag_ms: null,
  backlog: 0,
  reconnects: 0,
  newest_at: null,
  last_heard_at: null,
  connected_since: null,
  last_error: null,
  details: [],
  settings: null,
  version: null,
  ...more,
});

const flow = (perS: number): Flow => ({
  received_per_s: perS,
  refused_per_s: 0,
  stored_per_s: perS,
  bytes_per_reading: null,
  readers: [],
});

const silent = source("cathodic-protection", {
  state: "silent",
  rate_per_s: 0,
  newest_at: new Date(NOW - 240_000).toISOString(),
});

describe("the headline", () => {
  it("says the rate and the worst", () => {
    expect(headline([source("a"), silent], flow(4846), NOW)).toBe(
      "4,846 readings a second. Cathodic protection silent for 4\u00a0min.",
    );
    expect(headline([source("a")], flow(27), NOW)).toBe(
      "27 readings a second from 1 source, nothing is silent.",
    );
    expect(headline([], flow(0), NOW)).toBe("Nothing feeds Plainview yet.");
    const stopped = source("b", { state: "stopped", reconciled: false });
    expect(headline([stopped], flow(0), NOW)).toBe("0 readings a second. B should run and is stopped.");
  });
});

describe("sources", () => {
  it("come worst first, and one that was stopped on purpose is not bad", () => {
    const stopped = source("on-purpose", { state: "stopped", desired: "stopped", rate_per_s: 0 });
    const failing = source("failing", { state: "failing", rate_per_s: 0 });
    const order = [source("live"), stopped, silent, failing].sort(worstFirst).map((s) => s.name);
    expect(order).toEqual(["failing", "cathodic-protection", "on-purpose", "live"]);
    expect(disagreement(stopped)).toBeNull();
    expect(disagreement(source("x", { reconciled: false, desired: "stopped" }))).toBe("should be stopped");
  });

  it("flow by door, and the silent ones stand alone", () => {
    const all = inlets([source("a"), source("b", { rate_per_s: 50 }), silent]);
    expect(all.map((each) => [each.name, each.rate])).toEqual([
      ["MQTT", 150],
      ["Cathodic protection", 0],
    ]);
  });

  it("have a rate that is short and never looks like nothing", () => {
    expect([0, 0.01, 0.44, 9.96, 3902.4].map(rate)).toEqual(["0", "< 0.1", "0.4", "10", "3,902"]);
  });
});

describe("the fields of a source", () => {
  const fields: KindField[] = [
    { name: "host", label: "Host", kind: "text", required: true },
    { name: "port", label: "Port", kind: "number", required: false },
    { name: "password", label: "Password", kind: "secret", required: true },
    { name: "topics", label: "Topics", kind: "json", required: false },
  ];

  it("are sent as what they are, and a secret that was not touched is kept", () => {
    const values = { host: " plc ", port: "502", password: "", topics: '["a"]' };
    expect(readSettings(fields, values, { password: "***" })).toEqual({
      settings: { host: "plc", port: 502, password: "***", topics: ["a"] },
      wrong: {},
    });
  });

  it("say what is wrong with each", () => {
    const { wrong } = readSettings(fields, { port: "x", topics: "{" }, null);
    expect(Object.keys(wrong).sort()).toEqual(["host", "password", "port", "topics"]);
  });
});

describe("the snippets", () => {
  const facts = {
    origin: "https://north.example:4000",
    key: "pv_x_y",
    keyName: "ingest-7",
    site: "north",
    asset: "p-4",
    broker: null,
  };

  it("hold the key and the way to us", () => {
    for (const client of CLIENTS) {
      const text = snippet(client, facts);
      expect(text).toContain("pv_x_y");
      expect(text).toContain("north.example");
    }
    expect(sampleSensor(facts)).toBe("north/p-4/vibration");
  });

  it("take a name and an asset that are free", () => {
    expect(freshName(["ingest-1", "ingest-2"])).toBe("ingest-3");
    expect(freshAsset(["north/p-1/speed", "south/p-2/speed"], "north")).toBe("p-2");
  });
});
