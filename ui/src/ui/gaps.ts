/** A hole wider than this many usual distances is a gap and not drawn over. */
const GAP = 6;
/** How many distances on each side say what is usual there. */
const AROUND = 4;

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** Before which of `times` nothing came for long. What is usual is judged on both sides of each hole by
 *  itself: history at one reading in 10 s beside live data at one a second has no gaps. `width` is that of
 *  a bucket, in the unit of the times; less than that cannot be seen. */
export function gapsBefore(times: readonly number[], width = 0): boolean[] {
  const steps = times.slice(1).map((at, i) => at - (times[i] ?? at));
  const gaps = times.map(() => false);
  for (const [i, step] of steps.entries()) {
    // Most steps are no wider than a bucket: nothing needs to be judged there.
    if (step <= width * GAP && width > 0) continue;
    const before = steps.slice(Math.max(0, i - AROUND), i);
    const after = steps.slice(i + 1, i + 1 + AROUND);
    if (before.length + after.length === 0) continue;
    gaps[i + 1] = step > Math.max(width, median(before), median(after)) * GAP;
  }
  return gaps;
}

/** The usual distance at the end of the times before a gap: how far the last reading still holds. */
export function usualStep(times: readonly number[], upTo: number, width: number): number {
  const steps = times.slice(Math.max(1, upTo - AROUND), upTo).map((at, i) => {
    const before = times[Math.max(1, upTo - AROUND) + i - 1] ?? at;
    return at - before;
  });
  return Math.max(width, median(steps));
}
