/** What came out when the readings behind an anomaly of a sensor were judged again. */
import type { Anomaly, ExplainedAnomaly, SeriesEvidence } from "../../api/types";
import { duration, number, percent } from "../../ui/format";
import { aboutTime, evidenceNumber } from "./evidence";

const ASPECTS: Record<string, string> = {
  jump: "Jump away from the last few readings",
  shift: "Level has left its long-term place",
  season: "Unlike other days or weeks at this time",
  noise: "Larger steps from reading to reading",
};

export interface Weight {
  words: string;
  /** Of one. */
  share: number;
}

/** What the score consists of, largest share first. */
export const weightsOf = ({ aspects }: SeriesEvidence): Weight[] =>
  aspects
    .map(({ aspect, share }) => ({ words: ASPECTS[aspect] ?? aspect, share }))
    .sort((a, b) => b.share - a.share);

/** Why there are no weights. */
export const unweighedWords = ({ rule }: Anomaly): string =>
  rule === "score"
    ? "What it consists of is only known of readings that could be judged again."
    : `The rule ${rule} looks at one thing only, so there is nothing to weigh.`;

/** Whether judging again gave the same, and why not. */
export function againWords({ same, again, series }: ExplainedAnomaly): string {
  if (same) return "Judged again, the readings gave the same answer.";
  const why = series?.hindrance ? `: ${series.hindrance}` : "";
  if (again) return `Judged again it came out differently${why}.`;
  // Nothing is judged when the state before cannot be used any more.
  return series?.readings.length
    ? `Judged again it was not found${why}.`
    : `It could not be judged again${why}.`;
}

/** In the terms of what was looked at: silence in seconds, else the unit of the sensor. */
const told = (anomaly: Anomaly, value: number): string =>
  aboutTime(anomaly) ? duration(value) : evidenceNumber(anomaly, value);

const withUnit = (anomaly: Anomaly, words: string): string =>
  anomaly.unit && !aboutTime(anomaly) ? `${words}\u00a0${anomaly.unit}` : words;

export const observedWords = (anomaly: Anomaly, { observed }: SeriesEvidence): string =>
  withUnit(anomaly, told(anomaly, observed));

/** `708.0 to 735.0 m³/h, 0.6 m³/h below` */
export function expectedWords(anomaly: Anomaly, { observed, expected }: SeriesEvidence): string {
  if (!expected) return "nothing in particular";
  const { low, high } = expected;
  const away = observed > high ? observed - high : observed < low ? low - observed : 0;
  const band = withUnit(anomaly, `${told(anomaly, low)} to ${told(anomaly, high)}`);
  if (away === 0) return `${band}, inside`;
  return `${band}, ${withUnit(anomaly, told(anomaly, away))} ${observed > high ? "above" : "below"}`;
}

/** What it was measured by: a score against its threshold, or the limit of a rule. */
export function measureWords(anomaly: Anomaly, { measure, threshold, limit }: SeriesEvidence): string {
  if (anomaly.rule === "score")
    return `${number(measure)} when it was found, an anomaly from ${number(threshold)} on`;
  if (limit == null) return percent(measure);
  const words = withUnit(anomaly, told(anomaly, limit));
  return `${percent(measure)}, limit ${words}${anomaly.rule === "rate" ? " per second" : ""}`;
}
