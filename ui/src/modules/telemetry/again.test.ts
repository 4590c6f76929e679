import { describe, expect, it } from "vitest";
import type { Anomaly, ExplainedAnomaly, SeriesEvidence } from "../../api/types";
import { againWords, expectedWords, measureWords, observedWords, unweighedWords, weightsOf } from "./again";

const anomaly = (more: object = {}) =>
  ({ rule: "score", unit: "m³/h", evidence: { baseline_spread: 0.8 }, ...more }) as Anomaly;

const series = (more: object = {}): SeriesEvidence => ({
  aspects: [
    { aspect: "jump", share: 0.24 },
    { aspect: "shift", share: 0.7 },
    { aspect: "tides", share: 0.06 },
  ],
  detector: { name: "sensor", version: "2" },
  expected: { low: 708, high: 735 },
  found_at: "2026-11-21T14:00:00Z",
  measure: 0.97,
  observed: 705.6,
  readings: [],
  threshold: 0.5,
  ...more,
});

describe("an anomaly judged again", () => {
  it("names what weighed, the heaviest first, and keeps names it does not know", () => {
    expect(weightsOf(series()).map(({ words, share }) => [words.split(" ")[0], share])).toEqual([
      ["Level", 0.7],
      ["Jump", 0.24],
      ["tides", 0.06],
    ]);
  });

  it("says what was observed, what was expected and how far that is away", () => {
    expect(observedWords(anomaly(), series())).toBe("705.6\u00a0m³/h");
    expect(expectedWords(anomaly(), series())).toBe("708.0 to 735.0\u00a0m³/h, 2.4\u00a0m³/h below");
    expect(expectedWords(anomaly(), series({ observed: 720 }))).toMatch(/, inside$/);
    expect(expectedWords(anomaly(), series({ expected: null }))).toBe("nothing in particular");
  });

  it("tells silence as time, whatever the unit", () => {
    const silent = anomaly({ rule: "missing" });
    expect(observedWords(silent, series({ observed: 43 }))).toBe("43\u00a0s");
  });

  it("measures a score against its threshold and a rule by its limit", () => {
    expect(measureWords(anomaly(), series())).toBe("0.97 when it was found, an anomaly from 0.50 on");
    const rate = measureWords(anomaly({ rule: "rate" }), series({ measure: 0.6, limit: 2 }));
    expect(rate).toMatch(/^60\s%, limit 2\.0\sm³\/h per second$/);
    expect(unweighedWords(anomaly({ rule: "range" }))).toContain("range looks at one thing");
  });

  it("says whether the answer was the same, and why not", () => {
    const explained = (more: object) => ({ same: false, again: null, series: series(), ...more });
    const words = (more: object) => againWords(explained(more) as ExplainedAnomaly);
    expect(words({ same: true })).toContain("the same answer");
    const late = series({ hindrance: "readings came late" });
    expect(words({ series: late, again: anomaly() })).toBe(
      "Judged again it came out differently: readings came late.",
    );
    const readings = [{ at: "2026-11-21T14:00:00Z", value: 720, score: 0.2 }];
    expect(words({ series: { ...late, readings } })).toBe(
      "Judged again it was not found: readings came late.",
    );
    expect(words({ series: late })).toBe("It could not be judged again: readings came late.");
  });
});
