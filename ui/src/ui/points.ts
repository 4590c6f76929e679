import type { Series } from "../api/types";
import type { Pt } from "./svg";

/** A hole wider than this many usual distances is a gap and not drawn over. */
const GAP = 6;

/** The means of a series for a small plot; a gap is a point without a value, which lifts the pen. */
export function pointsOf(series: Series | undefined): Pt[] {
  const filled = (series?.buckets ?? []).filter((bucket) => bucket.count > 0);
  const times = filled.map((bucket) => Date.parse(bucket.at));
  const steps = times.slice(1).map((at, i) => at - (times[i] ?? at));
  const usual = steps.toSorted((a, b) => a - b)[Math.floor(steps.length / 2)] ?? 0;
  const step = Math.max(usual, (series?.width_s ?? 0) * 1000);
  return filled.flatMap((bucket, i): Pt[] => {
    const at = times[i] ?? 0;
    const before = times[i - 1];
    const point: Pt = [at, bucket.mean];
    return before !== undefined && at - before > step * GAP ? [[before + step, Number.NaN], point] : [point];
  });
}
