import { clock, clockSeconds, day } from "./format";
import { timeTicks } from "./time";

export type Pt = readonly [number, number];

const r1 = (value: number) => Math.round(value * 10) / 10;

/** A path through the points; a gap (non-finite value) lifts the pen. */
export function linePath(points: readonly Pt[], x: (v: number) => number, y: (v: number) => number): string {
  let d = "";
  let pen = false;
  for (const [a, b] of points) {
    if (!Number.isFinite(b)) {
      pen = false;
      continue;
    }
    d += `${pen ? "L" : "M"}${r1(x(a))} ${r1(y(b))}`;
    pen = true;
  }
  return d;
}

export function extent(values: readonly number[]): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 1];
}

export function timeLabel(at: number, stepMs: number): string {
  if (stepMs >= 86_400_000) return day(at);
  if (stepMs < 1000)
    return `${clockSeconds(at)}.${String(Math.round(at) % 1000)
      .padStart(3, "0")
      .slice(0, stepMs < 100 ? 3 : 1)}`;
  if (stepMs < 60_000) return clockSeconds(at);
  const date = new Date(at);
  return date.getHours() === 0 && date.getMinutes() === 0 ? day(at) : clock(at);
}

interface TimeGridProps {
  from: number;
  to: number;
  x: (t: number) => number;
  top: number;
  bottom: number;
  /** Room that a label needs, px. */
  gap?: number;
  /** No label nearer than this to the right end, where "now" stands. */
  clearRight?: number;
  /** No label nearer than `px` to something else that is written there. */
  avoid?: readonly { at: number; px: number }[];
}

export function TimeGrid({ from, to, x, top, bottom, gap = 72, clearRight = 0, avoid }: TimeGridProps) {
  const { at, stepMs } = timeTicks(from, to, Math.max(2, Math.floor((x(to) - x(from)) / gap)));
  return (
    <g>
      {at.map((t) => (
        <g key={t}>
          <path className="grid-l" d={`M${Math.round(x(t)) + 0.5} ${top}V${bottom}`} />
          {x(to) - x(t) >= clearRight &&
          (avoid ?? []).every(({ at: taken, px }) => Math.abs(x(t) - taken) >= px) ? (
            <text x={r1(x(t))} y={bottom + 17} textAnchor="middle">
              {timeLabel(t, stepMs)}
            </text>
          ) : null}
        </g>
      ))}
    </g>
  );
}

export function Spark({
  points,
  window,
  least = 0,
  band,
  width = 96,
  height = 20,
}: {
  points: readonly Pt[];
  /** The time that the width stands for, also where no readings are. */
  window?: { from: number; to: number };
  /** The smallest span the height stands for: what hardly moves must not look wild. */
  least?: number;
  /** What is usual, drawn behind the line. */
  band?: { low: number; high: number };
  width?: number;
  height?: number;
}) {
  const values = points.map((p) => p[1]).filter(Number.isFinite);
  const last = points.findLast((p) => Number.isFinite(p[1]));
  const first = points[0];
  if (!last || !first || values.length < 2) return <span className="dim">–</span>;
  let [low, high] = extent(band ? [...values, band.low, band.high] : values);
  const span = Math.max(1e-9, least, Math.abs((low + high) / 2) * 0.01);
  if (high - low < span) {
    const middle = (low + high) / 2;
    low = middle - span / 2;
    high = middle + span / 2;
  }
  const from = window?.from ?? first[0];
  const to = Math.max(last[0], window?.to ?? last[0]);
  const x = (t: number) => 1 + ((t - from) / Math.max(1, to - from)) * (width - 5);
  const y = (v: number) => height - 2 - ((v - low) / (high - low)) * (height - 4);
  return (
    <svg
      className="spark"
      width={width}
      height={height}
      viewBox={`0 0 ${width} ${height}`}
      aria-hidden="true"
    >
      {band ? (
        <rect
          className="fline"
          x="1"
          y={r1(y(band.high))}
          width={width - 5}
          height={Math.max(1, r1(y(band.low) - y(band.high)))}
        />
      ) : null}
      <path className="l l4" d={linePath(points, x, y)} />
      <circle className="fink" cx={r1(x(last[0]))} cy={r1(y(last[1]))} r="1.8" />
    </svg>
  );
}

/** Two or three round marks for a value axis. */
export function niceTicks(low: number, high: number, most = 4): number[] {
  const span = high - low || 1;
  const raw = span / most;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * size).find((s) => span / s <= most) ?? 10 * size;
  const out: number[] = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-6; v += step) {
    out.push(Math.abs(v) < step * 1e-6 ? 0 : Number(v.toPrecision(12)));
  }
  return out;
}
