import type { Quality, Tick } from "./types";

/** The last readings of every sensor as they came over the stream, so that plots move between fetches. */
const KEPT = 900;

interface Tail {
  t: number[];
  v: number[];
  q: Quality[];
}

const tails = new Map<string, Tail>();

export function keep(tick: Tick): void {
  for (const value of tick.values) {
    let tail = tails.get(value.sensor);
    if (!tail) {
      tail = { t: [], v: [], q: [] };
      tails.set(value.sensor, tail);
    }
    const at = Date.parse(value.at);
    const last = tail.t[tail.t.length - 1];
    // Late readings belong to history; the next fetch brings them at their place.
    if (last !== undefined && at <= last) continue;
    tail.t.push(at);
    tail.v.push(value.value);
    tail.q.push(value.quality);
    if (tail.t.length > KEPT) {
      tail.t.splice(0, KEPT / 3);
      tail.v.splice(0, KEPT / 3);
      tail.q.splice(0, KEPT / 3);
    }
  }
}

/** Readings of `sensor` after `after` (ms). */
export function since(sensor: string, after: number): [number, number, Quality][] {
  const tail = tails.get(sensor);
  if (!tail) return [];
  const out: [number, number, Quality][] = [];
  for (let i = tail.t.length - 1; i >= 0; i--) {
    const at = tail.t[i] ?? 0;
    if (at <= after) break;
    out.push([at, tail.v[i] ?? Number.NaN, tail.q[i] ?? "good"]);
  }
  return out.reverse();
}
