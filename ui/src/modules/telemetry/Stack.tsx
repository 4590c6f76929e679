import {
  type KeyboardEvent,
  type ReactNode,
  type RefObject,
  useCallback,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import type uPlot from "uplot";
import type { Window } from "../../api/queries";
import type { Priority, Sensor, Series } from "../../api/types";
import { DataTable, TableToggle, useWidth } from "../../ui/Figure";
import { clock, clockSeconds, moment, number, numberWithin, ownName, plural } from "../../ui/format";
import { Glyph } from "../../ui/Glyph";
import { Panel } from "../../ui/Panel";
import { extent } from "../../ui/svg";
import {
  dataWords,
  type Mark,
  type PlotData,
  type Shade,
  spanOf,
  TimePlot,
  type YScale,
} from "../../ui/TimePlot";
import { useNow } from "../../ui/time";
import { steer, TimeView } from "../../ui/view";
import { plotData, within } from "./plotData";

export interface SensorMarks {
  shades: Shade[];
  marks: Mark[];
}

interface Props {
  title: string;
  sensors: readonly Sensor[];
  series: ReadonlyMap<string, Series>;
  window: Window;
  live: boolean;
  scale: YScale;
  marksOf: (sensor: string) => SensorMarks;
  /** Marks for all strips; their words stand above the first. */
  events: readonly Mark[];
  busy: boolean;
  /** The buttons that stand for every drag. */
  tools: ReactNode;
  /** A stretch was chosen: it is worth a step back. */
  onZoom: (from: number, to: number) => void;
  /** The hand rests after a pan or a wheel. */
  onMove: (from: number, to: number) => void;
  onBack: () => void;
}

const SYNC = "explorer";
const NAME_W = 112;
/** Under this a strip cannot be read. */
const STRIP_LEAST = 76;

/** A single sensor gets the room of several, so that the panel is always about as tall. */
function stripHeight(strips: number, phone: boolean): number {
  if (phone) return strips === 1 ? 220 : 112;
  return Math.round(Math.max(STRIP_LEAST, Math.min(360, 520 / Math.max(1, strips))));
}

/** From when on the sensor itself is not believed, in seconds. */
const doubtedSince = (sensor: Sensor): number | null =>
  sensor.trust === "trusted" || !sensor.trust_since ? null : Date.parse(sensor.trust_since) / 1000;

function useView({ window, onMove }: Props): TimeView {
  const move = useRef(onMove);
  move.current = onMove;
  const [view] = useState(
    () =>
      new TimeView(window.from / 1000, window.to / 1000, (from, to) => move.current(from * 1000, to * 1000)),
  );
  useEffect(() => view.show(window.from / 1000, window.to / 1000), [view, window.from, window.to]);
  useEffect(() => () => view.stop(), [view]);
  return view;
}

/** Several sensors under each other with one time axis and one crosshair. */
export function Stack(props: Props) {
  const { sensors, series, window, live } = props;
  const [asTable, setAsTable] = useState(false);
  const view = useView(props);
  // The stream moves the right end between fetches.
  const beat = useNow(live ? 1000 : 3_600_000);
  const data = useMemo(() => {
    void beat;
    return new Map<string, PlotData>(
      sensors.map((s) => [s.key, plotData(series.get(s.key), live, doubtedSince(s))]),
    );
  }, [sensors, series, live, beat]);
  const found = sensors.map((sensor) => props.marksOf(sensor.key));
  const [from, to] = [window.from / 1000, window.to / 1000];
  const inSight = (mark: Mark) => mark.at >= from && mark.at <= to;
  const seen = {
    alarm: found
      .flatMap((each) => each.marks.filter(inSight).flatMap((mark) => mark.priority ?? []))
      .sort()[0],
    anomalies: found.some((each) => each.shades.some((shade) => shade.to >= from && shade.from <= to)),
    events: props.events.some(inSight),
    raw: [...series.values()].some((each) => each.points),
    doubted: [...data.values()].some((each) => each[4].some((value) => value !== null)),
  };
  const name = "Readings";
  return (
    <Panel
      title={props.title}
      meta={
        <>
          <span className="hide-phone">
            <Legend {...seen} /> ·{" "}
          </span>
          <TableToggle on={asTable} set={setAsTable} name={name} />
        </>
      }
    >
      {props.tools}
      {asTable ? (
        <Table {...props} data={data} />
      ) : (
        <div className="in" style={{ paddingBottom: 8 }}>
          <div className="only-phone">
            <Legend {...seen} />
          </div>
          <Strips {...props} data={data} view={view} />
          <p className="sr">
            {plural(sensors.length, "sensor")} from {clock(window.from)} to {clock(window.to)}. Drag over a
            plot or use the zoom buttons to look closer.
          </p>
        </div>
      )}
    </Panel>
  );
}

interface Seen {
  alarm: Priority | undefined;
  anomalies: boolean;
  events: boolean;
  /** Single readings, not summaries. */
  raw: boolean;
  doubted: boolean;
}

/** Only what can be seen is explained. */
function Legend({ alarm, anomalies, events, raw, doubted }: Seen) {
  return (
    <span className="legend row" aria-hidden="true">
      {alarm ? (
        <span>
          <Glyph p={alarm} silent /> alarm
        </span>
      ) : null}
      {anomalies ? (
        <span>
          <svg width="14" height="12">
            <rect width="14" height="12" className="fb" />
          </svg>
          anomaly
        </span>
      ) : null}
      {events ? (
        <span>
          <svg width="12" height="10">
            <path d="M1 1h10L6 9z" className="fink" />
          </svg>
          event
        </span>
      ) : null}
      <span>
        <svg width="18" height="6">
          <path d="M0 3h18" className="limit" />
        </svg>
        expected range
      </span>
      {doubted ? (
        <span>
          <svg width="18" height="8">
            <path d="M0 4h18" className="l l1" strokeDasharray="3 4" />
            <circle cx="9" cy="4" r="2.5" fill="var(--surface)" stroke="var(--d1)" />
          </svg>
          not to be trusted
        </span>
      ) : null}
      <span className="dim">{raw ? "every reading" : "min, mean, max per pixel"}</span>
    </span>
  );
}

const EMPTY: PlotData = [[], [], [], [], []];

type StripsProps = Props & { data: ReadonlyMap<string, PlotData>; view: TimeView };

/** Everything that keys, wheel and fingers do with the plots. */
function Strips(props: StripsProps) {
  const { sensors, view, busy, onBack } = props;
  const [ref, width] = useWidth();
  const plots = useRef(new Map<string, uPlot>());
  const [said, setSaid] = useState("");
  useEffect(() => (ref.current ? steer(ref.current, view) : undefined), [view, ref]);
  const press = useKeyboard(plots, props, setSaid);
  return (
    <section
      ref={ref as RefObject<HTMLElement | null> as RefObject<HTMLDivElement>}
      className="strips"
      data-busy={busy}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys move its crosshair
      tabIndex={0}
      aria-label="Plots. Left and right move the crosshair, with Shift the window; plus and minus look closer and wider."
      onKeyDown={press}
      onDoubleClick={onBack}
    >
      {width > 0
        ? sensors.map((sensor, index) => (
            <Strip
              key={sensor.key}
              {...props}
              sensor={sensor}
              data={props.data.get(sensor.key) ?? EMPTY}
              width={width - 1}
              first={index === 0}
              last={index === sensors.length - 1}
              plots={plots}
            />
          ))
        : null}
      <p className="sr" role="status">
        {said}
      </p>
    </section>
  );
}

const CURSOR_STEPS = 100;
const PAN_SHARE = 0.2;

function useKeyboard(
  plots: RefObject<Map<string, uPlot>>,
  { view, sensors }: StripsProps,
  say: (words: string) => void,
) {
  const at = useRef(0.5);
  const cursor = (share: number | null) => {
    if (share !== null) at.current = Math.min(1, Math.max(0, share));
    const words: string[] = [];
    for (const plot of plots.current.values()) {
      plot.setCursor({
        left: share === null ? -10 : at.current * plot.over.clientWidth,
        top: share === null ? -10 : 4,
      });
    }
    for (const [index, sensor] of sensors.entries()) {
      const plot = plots.current.get(sensor.key);
      const idx = plot?.cursor.idx;
      if (!plot || share === null || idx == null) continue;
      if (index === 0) words.push(clockSeconds((plot.data[0][idx] ?? 0) * 1000));
      const value = plot.data[1]?.[idx] ?? plot.data[4]?.[idx];
      words.push(
        `${ownName(sensor.asset)} ${sensor.measure} ${numberWithin(value, sensor.unit, spanOf(plot))}`,
      );
    }
    say(words.join(", "));
  };
  return (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = event.key === "ArrowLeft" ? -1 : event.key === "ArrowRight" ? 1 : 0;
    if (by !== 0 && event.shiftKey) view.pan(by * PAN_SHARE);
    else if (by !== 0) cursor(at.current + by / CURSOR_STEPS);
    else if (event.key === "Home") cursor(0);
    else if (event.key === "End") cursor(1);
    else if (event.key === "+" || event.key === "=") view.zoom(0.5, at.current);
    else if (event.key === "-") view.zoom(2, at.current);
    else if (event.key === "Escape") cursor(null);
    else return;
    event.preventDefault();
  };
}

interface StripProps extends Omit<StripsProps, "data"> {
  sensor: Sensor;
  data: PlotData;
  width: number;
  first: boolean;
  last: boolean;
  plots: RefObject<Map<string, uPlot>>;
}
function limitsOf(sensor: Sensor): number[] {
  return [sensor.expected_low, sensor.expected_high].filter((v): v is number => v != null);
}

function Strip(props: StripProps) {
  const { sensor, data, width, first, last, marksOf, events, view, plots, onZoom } = props;
  const value = useRef<HTMLOutputElement>(null);
  const newest = data[1].findLast((v) => v !== null) ?? data[4].findLast((v) => v !== null) ?? null;
  const hovering = useRef(false);
  const own = useMemo(() => marksOf(sensor.key), [marksOf, sensor.key]);
  const { expected_low: low, expected_high: high } = sensor;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the limits, not the value of each second
  const limits = useMemo(() => limitsOf(sensor), [low, high]);
  const marks = useMemo(() => [...own.marks, ...events], [own.marks, events]);
  useEffect(() => {
    const plot = plots.current.get(sensor.key);
    if (value.current && !hovering.current)
      value.current.textContent = numberWithin(newest, sensor.unit, plot ? spanOf(plot) : 0);
  }, [newest, sensor.unit, sensor.key, plots]);
  const onPlot = useCallback(
    (plot: uPlot | null) => {
      if (plot) plots.current.set(sensor.key, plot);
      else plots.current.delete(sensor.key);
    },
    [plots, sensor.key],
  );
  const phone = width < 560;
  const { from, to } = view;
  const words = dataWords(
    [...within(data, 1, from, to), ...within(data, 4, from, to)],
    within(data, 2, from, to),
    within(data, 3, from, to),
    sensor.unit,
  );
  return (
    <div className="strip">
      <div className="name">
        <b className="ink">
          {ownName(sensor.asset)}/{phone ? "" : <br />}
          {sensor.measure}
        </b>
        <span className="dim">
          {[sensor.unit, sensor.trust === "trusted" ? null : sensor.trust].filter(Boolean).join(" · ")}
        </span>
        <output ref={value} aria-label={`Value of ${sensor.key}`} />
      </div>
      <TimePlot
        data={data}
        view={view}
        scale={props.scale}
        unit={sensor.unit}
        limits={limits}
        shades={own.shades}
        marks={marks}
        summary={`${sensor.key}: ${words}; ${plural(own.shades.length, "anomaly", "anomalies")} in the window`}
        width={phone ? width : width - NAME_W}
        height={stripHeight(props.sensors.length, phone)}
        first={first}
        last={last}
        syncKey={SYNC}
        onZoom={(a, b) => onZoom(a * 1000, b * 1000)}
        onCursor={(seconds, v) => {
          hovering.current = seconds !== null;
          const plot = plots.current.get(sensor.key);
          const shown = seconds === null ? newest : v;
          if (value.current)
            value.current.textContent = numberWithin(shown, sensor.unit, plot ? spanOf(plot) : 0);
        }}
        onPlot={onPlot}
      />
    </div>
  );
}

/** So many moments of the window are listed. */
const MOMENTS = 60;

function Table(props: Props & { data: ReadonlyMap<string, PlotData> }) {
  const { sensors, data, window, marksOf, events } = props;
  const now = Date.now();
  const [from, to] = [window.from / 1000, window.to / 1000];
  const rows = sensors.map((sensor) => {
    const d = data.get(sensor.key) ?? EMPTY;
    const mean = [...within(d, 1, from, to), ...within(d, 4, from, to)];
    const cell = (v: number | undefined) =>
      number(v !== undefined && Number.isFinite(v) ? v : null, sensor.unit);
    const none = mean.length === 0;
    return {
      key: sensor.key,
      cells: [
        sensor.key,
        sensor.unit ?? "–",
        cell(none ? undefined : extent(within(d, 2, from, to))[0]),
        cell(mean.reduce((a, b) => a + b, 0) / mean.length),
        cell(none ? undefined : extent(within(d, 3, from, to))[1]),
        cell(mean[mean.length - 1]),
        String(marksOf(sensor.key).shades.length),
      ],
    };
  });
  const happened = [
    ...sensors.flatMap((sensor) =>
      marksOf(sensor.key).shades.map((shade) => ({
        at: Math.max(shade.from, from),
        label: shade.label,
        where: sensor.key,
      })),
    ),
    ...sensors.flatMap((sensor) => marksOf(sensor.key).marks.map((mark) => ({ ...mark, where: sensor.key }))),
    ...events.map((event) => ({ ...event, where: "–" })),
  ].filter((mark) => mark.at * 1000 >= window.from && mark.at * 1000 <= window.to);
  return (
    <>
      <DataTable
        label="Readings, as table"
        view={{
          columns: [
            { name: "Sensor" },
            { name: "Unit" },
            { name: "Min", right: true },
            { name: "Mean", right: true },
            { name: "Max", right: true },
            { name: "Last", right: true },
            { name: "Anomalies", right: true },
          ],
          rows,
        }}
      />
      {happened.length > 0 ? (
        <DataTable
          label="Events in the window"
          view={{
            columns: [{ name: "At" }, { name: "Where" }, { name: "What" }],
            rows: happened
              .sort((a, b) => a.at - b.at)
              .map((mark, index) => ({
                key: `${mark.at}-${index}`,
                cells: [moment(mark.at * 1000, now), mark.where, mark.label],
              })),
          }}
        />
      ) : null}
      <Moments {...props} />
    </>
  );
}

/** The values at evenly spaced moments, newest first: each is the last one at or before its moment. */
function Moments({ sensors, data, window }: Props & { data: ReadonlyMap<string, PlotData> }) {
  const now = Date.now();
  const step = (window.to - window.from) / MOMENTS;
  const rows = Array.from({ length: MOMENTS }, (_, i) => window.to - i * step).map((at) => ({
    key: String(at),
    cells: [
      step < 60_000 ? clockSeconds(at) : moment(at, now),
      ...sensors.map((sensor) => number(valueAt(data.get(sensor.key) ?? EMPTY, at / 1000), sensor.unit)),
    ],
  }));
  return (
    <div className="moments">
      <DataTable
        label="Values over time"
        view={{
          columns: [
            { name: "At" },
            ...sensors.map((sensor) => ({
              name: `${ownName(sensor.asset)}/${sensor.measure}${sensor.unit ? `, ${sensor.unit}` : ""}`,
              right: true,
            })),
          ],
          rows,
        }}
      />
    </div>
  );
}

function valueAt(data: PlotData, at: number): number | null {
  let low = 0;
  let high = data[0].length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((data[0][middle] ?? 0) <= at) low = middle;
    else high = middle - 1;
  }
  const time = data[0][low];
  return time === undefined || time > at ? null : (data[1][low] ?? data[4][low] ?? null);
}
