/** What a process model would be learned from: how many rows the readings of a period make. */

import { Problem } from "../../api/http";
import type { ModelBody } from "../../api/models";
import type { Window } from "../../api/queries";
import type { Anomaly, Series } from "../../api/types";
import { percent, plural } from "../../ui/format";
import { filledOf } from "../../ui/points";
import { stoodDuring } from "./evidence";

/** What the server asks for; it has the last word. */
export const FIT_ROWS_MIN = 30;
export const CALIBRATE_ROWS_MIN = 20;
export const INPUTS_MOST = 256;
/** Of one period. */
const ROWS_MOST = 50_000;
const FILLED_SHARE_MIN = 0.8;
const INTERVAL_S = { min: 0.001, max: 86_400 };
const INTERVALS_S = [0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];
/** With more readings than this in a bucket a bucket without any is a gap. */
const DENSE = 1.5;

export interface Input {
  sensor: string;
  readings: number;
  /** Why it would be left out. */
  why: string | null;
}

export interface Preview {
  intervalS: number;
  /** In which every input that stays has a value. */
  rows: number;
  inputs: Input[];
}

interface Counted {
  sensor: string;
  at: number[];
  counts: number[];
  readings: number;
  moves: boolean;
}

function countedOf(series: Series): Counted {
  const filled = filledOf(series);
  return {
    sensor: series.sensor,
    at: filled.map((bucket) => Date.parse(bucket.at) / 1000),
    counts: filled.map((bucket) => bucket.count),
    readings: filled.reduce((sum, bucket) => sum + bucket.count, 0),
    moves: Math.min(...filled.map((bucket) => bucket.min)) < Math.max(...filled.map((bucket) => bucket.max)),
  };
}

/** The width that most of the sensors report in, as a round number, and as many rows as are taken. */
function usualInterval(all: readonly Counted[], widthS: number, spanS: number): number {
  const usual = all
    .filter(({ readings }) => readings > 0)
    .map(({ at, readings }) => {
      const dense = readings > at.length * DENSE;
      const covered = dense ? at.length * widthS : (at.at(-1) ?? 0) - (at[0] ?? 0) + widthS;
      return covered / readings;
    })
    .sort((a, b) => a - b);
  const seconds = usual[Math.floor(usual.length / 2)] ?? 1;
  const least = Math.max(0.95 * seconds, spanS / ROWS_MOST);
  return INTERVALS_S.find((round) => round >= least) ?? 3600;
}

/** About what the server will find in a period of `spanS`, from summaries alone. */
export function previewOf(all: readonly Series[], asked: number | null, spanS: number): Preview {
  const own = all.map(countedOf);
  const widthS = Math.max(0.001, ...all.map((series) => series.width_s ?? 0));
  const intervalS = asked ?? usualInterval(own, widthS, spanS);
  const stepS = Math.max(widthS, intervalS);
  const first = Math.min(...own.flatMap(({ at }) => at.slice(0, 1)));
  const rowsOf = own.map(({ at, counts }) => {
    const steps = new Map<number, number>();
    at.forEach((t, i) => {
      const step = Math.floor((t - first) / stepS + 1e-6);
      steps.set(step, Math.min(stepS / intervalS, (steps.get(step) ?? 0) + (counts[i] ?? 0)));
    });
    return steps;
  });
  const steps = [...new Set(rowsOf.flatMap((each) => [...each.keys()]))];
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
  const any = sum(steps.map((step) => Math.max(...rowsOf.map((each) => each.get(step) ?? 0))));
  const inputs = own.map(({ sensor, readings, moves }, i): Input => {
    const share = any > 0 ? sum([...(rowsOf[i]?.values() ?? [])]) / any : 0;
    const why =
      readings === 0
        ? "no readings"
        : share < FILLED_SHARE_MIN
          ? `a value in ${percent(share)} of the rows`
          : moves
            ? null
            : "does not move";
    return { sensor, readings, why };
  });
  const kept = rowsOf.filter((_, i) => inputs[i]?.why === null);
  const rows =
    kept.length === 0 ? 0 : sum(steps.map((step) => Math.min(...kept.map((each) => each.get(step) ?? 0))));
  return { intervalS, rows: Math.floor(rows + 1e-6), inputs };
}

/** `about 8,640 rows of 10 s` */
export const rowsWords = (rows: number, intervalS: number): string =>
  `about ${plural(rows, "row")} of ${intervalS}\u00a0s`;

/** What the form holds, as it was typed. */
export interface Wish {
  asset: string;
  sensors: readonly string[];
  fit: { from: string; to: string };
  /** null: the last quarter of `fit`. */
  calibrate: { from: string; to: string } | null;
  interval: string;
}

export const FIELDS = ["asset", "sensors", "fit", "calibrate", "interval_s"] as const;
export type Wrong = Partial<Record<(typeof FIELDS)[number], string>>;

/** A stretch of local time; null when it is none. */
export function periodOf({ from, to }: { from: string; to: string }): Window | null {
  const window = { from: Date.parse(from), to: Date.parse(to) };
  return window.from < window.to ? window : null;
}

/** Its width in seconds; null when it is left to the server, NaN when it cannot be. */
export function intervalOf(text: string): number | null {
  if (text.trim() === "") return null;
  const value = Number(text.replace(",", "."));
  return value >= INTERVAL_S.min && value <= INTERVAL_S.max ? value : Number.NaN;
}

function periodWrong({ from, to }: { from: string; to: string }): string | undefined {
  if (!from || !to) return "Say where it starts and where it ends.";
  return periodOf({ from, to }) ? undefined : "The end lies before the start. Choose a later end.";
}

/** What is wrong before anybody is asked, by field. */
export function wrongIn({ asset, sensors, fit, calibrate, interval }: Wish): Wrong {
  const all: Wrong = {
    asset: asset ? undefined : "Choose the asset.",
    sensors:
      !asset || (sensors.length > 0 && sensors.length <= INPUTS_MOST)
        ? undefined
        : `Choose 1 to ${INPUTS_MOST} sensors.`,
    fit: periodWrong(fit),
    calibrate: calibrate ? periodWrong(calibrate) : undefined,
    interval_s: Number.isNaN(intervalOf(interval))
      ? `Must be a number from ${INTERVAL_S.min} to ${INTERVAL_S.max.toLocaleString("en-US")}.`
      : undefined,
  };
  return Object.fromEntries(Object.entries(all).filter(([, words]) => words !== undefined));
}

const period = ({ from, to }: Window) => ({
  from: new Date(from).toISOString(),
  to: new Date(to).toISOString(),
});

/** What is sent, with the width that was shown; null while something is wrong. */
export function bodyOf(wish: Wish, preview: Preview | null): ModelBody | null {
  const fit = periodOf(wish.fit);
  const calibrate = wish.calibrate && periodOf(wish.calibrate);
  if (!fit || Object.keys(wrongIn(wish)).length > 0) return null;
  return {
    fit: period(fit),
    calibrate: calibrate ? period(calibrate) : null,
    sensors: [...wish.sensors],
    interval_s: intervalOf(wish.interval) ?? preview?.intervalS ?? null,
  };
}

/** What the server says against single fields; null when it says anything else. */
export function refusedFields(error: unknown): Wrong | null {
  if (!(error instanceof Problem) || error.errors.length === 0) return null;
  const known = error.errors.map(({ field, reason }) => [
    FIELDS.find((each) => field.startsWith(each)),
    reason,
  ]);
  if (known.some(([field]) => field === undefined)) return null;
  return Object.fromEntries(known.map(([field, reason]) => [field, `${reason}.`]));
}

/** What stood on the asset in the period; what is learned as normal will not be said again. */
export const stoodIn = (anomalies: readonly Anomaly[], asset: string, window: Window): Anomaly[] =>
  anomalies.filter((anomaly) => anomaly.asset === asset && stoodDuring(anomaly, window));
