import { useEffect, useRef, useSyncExternalStore } from "react";
import uPlot from "uplot";
import type { Priority } from "../api/types";
import { onThemeChange } from "../shell/theme";
import { clock, clockSeconds, day, number, numberWithin } from "./format";
import { extent, timeLabel } from "./svg";
import type { TimeView } from "./view";

type Column = (number | null)[];

/** Times in seconds, then mean, min, max, and the mean where it is not to be believed; null lifts the pen. */
export type PlotData = [number[], Column, Column, Column, Column];

export interface Shade {
  from: number;
  to: number;
  label: string;
}

export interface Mark {
  at: number;
  label: string;
  priority?: Priority;
  /** Where on the value axis it belongs; at the top without. */
  value?: number | null;
}

/** What the value axis shows: the data, the data with the expected range, or from zero on. */
export type YScale = "fit" | "range" | "zero";

interface Props {
  data: PlotData;
  view: TimeView;
  scale: YScale;
  unit: string | null | undefined;
  limits: number[];
  shades: Shade[];
  marks: Mark[];
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

const AXIS_H = 28;
const AXIS_W = 50;
/** Above the first strip: the time of the crosshair and the words of events. */
const HEAD_H = 26;
/** The newest value stands beside the end of its line. */
const RIGHT = 62;
/** Readings further apart than this are drawn as points as well. */
const POINTS_PX = 7;

const SHAPE: Record<Priority, string> = {
  1: "M2.5 2.5h13v13h-13z",
  2: "M9 1.2 17.2 16H.8z",
  3: "M.8 2h16.4L9 16.8z",
  4: "M9 .6 17.4 9 9 17.4.6 9z",
};

const media = () => window.matchMedia?.("(prefers-color-scheme: dark)").matches ?? false;
const scheme = () => document.documentElement.getAttribute("data-theme") ?? (media() ? "dark" : "light");

/** light-dark() is resolved by the browser only for real properties, so a probe reads the colours. */
function colours(): Record<string, string> {
  const probe = document.createElement("i");
  probe.style.display = "none";
  document.body.append(probe);
  const out: Record<string, string> = {};
  for (const name of [
    "d1",
    "band",
    "band-2",
    "line",
    "line-strong",
    "ink",
    "ink-2",
    "ink-3",
    "surface",
    "p1",
    "p2",
    "p3",
    "p4",
    "p1-on",
    "p2-on",
    "p3-on",
    "p4-on",
  ]) {
    probe.style.color = `var(--${name})`;
    out[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return out;
}

function drawUnder(plot: uPlot, props: Props, ink: Record<string, string>): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const shade of props.shades) {
    const a = plot.valToPos(shade.from, "x", true);
    const b = plot.valToPos(shade.to, "x", true);
    ctx.fillStyle = ink.band ?? "";
    ctx.fillRect(a, bbox.top, Math.max(2 * devicePixelRatio, b - a), bbox.height);
  }
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

function drawOver(plot: uPlot, props: Props, ink: Record<string, string>): void {
  const { ctx, bbox } = plot;
  const px = devicePixelRatio;
  ctx.save();
  ctx.font = `500 ${12 * px}px Inter, system-ui, sans-serif`;
  ctx.textBaseline = "alphabetic";
  for (const shade of props.shades) shadeLabel(plot, shade, ink);
  newest(plot, props, ink);
  if (props.first) eventHeads(plot, props, ink);
  for (const mark of props.marks) {
    if (mark.at < props.view.from || mark.at > props.view.to) continue;
    const x = plot.valToPos(mark.at, "x", true);
    if (mark.priority) {
      const size = 16 * px;
      const y = mark.value == null ? bbox.top + 10 * px : plot.valToPos(mark.value, "y", true);
      const inside = Math.min(Math.max(y, bbox.top + 9 * px), bbox.top + bbox.height - 9 * px);
      ctx.save();
      ctx.translate(x - size / 2, inside - size / 2);
      ctx.scale(size / 18, size / 18);
      ctx.fillStyle = ink[`p${mark.priority}`] ?? "";
      ctx.fill(new Path2D(SHAPE[mark.priority]));
      ctx.fillStyle = ink[`p${mark.priority}-on`] ?? "";
      ctx.font = "600 10.5px Inter, system-ui, sans-serif";
      ctx.textAlign = "center";
      ctx.fillText(String(mark.priority), 9, mark.priority === 3 ? 11.2 : 13);
      ctx.restore();
    } else {
      ctx.setLineDash([3 * px, 3 * px]);
      ctx.strokeStyle = ink["ink-3"] ?? "";
      ctx.lineWidth = px;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
  }
  ctx.restore();
}

/** Above the first strip: the points that the dashed lines of events hang from, with their words where
 *  these run into neither another one nor the edge. */
function eventHeads(plot: uPlot, { marks, view }: Props, ink: Record<string, string>): void {
  const { ctx, bbox } = plot;
  const px = devicePixelRatio;
  const y = bbox.top - 12 * px;
  const events = marks
    .filter((mark) => !mark.priority && mark.at >= view.from && mark.at <= view.to)
    .sort((a, b) => a.at - b.at)
    .map((mark) => ({ label: mark.label, x: plot.valToPos(mark.at, "x", true) }));
  ctx.setLineDash([]);
  ctx.fillStyle = ink.ink ?? "";
  for (const { x } of events) {
    ctx.beginPath();
    ctx.moveTo(x - 5 * px, y);
    ctx.lineTo(x + 5 * px, y);
    ctx.lineTo(x, y + 8 * px);
    ctx.fill();
  }
  ctx.fillStyle = ink["ink-2"] ?? "";
  let taken = Number.NEGATIVE_INFINITY;
  for (const [i, { label, x }] of events.entries()) {
    const wide = ctx.measureText(label).width + 14 * px;
    const next = (events[i + 1]?.x ?? Number.POSITIVE_INFINITY) - 6 * px;
    if (x + wide < Math.min(next, bbox.left + bbox.width + RIGHT * px)) {
      ctx.textAlign = "left";
      ctx.fillText(label, x + 9 * px, y + 8 * px);
      taken = x + wide;
    } else if (x - wide > taken) {
      ctx.textAlign = "right";
      ctx.fillText(label, x - 9 * px, y + 8 * px);
      taken = x + 6 * px;
    } else {
      taken = Math.max(taken, x + 6 * px);
    }
  }
}

/** Text on a plot, with a rim of the ground so that lines do not run through it. */
function onGround(
  ctx: CanvasRenderingContext2D,
  text: string,
  x: number,
  y: number,
  ink: Record<string, string>,
) {
  ctx.setLineDash([]);
  ctx.lineJoin = "round";
  ctx.lineWidth = 4 * devicePixelRatio;
  ctx.strokeStyle = ink.surface ?? "";
  ctx.strokeText(text, x, y);
  ctx.fillText(text, x, y);
}

function shadeLabel(plot: uPlot, shade: Shade, ink: Record<string, string>): void {
  const { ctx, bbox } = plot;
  const px = devicePixelRatio;
  const a = Math.max(bbox.left, plot.valToPos(shade.from, "x", true));
  const b = Math.min(bbox.left + bbox.width, plot.valToPos(shade.to, "x", true));
  if (b - a < ctx.measureText(shade.label).width + 20 * px) return;
  ctx.textAlign = "left";
  ctx.fillStyle = ink["ink-2"] ?? "";
  onGround(ctx, shade.label, a + 10 * px, bbox.top + bbox.height - 6 * px, ink);
}

/** The newest value beside the end of its line, when that end is in sight. */
function newest(plot: uPlot, props: Props, ink: Record<string, string>): void {
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

/** As many digits as a step needs: 0.25 needs two. */
function digitsOf(step: number): number {
  for (let digits = 0; digits < 6; digits++) {
    const scaled = step * 10 ** digits;
    if (Math.abs(scaled - Math.round(scaled)) < 1e-6) return digits;
  }
  return 6;
}

/** How much the value axis spans now. */
export function spanOf(plot: uPlot): number {
  const { min, max } = plot.scales.y ?? {};
  return min == null || max == null ? 0 : max - min;
}

/** The words at the crosshair: the time on the first strip, the value beside each point. */
function tell(plot: uPlot, props: Props): void {
  const { idx, left } = plot.cursor;
  const at = idx == null || (left ?? -1) < 0 ? null : plot.data[0][idx];
  const value = idx == null ? null : (plot.data[1]?.[idx] ?? plot.data[4]?.[idx]);
  const time = plot.over.querySelector<HTMLElement>(".u-time");
  const words = plot.over.querySelector<HTMLElement>(".u-value");
  if (!time || !words) return;
  time.hidden = at == null || !props.first;
  words.hidden = at == null || value == null;
  if (at == null) return;
  const x = plot.valToPos(at, "x");
  time.textContent = exact(at * 1000, props.view.to - props.view.from);
  time.style.left = `${Math.max(30, Math.min(plot.over.clientWidth - 30, x))}px`;
  if (value == null) return;
  const before = x > 70;
  words.textContent = numberWithin(value, props.unit, spanOf(plot));
  words.style.left = `${x + (before ? -8 : 8)}px`;
  words.style.top = `${Math.max(10, Math.min(plot.over.clientHeight - 10, plot.valToPos(value, "y") + 13))}px`;
  words.style.translate = before ? "-100% -50%" : "0 -50%";
}

/** As exact as the stretch in sight can tell, with the day where the stretch has several. */
function exact(ms: number, span: number): string {
  const words =
    span < 30 ? `${clockSeconds(ms)}.${String(Math.floor(ms) % 1000).padStart(3, "0")}` : clockSeconds(ms);
  return span > 86_400 ? `${day(ms)} ${clock(ms)}` : words;
}

/** The lowest and highest value that the axis shows. */
function yRange(low: number | null, high: number | null, props: Props): [number, number] {
  if (low === null || high === null) return [0, 1];
  let [a, b] = [low, high];
  if (props.scale === "range") {
    a = Math.min(a, ...props.limits);
    b = Math.max(b, ...props.limits);
  } else if (props.scale === "zero") {
    a = Math.min(0, a);
    b = Math.max(0, b);
  }
  const pad = Math.max((b - a) * 0.12, Math.abs(b) * 0.002, 1e-6);
  return [a === 0 && props.scale === "zero" ? 0 : a - pad, b + pad];
}

/** Single readings are drawn as points once there is room between them. */
function roomForPoints(plot: uPlot, first: number, last: number): boolean {
  return last >= first && plot.bbox.width / devicePixelRatio / (last - first + 1) > POINTS_PX;
}

function addWords(plot: uPlot): void {
  for (const name of ["u-time", "u-value"]) {
    const words = document.createElement("span");
    words.className = name;
    words.hidden = true;
    plot.over.append(words);
  }
}

/** Every strip is as tall inside, whatever stands above or under it. */
const fullHeight = ({ height, first, last }: Props): number =>
  height + (first ? HEAD_H - 6 : 0) + (last ? AXIS_H : 0);

function options(props: Props, current: () => Props): uPlot.Options {
  const ink = colours();
  const stroke = ink["ink-3"] ?? "";
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
      y: { range: (_plot, low, high) => yRange(low, high, current()) },
    },
    axes: [
      {
        size: props.last ? AXIS_H : 0,
        stroke,
        font: "12px Inter, system-ui, sans-serif",
        grid: { stroke: ink.line, width: 1 },
        ticks: { show: props.last, stroke: ink["line-strong"], width: 1, size: 4 },
        space: 84,
        values: (_plot, splits, _axis, _space, step) =>
          splits.map((s) => (props.last ? timeLabel(s * 1000, step * 1000) : "")),
      },
      {
        size: AXIS_W,
        stroke,
        font: "12px Inter, system-ui, sans-serif",
        grid: { stroke: ink.line, width: 1 },
        ticks: { show: false },
        gap: 6,
        space: 26,
        values: (_plot, splits, _axis, _space, step) => {
          const digits = digitsOf(step);
          const form = { minimumFractionDigits: digits, maximumFractionDigits: digits };
          return splits.map((v) => v.toLocaleString("en-US", form).replace("-", "\u2212"));
        },
      },
    ],
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
      setSelect: [
        (plot) => {
          if (plot.select.width < 6) return;
          const a = plot.posToVal(plot.select.left, "x");
          const b = plot.posToVal(plot.select.left + plot.select.width, "x");
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          current().onZoom(a, b);
        },
      ],
      setCursor: [
        (plot) => {
          const index = plot.cursor.idx;
          tell(plot, current());
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
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const theme = useSyncExternalStore(onThemeChange, scheme);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the plot is built anew only for what it cannot change
  useEffect(() => {
    if (!host.current || props.width < 60) return;
    const made = new uPlot(
      options(latest.current, () => latest.current),
      latest.current.data as uPlot.AlignedData,
      host.current,
    );
    plot.current = made;
    latest.current.onPlot(made);
    return () => {
      latest.current.onPlot(null);
      made.destroy();
      plot.current = null;
    };
  }, [props.width, props.height, props.first, props.last, props.syncKey, theme]);

  useEffect(() => {
    plot.current?.setData(props.data as uPlot.AlignedData);
  }, [props.data]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: what the hooks draw depends on these
  useEffect(() => {
    plot.current?.redraw(true, true);
  }, [props.shades, props.marks, props.limits, props.scale]);

  // A pan or a zoom goes past React: the plot alone is drawn anew, once a frame.
  useEffect(() => props.view.subscribe(() => plot.current?.redraw(true, false)), [props.view]);

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
