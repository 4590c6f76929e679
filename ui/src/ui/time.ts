import { useSyncExternalStore } from "react";

/** One clock for the whole app, so that ages and axes move together. */
const TICK_MS = 1000;
let now = Date.now();
let timer = 0;
const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (!timer) {
    timer = window.setInterval(() => {
      now = Date.now();
      for (const each of listeners) each();
    }, TICK_MS);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      window.clearInterval(timer);
      timer = 0;
    }
  };
}

/** Now, rounded down to `stepMs`, so that a picture need not be drawn each second. */
export function useNow(stepMs = TICK_MS): number {
  return useSyncExternalStore(subscribe, () => Math.floor(now / stepMs) * stepMs);
}

const STEPS_MS = [1, 2, 5, 10, 15, 30]
  .map((m) => m * 60_000)
  .concat([1, 2, 3, 4, 6, 12].map((h) => h * 3_600_000))
  .concat([1, 2, 7, 14, 30].map((d) => d * 86_400_000));

/** Round marks in local time, at most `most` of them. */
export function timeTicks(from: number, to: number, most: number): { at: number[]; stepMs: number } {
  const span = to - from;
  const stepMs =
    [1000, 2000, 5000, 10_000, 15_000, 30_000, ...STEPS_MS].find((step) => span / step <= most) ??
    30 * 86_400_000;
  const offset = offsetMs(from);
  const first = Math.ceil((from - offset) / stepMs) * stepMs + offset;
  const at: number[] = [];
  for (let t = first; t <= to; t += stepMs) {
    // Clocks may be changed within the window: a mark at midnight stays at midnight.
    const moved = stepMs >= HOUR_MS ? t + offsetMs(t) - offset : t;
    if (moved >= from && moved <= to) at.push(moved);
  }
  return { at, stepMs };
}

const HOUR_MS = 3_600_000;
const offsetMs = (t: number): number => new Date(t).getTimezoneOffset() * 60_000;

/** `Europe/Berlin, UTC+01:00`: whose clock the times of this screen are. */
export function zoneWords(t: number): string {
  const minutes = -new Date(t).getTimezoneOffset();
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const size = Math.abs(minutes);
  const utc = minutes === 0 ? "UTC" : `UTC${minutes < 0 ? "\u2212" : "+"}${two(size / 60)}:${two(size % 60)}`;
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return name && name !== "UTC" ? `${name}, ${utc}` : utc;
}

/** What a datetime-local field wants, in local time. */
export function localInput(t: number): string {
  return new Date(t - offsetMs(t)).toISOString().slice(0, 16);
}
