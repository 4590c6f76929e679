import { type KeyboardEvent, type RefObject, useCallback, useEffect, useMemo, useRef, useState } from "react";
import type uPlot from "uplot";
import type { Sensor } from "../../api/types";
import { useWidth } from "../../ui/Figure";
import { clockSeconds, numberWithin, ownName, plural } from "../../ui/format";
import { Icon } from "../../ui/Icon";
import { LINES_MOST, type Line, LineKey, MultiPlot } from "../../ui/MultiPlot";
import { type PlotData, type Shade, spanOf, stepAt } from "../../ui/plotParts";
import { dataWords, TimePlot } from "../../ui/TimePlot";
import { steer, type TimeView } from "../../ui/view";
import { EMPTY, within } from "./plotData";
import type { StackProps } from "./Stack";

const SYNC = "explorer";
const NAME_W = 112;
/** Under this a strip cannot be read. */
const STRIP_LEAST = 76;

/** A plot, and what it tells of the place where its crosshair stands. */
interface Drawn {
  plot: uPlot;
  told: (idx: number) => string[];
}
type Plots = Map<string, Drawn>;

/** A single sensor gets the room of several, so that the panel is always about as tall. */
function stripHeight(strips: number, phone: boolean): number {
  if (phone) return strips === 1 ? 220 : 112;
  return Math.round(Math.max(STRIP_LEAST, Math.min(360, 520 / Math.max(1, strips))));
}

function groupHeight(groups: number, phone: boolean): number {
  if (phone) return 220;
  return groups === 1 ? 420 : groups === 2 ? 280 : 220;
}

function groupsOf(sensors: readonly Sensor[]): Sensor[][] {
  const out: Sensor[][] = [];
  for (let i = 0; i < sensors.length; i += LINES_MOST) out.push(sensors.slice(i, i + LINES_MOST));
  return out;
}

/** `km-60 flow 705.6` */
const toldOf = (sensor: Sensor, value: number | null | undefined, span: number): string =>
  `${ownName(sensor.asset)} ${sensor.measure} ${numberWithin(value, sensor.unit, span)}`;

const newestOf = (data: PlotData): number | null =>
  data[1].findLast((v) => v !== null) ?? data[4].findLast((v) => v !== null) ?? null;

type StripsProps = StackProps & { data: ReadonlyMap<string, PlotData>; view: TimeView };

/** Everything that keys, wheel and fingers do with the plots. */
export function Strips(props: StripsProps) {
  const { sensors, view, busy, onBack } = props;
  const [ref, width] = useWidth();
  const plots = useRef<Plots>(new Map());
  const [said, setSaid] = useState("");
  useEffect(() => (ref.current ? steer(ref.current, view) : undefined), [view, ref]);
  const press = useKeyboard(plots, props, setSaid);
  const groups = useMemo(() => groupsOf(sensors), [sensors]);
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
      {width === 0
        ? null
        : props.layout === "strips"
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
          : groups.map((group, index) => (
              <Group
                key={group.map((sensor) => sensor.key).join()}
                {...props}
                group={group}
                width={width - 1}
                first={index === 0}
                last={index === groups.length - 1}
                plots={plots}
              />
            ))}
      <p className="sr" role="status">
        {said}
      </p>
    </section>
  );
}

const CURSOR_STEPS = 100;
const PAN_SHARE = 0.2;

function useKeyboard(plots: RefObject<Plots>, { view }: StripsProps, say: (words: string) => void) {
  const at = useRef(0.5);
  const cursor = (share: number | null) => {
    if (share !== null) at.current = Math.min(1, Math.max(0, share));
    const words: string[] = [];
    for (const { plot, told } of plots.current.values()) {
      plot.setCursor({
        left: share === null ? -10 : at.current * plot.over.clientWidth,
        top: share === null ? -10 : 4,
      });
      const idx = plot.cursor.idx;
      if (share === null || idx == null) continue;
      if (words.length === 0) words.push(clockSeconds((plot.data[0][idx] ?? 0) * 1000));
      words.push(...told(idx));
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
  plots: RefObject<Plots>;
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
  const steps = useRef(own.steps);
  steps.current = own.steps;
  const { expected_low: low, expected_high: high } = sensor;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the limits, not the value of each second
  const limits = useMemo(() => limitsOf(sensor), [low, high]);
  const marks = useMemo(() => [...own.marks, ...events], [own.marks, events]);
  useEffect(() => {
    const plot = plots.current.get(sensor.key)?.plot;
    if (value.current && !hovering.current)
      value.current.textContent = numberWithin(newest, sensor.unit, plot ? spanOf(plot) : 0);
  }, [newest, sensor.unit, sensor.key, plots]);
  const onPlot = useCallback(
    (plot: uPlot | null) => {
      if (!plot) return void plots.current.delete(sensor.key);
      const told = (idx: number) => [
        toldOf(sensor, plot.data[1]?.[idx] ?? plot.data[4]?.[idx], spanOf(plot)),
        ...[stepAt(plot, steps.current)?.label ?? []].flat(),
      ];
      plots.current.set(sensor.key, { plot, told });
    },
    [plots, sensor],
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
        <SensorName sensor={sensor} phone={phone} onRemove={props.onRemove} />
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
        steps={own.steps}
        summary={`${sensor.key}: ${words}; ${plural(own.shades.length, "anomaly", "anomalies")} in the window${own.steps.map((step) => `; ${step.label}`).join("")}`}
        width={phone ? width : width - NAME_W}
        height={stripHeight(props.sensors.length, phone)}
        first={first}
        last={last}
        syncKey={SYNC}
        onZoom={(a, b) => onZoom(a * 1000, b * 1000)}
        onCursor={(seconds, v) => {
          hovering.current = seconds !== null;
          const plot = plots.current.get(sensor.key)?.plot;
          const shown = seconds === null ? newest : v;
          if (value.current)
            value.current.textContent = numberWithin(shown, sensor.unit, plot ? spanOf(plot) : 0);
        }}
        onPlot={onPlot}
      />
    </div>
  );
}

interface NameProps {
  sensor: Sensor;
  phone: boolean;
  onRemove: (key: string) => void;
}

function SensorName({ sensor, phone, onRemove }: NameProps) {
  return (
    <>
      <b className="ink">
        {ownName(sensor.asset)}/{phone ? "" : <br />}
        {sensor.measure}
        <button
          type="button"
          className="away"
          title="Take it out of the picture"
          onClick={() => onRemove(sensor.key)}
        >
          <Icon name="close" size={12} />
          <span className="sr">Take {sensor.key} out of the picture</span>
        </button>
      </b>
      <span className="dim">
        {[sensor.unit, sensor.trust === "trusted" ? null : sensor.trust].filter(Boolean).join(" · ")}
      </span>
    </>
  );
}

/** Stretches that overlap become one: laid over each other they would look worse than they are. */
export function union(shades: readonly Shade[]): Shade[] {
  const out: Shade[] = [];
  for (const shade of [...shades].sort((a, b) => a.from - b.from)) {
    const last = out[out.length - 1];
    if (last && shade.from <= last.to) last.to = Math.max(last.to, shade.to);
    else out.push({ ...shade });
  }
  return out;
}

interface GroupProps extends Omit<StripsProps, "sensors"> {
  group: readonly Sensor[];
  width: number;
  first: boolean;
  last: boolean;
  plots: RefObject<Plots>;
  sensors: readonly Sensor[];
}

/** Up to four sensors in one plot; their names, dashes and values stand beside it. */
function Group(props: GroupProps) {
  const { group, data, marksOf, events, plots, width, layout } = props;
  const key = group.map((sensor) => sensor.key).join();
  const phone = width < 560;
  const [pointed, setPointed] = useState<(number | null)[] | null>(null);
  const lines = useMemo(
    () =>
      group.map(
        (sensor): Line => ({
          key: sensor.key,
          unit: sensor.unit,
          data: data.get(sensor.key) ?? EMPTY,
          limits: limitsOf(sensor),
          marks: marksOf(sensor.key).marks,
          steps: marksOf(sensor.key).steps.map((step) => ({
            ...step,
            label: `${ownName(sensor.asset)} ${sensor.measure}: ${step.label}`,
          })),
        }),
      ),
    [group, data, marksOf],
  );
  const shades = useMemo(
    () => union(group.flatMap((sensor) => marksOf(sensor.key).shades)),
    [group, marksOf],
  );
  const heads = useMemo(() => [...events], [events]);
  const told = useRef<(number | null)[] | null>(null);
  const onPlot = useCallback(
    (plot: uPlot | null) => {
      if (!plot) return void plots.current.delete(key);
      plots.current.set(key, {
        plot,
        told: () => group.map((sensor, i) => toldOf(sensor, told.current?.[i], 0)),
      });
    },
    [plots, key, group],
  );
  const values = group.map(
    (sensor, i) => (pointed ? pointed[i] : newestOf(data.get(sensor.key) ?? EMPTY)) ?? null,
  );
  return (
    <div className="strip group">
      <div className="name">
        {group.map((sensor, i) => (
          <div key={sensor.key} className="line">
            <LineKey index={i} />
            <SensorName sensor={sensor} phone={phone} onRemove={props.onRemove} />
            <output aria-label={`Value of ${sensor.key}`}>
              {numberWithin(values[i], sensor.unit, Math.abs(values[i] ?? 0) / 20)}
            </output>
          </div>
        ))}
      </div>
      <MultiPlot
        lines={lines}
        view={props.view}
        normalised={layout === "share"}
        scale={props.scale}
        shades={shades}
        events={heads}
        summary={`${group.map((sensor) => sensor.key).join(", ")} in one plot${layout === "share" ? ", each in percent of its own range" : ""}; ${plural(shades.length, "anomaly", "anomalies")} in the window${lines.flatMap((line) => line.steps.map((step) => `; ${step.label}`)).join("")}`}
        width={phone ? width : width - NAME_W}
        height={groupHeight(Math.ceil(props.sensors.length / LINES_MOST), phone)}
        first={props.first}
        last={props.last}
        narrow={phone}
        syncKey={SYNC}
        onZoom={(a, b) => props.onZoom(a * 1000, b * 1000)}
        onCursor={(now) => {
          told.current = now;
          setPointed(now);
        }}
        onPlot={onPlot}
      />
    </div>
  );
}
