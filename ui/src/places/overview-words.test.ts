import { describe, expect, it } from "vitest";
import type { Alert, Decision, WorkOrder } from "../api/types";
import { nextSteps, overviewTitle } from "./overview-words";

const NOW = Date.UTC(2026, 10, 19, 14);
const iso = (ms: number) => new Date(ms).toISOString();

const alert = (more: Partial<Alert>): Alert =>
  ({
    alert_id: "a",
    number: 1,
    sensor: "north/km-60/flow",
    asset: "north/km-60",
    title: "Flow low, KM-60",
    priority: 1,
    state: "acknowledged",
    active: true,
    raised_at: iso(NOW - 60_000),
    ...more,
  }) as Alert;

const decision = {
  decision_id: "d",
  number: 318,
  title: "Replace the bearing of P-2",
  asset: "north/p-2",
  severity: "high",
  state: "waiting",
  expires_at: iso(NOW + 3_600_000),
  evidence: {
    time_to_limit_s: { median: 19 * 86_400, low: 12 * 86_400, high: 27 * 86_400, confidence: 0.8 },
  },
} as Decision;

describe("the title of the overview", () => {
  it("says when nothing is wrong", () => {
    expect(overviewTitle([], [])).toBe("Everything is normal.");
  });

  it("names the worst, what wears, and the rest", () => {
    expect(overviewTitle([alert({})], [decision])).toBe(
      "Flow low at km 60. P-2 reaches its limit in 19 days. Everything else is normal.",
    );
    expect(overviewTitle([alert({ priority: 3 })], [])).toBe(
      "One asset needs a look. Everything else is normal.",
    );
  });
});

describe("do next", () => {
  it("is worst first and knows overdue work", () => {
    const work = {
      work_id: "w",
      number: 633,
      decision_id: "d",
      title: "Grease",
      state: "scheduled",
      priority: 4,
      ends_at: iso(NOW - 1000),
    } as WorkOrder;
    const steps = nextSteps({
      alerts: [alert({ state: "unacknowledged", priority: 1 })],
      decisions: [decision],
      incidents: [],
      works: [work],
      now: NOW,
    });
    expect(steps.map((step) => step.kind)).toEqual(["alarms", "decision", "work"]);
    expect(steps[1]?.detail).toContain("19 days to the limit, 12 to 27.");
  });

  it("is empty when nothing waits", () => {
    expect(nextSteps({ alerts: [alert({})], decisions: [], incidents: [], works: [], now: NOW })).toEqual([]);
  });
});
