import { useEffect, useRef, useSyncExternalStore } from "react";
import uPlot from "uplot";
import type { Priority } from "../api/types";
import { onThemeChange } from "../shell/theme";
import { clockSeconds, number } from "./format";
import { timeLabel } from "./svg";

/** Times in seconds, then mean, min and max; null lifts the pen. */
export type PlotData = [number[], (number | null)[], (number | null)[], (number | null)[]];

export interface Shade {
  from: number;
  to: number;
  label: string;
}

export interface Mark {
  at: number;
  label: string;
  priority?: Priority;
}

interface Props {
  data: PlotData;
  /** Window in seconds. */
  from: number;
  to: number;
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
}

const AXIS_H = 28;
const AXIS_W = 50;
/** Half of the last time label must fit. */
const RIGHT = 20;

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
  for (const mark of props.marks) {
    if (mark.at < props.from || mark.at > props.to) continue;
    const x = plot.valToPos(mark.at, "x", true);
    if (mark.priority) {
      const size = 16 * px;
      ctx.save();
      ctx.translate(x - size / 2, bbox.top + 2 * px);
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
      if (mark.label) label(plot, mark.label, x, ink);
    }
  }
  ctx.restore();
}

function label(plot: uPlot, text: string, x: number, ink: Record<string, string>): void {
  const { ctx, bbox } = plot;
  const px = devicePixelRatio;
  const wide = ctx.measureText(text).width;
  const left = x + wide + 10 * px > bbox.left + bbox.width;
  ctx.textAlign = left ? "right" : "left";
  ctx.setLineDash([]);
  ctx.lineWidth = 4 * px;
  ctx.strokeStyle = ink.surface ?? "";
  const at = left ? x - 6 * px : x + 6 * px;
  ctx.strokeText(text, at, bbox.top + 12 * px);
  ctx.fillStyle = ink["ink-2"] ?? "";
  ctx.fillText(text, at, bbox.top + 12 * px);
}

/** As many digits as a step needs: 0.25 needs two. */
function digitsOf(step: number): number {
  for (let digits = 0; digits < 6; digits++) {
    const scaled = step * 10 ** digits;
    if (Math.abs(scaled - Math.round(scaled)) < 1e-6) return digits;
  }
  return 6;
}

/** The words at the crosshair: the time on the first strip, the value beside each point. */
function tell(plot: uPlot, props: Props): void {
  const { idx, left } = plot.cursor;
  const at = idx == null || (left ?? -1) < 0 ? null : plot.data[0][idx];
  const value = idx == null ? null : plot.data[1]?.[idx];
  const time = plot.over.querySelector<HTMLElement>(".u-time");
  const words = plot.over.querySelector<HTMLElement>(".u-value");
  if (!time || !words) return;
  time.hidden = at == null || !props.first;
  words.hidden = at == null || value == null;
  if (at == null) return;
  const x = plot.valToPos(at, "x");
  time.textContent = clockSeconds(at * 1000);
  time.style.left = `${Math.max(30, Math.min(plot.over.clientWidth - 30, x))}px`;
  if (value == null) return;
  const before = x > 70;
  words.textContent = number(value, props.unit);
  words.style.left = `${x + (before ? -8 : 8)}px`;
  words.style.top = `${Math.max(10, Math.min(plot.over.clientHeight - 10, plot.valToPos(value, "y") + 13))}px`;
  words.style.translate = before ? "-100% -50%" : "0 -50%";
}

function addWords(plot: uPlot): void {
  for (const name of ["u-time", "u-value"]) {
    const words = document.createElement("span");
    words.className = name;
    words.hidden = true;
    plot.over.append(words);
  }
}

function options(props: Props, current: () => Props): uPlot.Options {
  const ink = colours();
  const stroke = ink["ink-3"] ?? "";
  return {
    width: props.width,
    height: props.height + (props.last ? AXIS_H : 0),
    padding: [props.first ? 22 : 6, RIGHT, props.last ? 0 : 6, 0],
    legend: { show: false },
    cursor: {
      sync: { key: props.syncKey, scales: ["x", null] },
      drag: { x: true, y: false, setScale: false },
      // The mean has a point; the ends of its band need none.
      points: { size: (_plot, series) => (series === 1 ? 7 : 0) },
      y: false,
    },
    scales: {
      x: { time: true, range: () => [current().from, current().to] },
      y: {
        range: (_plot, low, high) => {
          if (low === null || high === null) return [0, 1];
          const pad = Math.max((high - low) * 0.15, Math.abs(high) * 0.002, 1e-6);
          // Glyphs and words stand above the line, not on it.
          const head = current().marks.some((mark) => mark.priority || mark.label) ? 2.4 : 1;
          return [low - pad, high + pad * head];
        },
      },
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
          return splits.map((v) => v.toFixed(digits).replace("-", "\u2212"));
        },
      },
    ],
    series: [
      {},
      { stroke: ink.d1, width: 1.5, points: { show: false } },
      { stroke: "transparent", points: { show: false } },
      { stroke: "transparent", points: { show: false } },
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
          return current().onCursor(plot.data[0][index] ?? null, plot.data[1]?.[index] ?? null);
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
    return () => {
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
  }, [props.from, props.to, props.shades, props.marks, props.limits]);

  return (
    <div
      ref={host}
      role="img"
      aria-label={props.summary}
      style={{ minHeight: props.height + (props.last ? AXIS_H : 0) }}
    />
  );
}

/** `min 4.10, mean 4.38, max 4.66 mm/s` */
export function dataWords(data: PlotData, unit: string | null | undefined): string {
  const mean = data[1].filter((v): v is number => v !== null);
  if (mean.length === 0) return "no readings in this window";
  const low = Math.min(...data[2].filter((v): v is number => v !== null));
  const high = Math.max(...data[3].filter((v): v is number => v !== null));
  const average = mean.reduce((a, b) => a + b, 0) / mean.length;
  return `min ${number(low, unit)}, mean ${number(average, unit)}, max ${number(high, unit)}${unit ? ` ${unit}` : ""}`;
}
