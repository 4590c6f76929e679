import type { Prediction, Series } from "../../api/types";
import { Picture } from "../../ui/Figure";
import { duration, interval, limit, plain, quantity, sensorName, spanUnit } from "../../ui/format";
import { pointsOf } from "../../ui/points";
import { extent, linePath, type Pt } from "../../ui/svg";

interface Props {
  prediction: Prediction;
  series: Series | undefined;
  height?: number;
  /** The larger picture of the detail panel names its axes. */
  large?: boolean;
}

/** Share of the width that the past takes; both halves have a scale of their own and say so. */
const PAST = 0.46;

export function forecastSummary(prediction: Prediction): string {
  const span = prediction.time_to_limit_s;
  const name = sensorName(prediction.sensor);
  if (!span || !prediction.limit) return `${name}: ${prediction.why_unsure ?? prediction.summary}`;
  const words = interval(span);
  return `${name} reaches ${limit(prediction.limit.value, prediction.unit)} in ${words.median}; with ${Math.round(span.confidence * 100)} percent confidence in ${words.range}.`;
}

export function Forecast({ prediction, series, height = 128, large }: Props) {
  const points = pointsOf(series);
  return (
    <Picture summary={forecastSummary(prediction)} height={height}>
      {(width) => <Fan width={width} height={height} points={points} prediction={prediction} large={large} />}
    </Picture>
  );
}

interface FanProps {
  width: number;
  height: number;
  points: Pt[];
  prediction: Prediction;
  large?: boolean;
}

function Fan({ width, height, points, prediction, large }: FanProps) {
  const span = prediction.time_to_limit_s;
  const bound = prediction.limit?.value;
  const last = points[points.length - 1];
  const first = points[0];
  const top = 18;
  const bottom = height - 20;
  const left = large ? 40 : 0;
  const right = width - (large ? 12 : 2);
  const middle = span ? left + (right - left) * PAST : right;
  let [low, high] = extent(points.map((p) => p[1]).concat(bound === undefined ? [] : [bound]));
  const pad = (high - low || Math.abs(high) * 0.1 || 1) * 0.12;
  low -= pad;
  high += span ? pad * 2.4 : pad;
  const y = (v: number) => bottom - ((v - low) / (high - low)) * (bottom - top);
  const from = first?.[0] ?? 0;
  const to = last?.[0] ?? 1;
  const past = (t: number) => left + ((t - from) / Math.max(1, to - from)) * (middle - left);
  return (
    <>
      {span && bound !== undefined ? (
        <Future
          span={span}
          bound={bound}
          start={last?.[1] ?? bound}
          x0={middle}
          x1={right}
          y={y}
          top={top}
          bottom={bottom}
        />
      ) : null}
      {bound === undefined ? null : (
        <>
          <path className="limit" d={`M${left} ${Math.round(y(bound)) + 0.5}H${right}`} />
          <text className="halo" x={left + 2} y={y(bound) - 6}>
            limit {plain(bound)}
            {large && prediction.unit ? ` ${prediction.unit}` : ""}
          </text>
        </>
      )}
      {points.length > 1 ? <path className="l l1" d={linePath(points, past, y)} /> : null}
      {large && last ? (
        <text className="halo" x={left - 6} y={y(last[1]) + 4} textAnchor="end">
          {quantity(last[1], null)}
        </text>
      ) : null}
      <path className="axis-l" d={`M${left} ${bottom + 0.5}H${right}`} />
      <path className="cursor" d={`M${Math.round(middle) + 0.5} ${top - 4}V${bottom}`} />
      <text x={left} y={bottom + 16}>
        {points.length > 1 ? `−${duration((to - from) / 1000)}` : ""}
      </text>
      <text className="lab" x={middle} y={bottom + 16} textAnchor={span ? "middle" : "end"}>
        now
      </text>
      {span ? (
        <text x={right} y={bottom + 16} textAnchor="end">
          +{horizonWords(span)}
        </text>
      ) : null}
    </>
  );
}

const HORIZON = 1.15;

/** How far to look when nobody knows the late end. */
const OPEN_END = 2.5;

type Span = NonNullable<Prediction["time_to_limit_s"]>;

const horizonOf = (span: Span) => (span.high == null ? span.median * OPEN_END : span.high * HORIZON);

function horizonWords(span: Span): string {
  const unit = spanUnit(horizonOf(span));
  return `${Math.round(horizonOf(span) / unit.size)} ${unit.short}`;
}

interface FutureProps {
  span: Span;
  bound: number;
  start: number;
  x0: number;
  x1: number;
  y: (v: number) => number;
  top: number;
  bottom: number;
}

/** The fan: straight lines from now to the limit at the early, the likely and the late end. */
function Future({ span, bound, start, x0, x1, y, top, bottom }: FutureProps) {
  const horizon = horizonOf(span);
  const end = span.high ?? horizon;
  const x = (s: number) => x0 + (s / horizon) * (x1 - x0);
  const rise = (s: number, reach: number) => start + ((bound - start) * s) / Math.max(1, reach);
  const clip = (s: number, reach: number) => Math.max(top - 4, Math.min(bottom, y(rise(s, reach))));
  const upper: Pt[] = [];
  const lower: Pt[] = [];
  const STEPS = 24;
  for (let i = 0; i <= STEPS; i++) {
    const s = (horizon * i) / STEPS;
    upper.push([x(s), clip(s, span.low)]);
    lower.push([x(s), span.high == null ? y(start) : clip(s, span.high)]);
  }
  const fan = [...upper, ...lower.toReversed()].map(
    ([a, b], i) => `${i ? "L" : "M"}${a.toFixed(1)} ${b.toFixed(1)}`,
  );
  const words = interval(span);
  const centre = (x(span.low) + x(end)) / 2;
  return (
    <>
      <rect className="fsunk" x={x(span.low)} y={top} width={x(end) - x(span.low)} height={bottom - top} />
      <path className="fb" d={`${fan.join("")}Z`} />
      <path
        className="l l1"
        strokeDasharray="5 3"
        d={`M${x0} ${y(start).toFixed(1)}L${x(span.median).toFixed(1)} ${y(bound).toFixed(1)}`}
      />
      <text className="m" x={Math.min(centre, x1 - 26)} y={12} textAnchor="middle">
        {words.short}
      </text>
    </>
  );
}
