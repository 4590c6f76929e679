import { useEffect, useMemo, useRef } from "react";
import uPlot from "uplot";
import { numberWithin } from "./format";
import {
  AXIS_H,
  AXIS_W,
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
  takeSelection,
  tellStep,
  tellTime,
  timeAxis,
  valueAxis,
  type YScale,
} from "./plotParts";
import { usePlot } from "./usePlot";
import type { TimeView } from "./view";

/** As many lines as stay apart for every eye, by colour and dash together. */
export const LINES_MOST = 4;

const INKS = ["d1", "d2", "d3", "d4"] as const;
const DASHES: number[][] = [[], [6, 3], [2, 3], []];
const WIDTHS = [1.5, 1.5, 1.75, 1.25];

export interface Line {
  key: string;
  unit: string | null | undefined;
  data: PlotData;
  limits: number[];
  marks: Mark[];
  steps: readonly Step[];
}

interface Props {
  /** At most `LINES_MOST`. */
  lines: readonly Line[];
  view: TimeView;
  /** Each line in percent of its own range in sight, instead of on an axis for each unit. */
  normalised: boolean;
  scale: YScale;
  shades: Shade[];
  events: Mark[];
  summary: string;
  width: number;
  height: number;
  first: boolean;
  last: boolean;
  /** There is room for one axis only. */
  narrow: boolean;
  syncKey: string;
  onZoom: (from: number, to: number) => void;
  /** The values under the crosshair, by line; null when it left. */
  onCursor: (values: (number | null)[] | null) => void;
  onPlot: (plot: uPlot | null) => void;
}

type Column = (number | null | undefined)[];

/** What is believed, else what is not, so that each sensor is one line. */
function oneColumn([, mean, , , doubted]: PlotData): Column {
  return mean.map((value, i) => value ?? doubted[i] ?? null);
}

/** From the lowest to the highest; a line that does not move lies in the middle. */
export function spread(column: Column): { low: number; size: number } {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of column) {
    if (value == null) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return { low: 0, size: 1 };
  return high > low ? { low, size: high - low } : { low: low - 0.5, size: 1 };
}

interface Joined {
  /** As drawn. */
  data: uPlot.AlignedData;
  /** As read, on the same times. */
  read: Column[];
  ranges: { low: number; size: number }[];
}

/** All lines on one row of times; where one has no reading of its own its line goes on. */
export function join(lines: readonly Line[], normalised: boolean): Joined {
  const joined = uPlot.join(
    lines.map((line) => [line.data[0], oneColumn(line.data)] as uPlot.AlignedData),
    lines.map(() => [0, 1]),
  );
  const read = joined.slice(1) as Column[];
  const ranges = read.map(spread);
  const drawn = normalised
    ? read.map((column, i) => {
        const { low, size } = ranges[i] ?? { low: 0, size: 1 };
        return column.map((value) => (value == null ? value : ((value - low) / size) * 100));
      })
    : read;
  return { data: [joined[0], ...drawn] as uPlot.AlignedData, read, ranges };
}

/** Lines of one unit share an axis: they can be compared. */
const axisOf = (line: Line): string => (line.unit ? `u:${line.unit}` : `k:${line.key}`);

const HELD_STEPS = 60;

/** The reading at or shortly before a place: the others have readings between. */
function heldAt(column: Column | undefined, at: number): number | null {
  for (let i = at; column && i >= Math.max(0, at - HELD_STEPS); i--) {
    const value = column[i];
    if (value !== undefined) return value;
  }
  return null;
}

function drawUnder(plot: uPlot, props: Props, ink: Ink): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  drawShades(plot, props.shades, ink);
  ctx.restore();
}

const LABEL_PX = 15;

/** The same order, no two nearer than `gap`, all between `top` and `bottom` as long as there is room. */
export function apart(wanted: readonly number[], gap: number, top: number, bottom: number): number[] {
  const out: number[] = [];
  for (const y of wanted) out.push(Math.max(y, (out[out.length - 1] ?? top - gap) + gap));
  let most = bottom;
  for (let i = out.length - 1; i >= 0 && (out[i] ?? 0) > most; i--) {
    out[i] = most;
    most -= gap;
  }
  return out;
}

function drawOver(plot: uPlot, props: Props, joined: Joined, ink: Ink): void {
  const { ctx, bbox } = plot;
  const px = devicePixelRatio;
  ctx.save();
  ctx.font = `500 ${12 * px}px Inter, system-ui, sans-serif`;
  ctx.textBaseline = "alphabetic";
  ctx.setLineDash([]);
  const ends = props.lines.flatMap((line, i) => {
    const scale = props.normalised ? "share" : axisOf(line);
    const column = joined.read[i] ?? [];
    const at = column.findLastIndex((value) => value != null);
    const drawn = plot.data[i + 1]?.[at];
    const time = plot.data[0][at];
    if (drawn == null || time === undefined) return [];
    const x = plot.valToPos(time, "x", true);
    if (x < bbox.left + bbox.width * 0.9 || x > bbox.left + bbox.width * 1.03) return [];
    const size = joined.ranges[i]?.size ?? 0;
    return [
      { y: plot.valToPos(drawn, scale, true), words: numberWithin(column[at], line.unit, size), line: i },
    ];
  });
  // The newest values beside the ends of their lines, moved apart where two lines meet.
  ends.sort((a, b) => a.y - b.y);
  const places = apart(
    ends.map((end) => end.y + 4 * px),
    LABEL_PX * px,
    bbox.top + 8 * px,
    bbox.top + bbox.height,
  );
  for (const [i, end] of ends.entries()) {
    const y = places[i] ?? end.y;
    ctx.fillStyle = ink[INKS[end.line] ?? "ink"] ?? "";
    ctx.fillRect(bbox.left + bbox.width + 4 * px, y - 7 * px, 3 * px, 7 * px);
    ctx.fillStyle = ink.ink ?? "";
    ctx.textAlign = "left";
    ctx.fillText(end.words, bbox.left + bbox.width + 11 * px, y);
  }
  if (props.first) eventHeads(plot, props.events, props.view, ink);
  drawMarks(plot, props.events, props.view, ink);
  for (const [i, line] of props.lines.entries()) {
    const { low, size } = joined.ranges[i] ?? { low: 0, size: 1 };
    const shareOf = (value: number) => (props.normalised ? ((value - low) / size) * 100 : value);
    const marks = line.marks.map((mark) =>
      mark.value == null ? mark : { ...mark, value: shareOf(mark.value) },
    );
    const steps = line.steps.map((step) => ({
      ...step,
      before: shareOf(step.before),
      after: shareOf(step.after),
    }));
    const axis = props.normalised ? "share" : axisOf(line);
    drawSteps(plot, steps, props.view, ink, axis);
    drawMarks(plot, marks, props.view, ink, axis);
  }
  ctx.restore();
}

/** One axis for each unit, in the ink of its line where it has only one. */
function axesOf(props: Props, ink: Ink): { scales: uPlot.Scales; axes: uPlot.Axis[] } {
  const time = timeAxis(ink, props.last);
  if (props.normalised) {
    return {
      scales: { share: { range: () => [-6, 106] } },
      axes: [time, valueAxis(ink, { scale: "share" }, "\u00a0%")],
    };
  }
  const names = [...new Set(props.lines.map(axisOf))];
  const own = (name: string) => props.lines.filter((line) => axisOf(line) === name);
  const scales = Object.fromEntries(
    names.map((name) => [
      name,
      {
        range: (_plot: uPlot, low: number | null, high: number | null) =>
          axisRange(
            low,
            high,
            props.scale,
            own(name).flatMap((line) => line.limits),
          ),
      },
    ]),
  );
  const axes = names.slice(0, props.narrow ? 1 : names.length).map((name, i) => {
    const lines = own(name);
    const alone = lines.length === 1 ? INKS[props.lines.indexOf(lines[0] as Line)] : undefined;
    return valueAxis(ink, {
      scale: name,
      size: props.narrow ? AXIS_W : AXIS_W - 2,
      label: props.narrow ? undefined : (lines[0]?.unit ?? " "),
      labelSize: props.narrow ? 0 : 14,
      labelFont: "12px Inter, system-ui, sans-serif",
      stroke: (alone && ink[alone]) || ink["ink-3"] || "",
      grid: { show: i === 0, stroke: ink.line, width: 1 },
    });
  });
  return { scales, axes: [time, ...axes] };
}

const fullHeight = ({ height, last }: Props): number => height + HEAD_H - 6 + (last ? AXIS_H : 0);

function options(props: Props, current: () => Props, joined: () => Joined): uPlot.Options {
  const ink = colours();
  const { scales, axes } = axesOf(props, ink);
  return {
    width: props.width,
    height: fullHeight(props),
    padding: [HEAD_H, props.narrow ? 52 : RIGHT + 6, props.last ? 0 : 6, 0],
    legend: { show: false },
    cursor: {
      sync: { key: props.syncKey, scales: ["x", null] },
      drag: { x: true, y: false, setScale: false },
      points: { size: 7 },
      y: false,
      bind: { dblclick: () => null },
    },
    scales: { x: { time: true, range: () => [current().view.from, current().view.to] }, ...scales },
    axes,
    series: [
      {},
      ...props.lines.map((line, i) => ({
        scale: props.normalised ? "share" : axisOf(line),
        stroke: ink[INKS[i] ?? "d1"],
        width: WIDTHS[i],
        dash: DASHES[i],
        points: { show: false },
      })),
    ],
    hooks: {
      init: [addWords],
      drawClear: [(plot) => drawUnder(plot, current(), ink)],
      draw: [(plot) => drawOver(plot, current(), joined(), ink)],
      setSelect: [(plot) => takeSelection(plot, current().onZoom)],
      setCursor: [
        (plot) => {
          const { idx, left } = plot.cursor;
          const away = idx == null || (left ?? -1) < 0;
          tellTime(plot, away || !current().first ? null : plot.data[0][idx], current().view);
          tellStep(
            plot,
            current().lines.flatMap((line) => line.steps),
          );
          current().onCursor(away ? null : joined().read.map((column) => heldAt(column, idx)));
        },
      ],
    },
  };
}

/** The dash and colour of a line, for the words beside the plot. */
export function LineKey({ index }: { index: number }) {
  return (
    <svg width="22" height="8" aria-hidden="true">
      <path
        d="M0 4h22"
        fill="none"
        stroke={`var(--${INKS[index] ?? "d1"})`}
        strokeWidth={(WIDTHS[index] ?? 1.5) + 0.5}
        strokeDasharray={(DASHES[index] ?? []).join(" ") || undefined}
      />
    </svg>
  );
}

/** Up to four lines over each other: on an axis for each unit, or each in percent of its own range. */
export function MultiPlot(props: Props) {
  const joined = useMemo(() => join(props.lines, props.normalised), [props.lines, props.normalised]);
  const latest = useRef(props);
  latest.current = props;
  const now = useRef(joined);
  now.current = joined;
  const { host, plot } = usePlot({
    options: () =>
      options(
        latest.current,
        () => latest.current,
        () => now.current,
      ),
    data: joined.data,
    width: props.width,
    view: props.view,
    shape: [
      props.height,
      props.first,
      props.last,
      props.narrow,
      props.normalised,
      props.scale,
      ...props.lines.map((line) => `${line.key} ${line.unit} ${line.limits}`),
    ].join(),
    onPlot: props.onPlot,
  });

  // biome-ignore lint/correctness/useExhaustiveDependencies: what the hooks draw depends on these
  useEffect(() => {
    plot.current?.redraw(true, true);
  }, [props.shades, props.events, props.lines]);
  return <div ref={host} role="img" aria-label={props.summary} style={{ minHeight: fullHeight(props) }} />;
}
