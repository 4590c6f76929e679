import type { Series } from "../api/types";
import { gapsBefore, usualStep } from "./gaps";
import type { Pt } from "./svg";

/** The buckets in which something was read. */
export const filledOf = (series: Series | undefined): NonNullable<Series["buckets"]> =>
  (series?.buckets ?? []).filter((bucket) => bucket.count > 0);

/** The means of a series for a small plot; a gap is a point without a value, which lifts the pen. */
export function pointsOf(series: Series | undefined): Pt[] {
  const filled = filledOf(series);
  const times = filled.map((bucket) => Date.parse(bucket.at));
  const width = (series?.width_s ?? 0) * 1000;
  const gaps = gapsBefore(times, width);
  return filled.flatMap((bucket, i): Pt[] => {
    const point: Pt = [times[i] ?? 0, bucket.mean];
    if (!gaps[i]) return [point];
    return [[(times[i - 1] ?? 0) + usualStep(times, i, width), Number.NaN], point];
  });
}
