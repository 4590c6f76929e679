/** What a detector's finding rests on, in words and as the stretch of time to look at. */
import { queryOptions } from "@tanstack/react-query";
import { api, take } from "../../api/http";
import type { Window } from "../../api/queries";
import type { Anomaly } from "../../api/types";
import {
  assetName,
  clock,
  clockSeconds,
  duration,
  moment,
  number,
  numberWithin,
  percent,
  sensorName,
} from "../../ui/format";

/** Where a sensor lay in the period that the model of its asset was learned from, and when that was. */
export interface Normal extends Window {
  low: number;
  high: number;
}

/** The sensor that the picture of a finding shows. */
export interface Subject {
  sensor: string;
  unit: string | null | undefined;
  /** What it read when it was found. */
  value: number | null;
  /** What the detector would have taken for usual, with its words. */
  band: Band | null;
}

export interface Band {
  low: number;
  high: number;
  words: string;
  /** Beyond its ends lies what is not in order; else they only say what is usual. */
  strict: boolean;
}

/** Who contributed to a finding, largest first, as shares of one. */
export function contributionsOf(anomaly: Anomaly): { sensor: string; share: number }[] {
  const parts = anomaly.contributions ?? [];
  const sum = parts.reduce((all, part) => all + part.share, 0);
  return parts
    .map(({ sensor, share }) => ({ sensor, share: sum > 0 ? share / sum : 0 }))
    .sort((a, b) => b.share - a.share);
}

const LEAST_MS = 120_000;
/** Of the finding's own length, before and after it. */
const LEAD = 0.6;
const TRAIL = 0.15;

const ms = (at: string | null | undefined): number => Date.parse(at ?? "");

/** From well before the first sign to a little after the end, or to now while it stands. */
export function evidenceWindow(anomaly: Anomaly, now: number): Window {
  const start = Math.min(ms(anomaly.evidence.from), ms(anomaly.started_at));
  const over = anomaly.cleared_at ? ms(anomaly.cleared_at) : now;
  const found = ms(anomaly.detected_at);
  const end = Math.max(ms(anomaly.evidence.to), ms(anomaly.started_at), over, start + 1);
  // Late data is found long after it happened; that moment is not part of the picture then.
  const last = found < end + (end - start) ? Math.max(end, found) : end;
  const span = Math.max(LEAST_MS, last - start);
  return {
    from: Math.round(start - span * LEAD),
    to: Math.round(Math.min(last + span * TRAIL, now + span * TRAIL)),
  };
}

/** What the model of an asset saw, when the finding is about several sensors. */
export const processOf = (anomaly: Anomaly) => anomaly.process ?? null;

/** What judging the stored readings again brings. */
export const explainQuery = (id: string) =>
  queryOptions({
    queryKey: ["explained", id],
    queryFn: ({ signal }) =>
      take(api.GET("/api/v1/anomalies/{id}/explain", { params: { path: { id } }, signal })),
    staleTime: 60_000,
  });

const RULES: Record<string, string> = {
  score: "moved as it never did before",
  range: "left its expected range",
  rate: "changed faster than it may",
  flatline: "stopped changing",
  missing: "fell silent",
  process: "no longer goes together with the other sensors of its asset",
};

/** Its value and what was expected are seconds, whatever the unit of the sensor. */
export const aboutTime = ({ rule }: Anomaly): boolean => rule === "missing";

function foundWords(anomaly: Anomaly, at: (time: string) => string): string {
  const delay = (ms(anomaly.detected_at) - ms(anomaly.started_at)) / 1000;
  return delay < 2
    ? "Found at once"
    : `Found ${duration(delay)} after it began, at ${at(anomaly.detected_at)}`;
}

/** A spread must not be rounded away, nor what lies one spread off. */
export const evidenceNumber = ({ unit, evidence }: Anomaly, value: number): string =>
  numberWithin(value, unit, evidence.baseline_spread * 20);

const withUnit = (text: string, unit: string | null | undefined): string =>
  unit ? `${text}\u00a0${unit}` : text;

/** The one band that the finding was judged against. A process model judges all sensors together: of each
 *  it is said where it lay in the normal period, not the room that the model allows it alone. */
export function bandOf(anomaly: Anomaly, unit: string | null | undefined, normal?: Normal): Band | null {
  const { evidence, expected } = anomaly;
  if (processOf(anomaly)) {
    if (!normal) return null;
    const n = (value: number) => numberWithin(value, unit, (normal.high - normal.low) * 2);
    const { low, high } = normal;
    return { low, high, words: `normal ${n(low)} to ${n(high)}`, strict: false };
  }
  const n = (value: number) => evidenceNumber(anomaly, value);
  if (expected && !aboutTime(anomaly)) {
    const { low, high } = expected;
    return { low, high, words: `expected ${n(low)} to ${n(high)}`, strict: true };
  }
  if (evidence.samples === 0) return null;
  const { baseline_mean: mean, baseline_spread: spread } = evidence;
  return {
    low: mean - spread,
    high: mean + spread,
    words: `usual ${n(mean)} ± ${n(spread)}`,
    strict: false,
  };
}

/** Of a finding about several sensors those have a part that hold at least this share of it. */
const PART_LEAST = 0.1;

/** Whether a finding is about this sensor, alone or with others. */
export const concerns = (anomaly: Anomaly, sensor: string): boolean =>
  anomaly.sensor === sensor ||
  contributionsOf(anomaly).some((part) => part.sensor === sensor && part.share >= PART_LEAST);

/** Whether it touches the window; one that stands goes on to now. */
export const stoodDuring = (anomaly: Anomaly, { from, to }: Window): boolean =>
  Date.parse(anomaly.started_at) <= to &&
  (anomaly.cleared_at == null || Date.parse(anomaly.cleared_at) >= from);

/** The sensor in which a finding about several shows most. */
export function mainSensor(anomaly: Anomaly): string {
  const first = contributionsOf(anomaly)[0]?.sensor;
  return processOf(anomaly) && first?.includes("/") ? first : anomaly.sensor;
}

const LOOKS: Record<string, string> = {
  row: "single moments",
  spread: "how much they scatter",
  level: "their lasting level",
};

const atOf = (now: number) => (time: string) =>
  now - ms(time) < 43_200_000 ? clockSeconds(time) : moment(time, now);

function processWords(anomaly: Anomaly, now: number, subject: Subject | null, normal?: Normal): string[] {
  const process = processOf(anomaly);
  if (!process) return [];
  const at = atOf(now);
  const words = [
    `The sensors of ${assetName(anomaly.asset)} no longer go together as they do normally, since ${at(anomaly.started_at)}`,
  ];
  const first = contributionsOf(anomaly)[0];
  const read =
    subject?.value != null
      ? `: it read ${withUnit(numberWithin(subject.value, subject.unit, normal ? (normal.high - normal.low) * 2 : 0), subject.unit)}`
      : "";
  if (first) words.push(`${sensorName(first.sensor)} contributed most, ${percent(first.share)}${read}`);
  if (subject?.band && normal)
    words.push(
      `${subject.band.words.replace("normal ", "From ")}${subject.unit ? `\u00a0${subject.unit}` : ""} is normal, learned ${stretchOf(normal, now)}`,
    );
  words.push(foundWords(anomaly, at));
  words.push(
    `Furthest beyond its limit: ${LOOKS[process.look] ?? process.look} (T² ${number(process.t2)}, Q ${number(process.q)})`,
  );
  return words;
}

function stretchOf({ from, to }: Window, now: number): string {
  const sameDay = new Date(from).toDateString() === new Date(to).toDateString();
  return `${moment(from, now)} to ${sameDay ? clock(to) : moment(to, now)}`;
}

/** How the numbers speak: value against what is usual and what was expected. */
export function evidenceWords(
  anomaly: Anomaly,
  now: number,
  subject: Subject | null = null,
  normal?: Normal,
): string {
  const { unit, evidence, expected } = anomaly;
  const at = atOf(now);
  const end = (words: string[]) => words.map((each) => each.replace(/([^.])$/, "$1.")).join(" ");
  if (processOf(anomaly)) return end(processWords(anomaly, now, subject, normal));
  const head = `${sensorName(anomaly.sensor)} ${RULES[anomaly.rule] ?? anomaly.rule} at ${at(anomaly.started_at)}`;
  if (aboutTime(anomaly)) {
    const allowed = expected ? `, at most ${duration(expected.high)} were in order` : "";
    return end([`${head}: nothing came for ${duration(anomaly.value)}${allowed}`, foundWords(anomaly, at)]);
  }
  const n = (value: number) => evidenceNumber(anomaly, value);
  const words = [`${head}: it read ${withUnit(n(anomaly.value), unit)}.`];
  if (evidence.samples > 0) {
    words.push(
      `Usual is ${n(evidence.baseline_mean)} ± ${n(evidence.baseline_spread)}, learned from ${evidence.samples.toLocaleString("en-US")} readings.`,
    );
  }
  if (expected && (anomaly.value < expected.low || anomaly.value > expected.high)) {
    words.push(`From ${n(expected.low)} to ${withUnit(n(expected.high), unit)} would have been in order.`);
  }
  words.push(foundWords(anomaly, at));
  const first = contributionsOf(anomaly)[0];
  if (first && contributionsOf(anomaly).length > 1)
    words.push(`${sensorName(first.sensor)} contributed most, ${percent(first.share)}`);
  return end(words);
}

/** What it read and what is usual there, in one line. */
export function gistWords(anomaly: Anomaly): string {
  if (aboutTime(anomaly)) return `silent ${duration(anomaly.value)} at ${clockSeconds(anomaly.started_at)}`;
  const n = (value: number) => evidenceNumber(anomaly, value);
  const read = `${withUnit(n(anomaly.value), anomaly.unit)} at ${clockSeconds(anomaly.started_at)}`;
  const { baseline_mean: mean, baseline_spread: spread, samples } = anomaly.evidence;
  if (processOf(anomaly)) {
    const first = contributionsOf(anomaly)[0];
    return first ? `${read}; ${sensorName(first.sensor)} contributed most, ${percent(first.share)}` : read;
  }
  return samples > 0
    ? `${read}, usually ${n(mean)} ± ${n(spread)} over ${samples.toLocaleString("en-US")} readings`
    : read;
}

/** `17:39:25 to 17:49:25` */
export function evidenceSpan({ evidence }: Anomaly, now: number): string {
  const at = atOf(now);
  return `${at(evidence.from)} to ${at(evidence.to)}`;
}

export function detectorName(anomaly: Anomaly): string {
  const { detector, rule } = anomaly;
  const process = processOf(anomaly);
  const model = process ? `, model ${process.model_version}` : "";
  return `${detector.name} ${detector.version}, rule ${rule}${model}`;
}
