import { describe, expect, it } from "vitest";
import type { Anomaly } from "../../api/types";
import { contributionsOf, evidenceWindow, evidenceWords } from "./evidence";

const at = (s: number) => new Date(Date.parse("2026-11-19T14:00:00Z") + s * 1000).toISOString();

const anomaly = (more: object = {}): Anomaly =>
  ({
    anomaly_id: "a",
    sensor: "north/km-60/flow",
    asset: "north/km-60",
    site: "north",
    kind: "flow",
    unit: "m³/h",
    rule: "score",
    state: "active",
    severity: "high",
    score: 0.93,
    value: 707.4,
    expected: { low: 708, high: 735 },
    started_at: at(200),
    detected_at: at(260),
    cleared_at: null,
    evidence: { from: at(100), to: at(260), samples: 600, baseline_mean: 720.1, baseline_spread: 0.8 },
    detector: { name: "sensor", version: "1" },
    origin: "real",
    ...more,
  }) as Anomaly;

describe("the evidence", () => {
  it("says what was read, what is usual, what was expected and when it was found", () => {
    const now = Date.parse(at(600));
    expect(evidenceWords(anomaly(), now)).toBe(
      "km 60 flow moved as it never did before at 14:03:20: it read 707.4\u00a0m³/h. Usual is 720.1 ± 0.8, learned from 600 readings. From 708.0 to 735.0\u00a0m³/h would have been in order. Found 1\u00a0min after it began, at 14:04:20.",
    );
    const silent = anomaly({ rule: "missing", value: 43, expected: { low: 0, high: 10 } });
    expect(evidenceWords(silent, now)).toContain(
      "nothing came for 43\u00a0s, at most 10\u00a0s were in order.",
    );
  });

  it("begins before the first sign and ends after the last, also for data that came late", () => {
    const now = Date.parse(at(600));
    const live = evidenceWindow(anomaly(), now);
    expect(live.from).toBeLessThan(Date.parse(at(100)));
    expect(live.to).toBeGreaterThanOrEqual(now);
    const late = anomaly({ detected_at: at(90_000), cleared_at: at(400) });
    expect(evidenceWindow(late, Date.parse(at(90_000))).to).toBeLessThan(Date.parse(at(1000)));
  });

  it("names who contributed, largest first, as shares of one", () => {
    const parts = contributionsOf(
      anomaly({
        contributions: [
          { sensor: "north/a/x", share: 1 },
          { sensor: "north/b/y", share: 3 },
        ],
      }),
    );
    expect(parts).toEqual([
      { sensor: "north/b/y", share: 0.75 },
      { sensor: "north/a/x", share: 0.25 },
    ]);
    expect(contributionsOf(anomaly())).toEqual([]);
  });
});
