import { since } from "../../api/tail";
import type { Series } from "../../api/types";
import type { PlotData } from "../../ui/TimePlot";

/** A hole wider than this many usual distances is a gap and not drawn over. */
const GAP = 6;

function usualStep(times: readonly number[]): number {
  const steps: number[] = [];
  for (let i = 1; i < times.length; i++) steps.push((times[i] ?? 0) - (times[i - 1] ?? 0));
  steps.sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)] ?? 1;
}

/** Buckets, then what the stream brought since, with the pen lifted over gaps. */
export function plotData(series: Series | undefined, live: boolean): PlotData {
  const rows: [number, number, number, number][] = [];
  for (const bucket of series?.buckets ?? []) {
    if (bucket.count > 0) rows.push([Date.parse(bucket.at) / 1000, bucket.mean, bucket.min, bucket.max]);
  }
  const width = series?.width_s ?? 1;
  if (live && series) {
    const last = rows[rows.length - 1];
    // The last bucket is still filling; the stream goes on where it ends.
    const after = last ? (last[0] + width) * 1000 : 0;
    let next = after;
    for (const [at, value] of last ? since(series.sensor, after) : []) {
      if (at < next) continue;
      rows.push([at / 1000, value, value, value]);
      next = at + width * 500;
    }
  }
  const step = Math.max(width, usualStep(rows.map((row) => row[0])));
  const out: PlotData = [[], [], [], []];
  let previous: number | null = null;
  for (const [at, mean, min, max] of rows) {
    if (previous !== null && at - previous > step * GAP) {
      out[0].push(previous + step);
      out[1].push(null);
      out[2].push(null);
      out[3].push(null);
    }
    out[0].push(at);
    out[1].push(mean);
    out[2].push(min);
    out[3].push(max);
    previous = at;
  }
  return out;
}
