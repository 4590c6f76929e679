import { describe, expect, it } from "vitest";
import type { Anomaly } from "../../api/types";
import { moment } from "../../ui/format";
import { bandOf, contributionsOf, evidenceWindow, evidenceWords, gistWords, mainSensor } from "./evidence";

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

  it("of a process model names the sensor that shows it most and where it lay normally, never a wide room", () => {
    const now = Date.parse(at(600));
    const process = anomaly({
      rule: "process",
      value: 74.3,
      unit: "°C",
      expected: { low: -83.5, high: 233.6 },
      evidence: { from: at(200), to: at(260), samples: 298, baseline_mean: 75.03, baseline_spread: 52.8 },
      contributions: [
        { sensor: "north/km-60/pressure", share: 0.9 },
        { sensor: "north/km-60/flow", share: 0.1 },
      ],
      process: { model_version: 1, interval_s: 1, look: "level", t2: 27.7, q: 0.76, row_at: at(259) },
    });
    const sensor = mainSensor(process);
    expect(sensor).toBe("north/km-60/pressure");
    expect(bandOf(process, "bar")).toBeNull();
    const normal = { low: 42.4, high: 42.8, from: Date.parse(at(-600)), to: Date.parse(at(0)) };
    const band = bandOf(process, "bar", normal);
    expect(band?.words).toBe("normal 42.40 to 42.80");
    const words = evidenceWords(process, now, { sensor, unit: "bar", value: 41.912, band }, normal);
    expect(words).toBe(
      "The sensors of km 60 no longer go together as they do normally, since 14:03:20. km 60 pressure contributed most, 90\u00a0%: it read 41.91\u00a0bar. From 42.40 to 42.80\u00a0bar is normal, learned 19 Nov 13:50 to 14:00. Found 1\u00a0min after it began, at 14:04:20. Furthest beyond its limit: their lasting level (T² 27.7, Q 0.76).".replaceAll(
        "19 Nov 13:50",
        moment(normal.from, now),
      ),
    );
    expect(gistWords(process)).not.toMatch(/±/);
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
