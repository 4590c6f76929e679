import { useEffect, useRef } from "react";
import type uPlot from "uplot";
import { number, numberWithin } from "./format";
import {
  AXIS_H,
  addWords,
  axisRange,
  colours,
  drawMarks,
  drawShades,
  drawSteps,
  eventHeads,
  HEAD_H,
  type Ink,
  type Mark,
  type PlotData,
  RIGHT,
  type Shade,
  type Step,
  shadeLabels,
  spanOf,
  takeSelection,
  tellStep,
  tellTime,
  timeAxis,
  valueAxis,
  type YScale,
} from "./plotParts";
import { extent } from "./svg";
import { usePlot } from "./usePlot";
import type { TimeView } from "./view";

/** Readings further apart than this are drawn as points as well. */
const POINTS_PX = 7;

interface Props {
  data: PlotData;
  view: TimeView;
  scale: YScale;
  unit: string | null | undefined;
  limits: number[];
  shades: Shade[];
  marks: Mark[];
  steps: readonly Step[];
  summary: string;
  width: number;
  /** Without the axis. */
  height: number;
  /** The time of the crosshair stands on the first strip. */
  first: boolean;
  last: boolean;
  syncKey: string;
  onZoom: (from: number, to: number) => void;
  /** The value under the crosshair, or null when it left. */
  onCursor: (at: number | null, value: number | null) => void;
  /** The plot itself, for the keys that move its crosshair; null when it is gone. */
  onPlot: (plot: uPlot | null) => void;
}

function drawUnder(plot: uPlot, props: Props, ink: Ink): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  drawShades(plot, props.shades, ink);
  ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.strokeStyle = ink["ink-2"] ?? "";
  ctx.lineWidth = devicePixelRatio;
  for (const limit of props.limits) {
    const y = Math.round(plot.valToPos(limit, "y", true)) + 0.5;
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  ctx.restore();
}

function drawOver(plot: uPlot, props: Props, ink: Ink): void {
  const { ctx } = plot;
  const px = devicePixelRatio;
  ctx.save();
  ctx.font = `500 ${12 * px}px Inter, system-ui, sans-serif`;
  ctx.textBaseline = "alphabetic";
  shadeLabels(plot, props.shades, ink);
  newest(plot, props, ink);
  drawSteps(plot, props.steps, props.view, ink);
  if (props.first) eventHeads(plot, props.marks, props.view, ink);
  drawMarks(plot, props.marks, props.view, ink);
  ctx.restore();
}

/** The newest value beside the end of its line, when that end is in sight. */
function newest(plot: uPlot, props: Props, ink: Ink): void {
  const [times, mean, , , doubted] = props.data;
  let last = times.length - 1;
  while (last >= 0 && mean[last] == null && doubted[last] == null) last -= 1;
  const at = times[last];
  const value = mean[last] ?? doubted[last];
  const { ctx, bbox } = plot;
  const px = devicePixelRatio;
  const { from, to } = props.view;
  // The stream is a little ahead of the window, which moves in steps.
  if (at === undefined || value == null || at < from || at > to + (to - from) * 0.03) return;
  const x = plot.valToPos(at, "x", true);
  // Nearer to the middle it would be read as belonging to the time under it.
  if (x < bbox.left + bbox.width * 0.9) return;
  const y = Math.min(Math.max(plot.valToPos(value, "y", true), bbox.top + 6 * px), bbox.top + bbox.height);
  ctx.textAlign = "left";
  ctx.fillStyle = ink.ink ?? "";
  ctx.fillText(numberWithin(value, props.unit, spanOf(plot)), bbox.left + bbox.width + 7 * px, y + 4 * px);
}

/** The words at the crosshair: the time on the first strip, the value beside each point. */
function tell(plot: uPlot, props: Props): void {
  const { idx, left } = plot.cursor;
  const at = idx == null || (left ?? -1) < 0 ? null : plot.data[0][idx];
  const value = idx == null ? null : (plot.data[1]?.[idx] ?? plot.data[4]?.[idx]);
  const words = plot.over.querySelector<HTMLElement>(".u-value");
  tellTime(plot, props.first ? at : null, props.view);
  if (!words) return;
  words.hidden = at == null || value == null;
  if (at == null || value == null) return;
  const x = plot.valToPos(at, "x");
  const before = x > 70;
  words.textContent = numberWithin(value, props.unit, spanOf(plot));
  words.style.left = `${x + (before ? -8 : 8)}px`;
  words.style.top = `${Math.max(10, Math.min(plot.over.clientHeight - 10, plot.valToPos(value, "y") + 13))}px`;
  words.style.translate = before ? "-100% -50%" : "0 -50%";
}

/** Single readings are drawn as points once there is room between them. */
function roomForPoints(plot: uPlot, first: number, last: number): boolean {
  return last >= first && plot.bbox.width / devicePixelRatio / (last - first + 1) > POINTS_PX;
}

/** Every strip is as tall inside, whatever stands above or under it. */
const fullHeight = ({ height, first, last }: Props): number =>
  height + (first ? HEAD_H - 6 : 0) + (last ? AXIS_H : 0);

function options(props: Props, current: () => Props): uPlot.Options {
  const ink = colours();
  return {
    width: props.width,
    height: fullHeight(props),
    padding: [props.first ? HEAD_H : 6, RIGHT, props.last ? 0 : 6, 0],
    legend: { show: false },
    cursor: {
      sync: { key: props.syncKey, scales: ["x", null] },
      drag: { x: true, y: false, setScale: false },
      // The mean has a point; the ends of its band need none.
      points: { size: (_plot, series) => (series === 1 || series === 4 ? 7 : 0) },
      y: false,
      // The page has its own way back.
      bind: { dblclick: () => null },
    },
    scales: {
      x: { time: true, range: () => [current().view.from, current().view.to] },
      y: { range: (_plot, low, high) => axisRange(low, high, current().scale, current().limits) },
    },
    axes: [timeAxis(ink, props.last), valueAxis(ink)],
    series: [
      {},
      {
        stroke: ink.d1,
        width: 1.5,
        points: {
          show: (plot, _series, first, last) => roomForPoints(plot, first, last),
          size: 4,
          fill: ink.d1,
          width: 0,
        },
      },
      // The ends of the band are not drawn: a stroke that nobody sees costs as much as one that is seen.
      { width: 0, points: { show: false } },
      { width: 0, points: { show: false } },
      {
        stroke: ink.d1,
        width: 1.25,
        dash: [3, 4],
        points: {
          show: (plot, _series, first, last) => roomForPoints(plot, first, last),
          size: 6,
          fill: ink.surface,
          width: 1.25,
        },
      },
    ],
    bands: [{ series: [3, 2], fill: ink.band }],
    hooks: {
      init: [addWords],
      drawClear: [(plot) => drawUnder(plot, current(), ink)],
      draw: [(plot) => drawOver(plot, current(), ink)],
      setSelect: [(plot) => takeSelection(plot, current().onZoom)],
      setCursor: [
        (plot) => {
          const index = plot.cursor.idx;
          tell(plot, current());
          tellStep(plot, current().steps);
          if (index === null || index === undefined || (plot.cursor.left ?? -1) < 0)
            return current().onCursor(null, null);
          return current().onCursor(
            plot.data[0][index] ?? null,
            plot.data[1]?.[index] ?? plot.data[4]?.[index] ?? null,
          );
        },
      ],
    },
  };
}

/** One strip of the explorer: mean as a line, min to max as a band, one crosshair for all strips. */
export function TimePlot(props: Props) {
  const latest = useRef(props);
  latest.current = props;
  const { host, plot } = usePlot({
    options: () => options(latest.current, () => latest.current),
    data: props.data as uPlot.AlignedData,
    width: props.width,
    view: props.view,
    shape: `${props.height} ${props.first} ${props.last} ${props.syncKey}`,
    onPlot: props.onPlot,
  });

  // biome-ignore lint/correctness/useExhaustiveDependencies: what the hooks draw depends on these
  useEffect(() => {
    plot.current?.redraw(true, true);
  }, [props.shades, props.marks, props.steps, props.limits, props.scale]);
  return <div ref={host} role="img" aria-label={props.summary} style={{ minHeight: fullHeight(props) }} />;
}

/** `min 4.10, mean 4.38, max 4.66 mm/s` */
export function dataWords(
  mean: readonly number[],
  lows: readonly number[],
  highs: readonly number[],
  unit: string | null | undefined,
): string {
  if (mean.length === 0) return "no readings in this window";
  const [low] = extent(lows);
  const [, high] = extent(highs);
  const average = mean.reduce((a, b) => a + b, 0) / mean.length;
  return `min ${number(low, unit)}, mean ${number(average, unit)}, max ${number(high, unit)}${unit ? ` ${unit}` : ""}`;
}
