import type uPlot from "uplot";
import type { Priority } from "../api/types";
import { clock, clockSeconds, day } from "./format";
import { timeLabel } from "./svg";
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

/** A level that changed and stayed changed. */
export interface Step {
  at: number;
  before: number;
  after: number;
  label: string;
}

/** What the value axis shows: the data, the data with the expected range, or from zero on. */
export type YScale = "fit" | "range" | "zero";

export const AXIS_H = 28;
export const AXIS_W = 50;
/** Above the first strip: the time of the crosshair and the words of events. */
export const HEAD_H = 26;
/** The newest value stands beside the end of its line. */
export const RIGHT = 62;

const SHAPE: Record<Priority, string> = {
  1: "M2.5 2.5h13v13h-13z",
  2: "M9 1.2 17.2 16H.8z",
  3: "M.8 2h16.4L9 16.8z",
  4: "M9 .6 17.4 9 9 17.4.6 9z",
};

const media = () => window.matchMedia?.("(prefers-color-scheme: dark)").matches ?? false;
export const scheme = () =>
  document.documentElement.getAttribute("data-theme") ?? (media() ? "dark" : "light");

export type Ink = Record<string, string>;

/** light-dark() is resolved by the browser only for real properties, so a probe reads the colours. */
export function colours(): Ink {
  const probe = document.createElement("i");
  probe.style.display = "none";
  document.body.append(probe);
  const out: Record<string, string> = {};
  for (const name of [
    "d1",
    "d2",
    "d3",
    "d4",
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

export function drawShades(plot: uPlot, shades: readonly Shade[], ink: Ink): void {
  const { ctx, bbox } = plot;
  for (const shade of shades) {
    const a = plot.valToPos(shade.from, "x", true);
    const b = plot.valToPos(shade.to, "x", true);
    ctx.fillStyle = ink.band ?? "";
    ctx.fillRect(a, bbox.top, Math.max(2 * devicePixelRatio, b - a), bbox.height);
  }
}

/** Alarms as glyphs at their value on the axis `scale`, events as dashed lines. */
export function drawMarks(plot: uPlot, marks: readonly Mark[], view: TimeView, ink: Ink, scale = "y"): void {
  const { ctx, bbox } = plot;
  const px = devicePixelRatio;
  for (const mark of marks) {
    if (mark.at < view.from || mark.at > view.to) continue;
    const x = plot.valToPos(mark.at, "x", true);
    if (mark.priority) {
      const size = 16 * px;
      const y = mark.value == null ? bbox.top + 10 * px : plot.valToPos(mark.value, scale, true);
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
}

/** Each side of a step, and how near to it the pointer finds it. */
const STEP_PX = 22;
const STEP_REACH_PX = 10;

/** Changes of level on the axis `scale`: a thin line over the whole height, and the level before and after. */
export function drawSteps(plot: uPlot, steps: readonly Step[], view: TimeView, ink: Ink, scale = "y"): void {
  const { ctx, bbox } = plot;
  const px = devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.setLineDash([]);
  for (const step of steps) {
    if (step.at < view.from || step.at > view.to) continue;
    const x = Math.round(plot.valToPos(step.at, "x", true)) + 0.5;
    const before = plot.valToPos(step.before, scale, true);
    const after = plot.valToPos(step.after, scale, true);
    ctx.strokeStyle = ink["ink-3"] ?? "";
    ctx.lineWidth = px;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.strokeStyle = ink.ink ?? "";
    ctx.lineWidth = 2 * px;
    ctx.beginPath();
    ctx.moveTo(x - STEP_PX * px, before);
    ctx.lineTo(x, before);
    ctx.moveTo(x, after);
    ctx.lineTo(x + STEP_PX * px, after);
    ctx.stroke();
  }
  ctx.restore();
}

/** The step beside the crosshair, the nearest of them. */
export function stepAt(plot: uPlot, steps: readonly Step[]): Step | null {
  const left = plot.cursor.left ?? -1;
  if (left < 0) return null;
  const away = (step: Step) => Math.abs(plot.valToPos(step.at, "x") - left);
  const near = steps.filter((step) => away(step) <= STEP_REACH_PX).sort((a, b) => away(a) - away(b));
  return near[0] ?? null;
}

/** Says what changed where the crosshair stands beside a step, never over the ends of the plot. */
export function tellStep(plot: uPlot, steps: readonly Step[]): void {
  const words = plot.over.querySelector<HTMLElement>(".u-step");
  if (!words) return;
  const step = stepAt(plot, steps);
  words.hidden = step === null;
  if (!step) return;
  words.textContent = step.label;
  const half = words.offsetWidth / 2;
  const most = plot.over.clientWidth - half;
  words.style.left = `${Math.max(half, Math.min(most, plot.valToPos(step.at, "x")))}px`;
}

/** Above the first strip: the points that the dashed lines of events hang from, with their words where
 *  these run into neither another one nor the edge. */
export function eventHeads(plot: uPlot, marks: readonly Mark[], view: TimeView, ink: Ink): void {
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
function onGround(ctx: CanvasRenderingContext2D, text: string, x: number, y: number, ink: Ink) {
  ctx.setLineDash([]);
  ctx.lineJoin = "round";
  ctx.lineWidth = 4 * devicePixelRatio;
  ctx.strokeStyle = ink.surface ?? "";
  ctx.strokeText(text, x, y);
  ctx.fillText(text, x, y);
}

/** What each stretch is, at its foot; where stretches overlap the words stand beside each other. */
export function shadeLabels(plot: uPlot, shades: readonly Shade[], ink: Ink): void {
  const { ctx, bbox } = plot;
  const px = devicePixelRatio;
  ctx.textAlign = "left";
  ctx.fillStyle = ink["ink-2"] ?? "";
  let free = bbox.left;
  for (const shade of [...shades].sort((a, b) => a.from - b.from)) {
    const start = Math.max(free, bbox.left, plot.valToPos(shade.from, "x", true)) + 10 * px;
    const end = Math.min(bbox.left + bbox.width, plot.valToPos(shade.to, "x", true)) - 10 * px;
    const { width } = ctx.measureText(shade.label);
    if (end - start < width) continue;
    onGround(ctx, shade.label, start, bbox.top + bbox.height - 6 * px, ink);
    free = start + width;
  }
}

/** As many digits as a step needs: 0.25 needs two. */
function digitsOf(step: number): number {
  for (let digits = 0; digits < 6; digits++) {
    const scaled = step * 10 ** digits;
    if (Math.abs(scaled - Math.round(scaled)) < 1e-6) return digits;
  }
  return 6;
}

/** How much a value axis spans now. */
export function spanOf(plot: uPlot, scale = "y"): number {
  const { min, max } = plot.scales[scale] ?? {};
  return min == null || max == null ? 0 : max - min;
}

/** As exact as the stretch in sight can tell, with the day where the stretch has several. */
export function exact(ms: number, span: number): string {
  const words =
    span < 30 ? `${clockSeconds(ms)}.${String(Math.floor(ms) % 1000).padStart(3, "0")}` : clockSeconds(ms);
  return span > 86_400 ? `${day(ms)} ${clock(ms)}` : words;
}

export function addWords(plot: uPlot): void {
  for (const name of ["u-time", "u-value", "u-step"]) {
    const words = document.createElement("span");
    words.className = name;
    words.hidden = true;
    plot.over.append(words);
  }
}

const FONT = "12px Inter, system-ui, sans-serif";

/** The time axis; without `labels` only its grid. */
export function timeAxis(ink: Ink, labels: boolean): uPlot.Axis {
  return {
    size: labels ? AXIS_H : 0,
    stroke: ink["ink-3"] ?? "",
    font: FONT,
    grid: { stroke: ink.line, width: 1 },
    ticks: { show: labels, stroke: ink["line-strong"], width: 1, size: 4 },
    space: 84,
    values: (_plot, splits, _axis, _space, step) =>
      splits.map((s) => (labels ? timeLabel(s * 1000, step * 1000) : "")),
  };
}

export function valueAxis(ink: Ink, own: Partial<uPlot.Axis> = {}, unit = ""): uPlot.Axis {
  return {
    size: AXIS_W,
    stroke: ink["ink-3"] ?? "",
    font: FONT,
    grid: { stroke: ink.line, width: 1 },
    ticks: { show: false },
    gap: 6,
    space: 26,
    values: (_plot, splits, _axis, _space, step) => {
      const digits = digitsOf(step);
      const form = { minimumFractionDigits: digits, maximumFractionDigits: digits };
      return splits.map((v) => v.toLocaleString("en-US", form).replace("-", "\u2212") + unit);
    },
    ...own,
  };
}

/** A drag over the plot chooses a stretch; the page moves there by itself. */
export function takeSelection(plot: uPlot, onZoom: (from: number, to: number) => void): void {
  if (plot.select.width < 6) return;
  const a = plot.posToVal(plot.select.left, "x");
  const b = plot.posToVal(plot.select.left + plot.select.width, "x");
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  onZoom(a, b);
}

/** Where the time at the crosshair stands, never over the end of the plot. */
export function tellTime(plot: uPlot, at: number | null | undefined, view: TimeView): void {
  const time = plot.over.querySelector<HTMLElement>(".u-time");
  if (!time) return;
  time.hidden = at == null;
  if (at == null) return;
  time.textContent = exact(at * 1000, view.to - view.from);
  time.style.left = `${Math.max(30, Math.min(plot.over.clientWidth - 30, plot.valToPos(at, "x")))}px`;
}

/** The lowest and highest value that an axis shows. */
export function axisRange(
  low: number | null,
  high: number | null,
  scale: YScale,
  limits: readonly number[],
): [number, number] {
  if (low === null || high === null) return [0, 1];
  let [a, b] = [low, high];
  if (scale === "range") {
    a = Math.min(a, ...limits);
    b = Math.max(b, ...limits);
  } else if (scale === "zero") {
    a = Math.min(0, a);
    b = Math.max(0, b);
  }
  const pad = Math.max((b - a) * 0.12, Math.abs(b) * 0.002, 1e-6);
  return [a === 0 && scale === "zero" ? 0 : a - pad, b + pad];
}
