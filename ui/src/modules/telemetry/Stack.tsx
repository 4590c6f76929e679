import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import type { Window } from "../../api/queries";
import type { Priority, Sensor, Series } from "../../api/types";
import { DataTable, TableToggle, useWidth } from "../../ui/Figure";
import { clock, moment, number, ownName, plural } from "../../ui/format";
import { Glyph } from "../../ui/Glyph";
import { Panel } from "../../ui/Panel";
import { dataWords, type Mark, type PlotData, type Shade, TimePlot } from "../../ui/TimePlot";
import { useNow } from "../../ui/time";
import { plotData } from "./plotData";

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
  marksOf: (sensor: string) => SensorMarks;
  /** Marks for all strips; their words stand on the first. */
  events: readonly Mark[];
  busy: boolean;
  /** The buttons that stand for every drag. */
  tools: ReactNode;
  onZoom: (from: number, to: number) => void;
}

const SYNC = "explorer";
const NAME_W = 112;

/** A single sensor gets the room of several, so that the panel is always about as tall. */
function stripHeight(strips: number, phone: boolean): number {
  if (phone) return strips === 1 ? 200 : 112;
  return Math.round(Math.max(108, Math.min(340, 500 / Math.max(1, strips))));
}

/** Several sensors under each other with one time axis and one crosshair. */
export function Stack(props: Props) {
  const { sensors, series, window, live } = props;
  const [asTable, setAsTable] = useState(false);
  const [ref, width] = useWidth();
  // The stream moves the right end between fetches.
  const beat = useNow(live ? 2000 : 3_600_000);
  const data = useMemo(() => {
    void beat;
    return new Map<string, PlotData>(sensors.map((s) => [s.key, plotData(series.get(s.key), live)]));
  }, [sensors, series, live, beat]);
  const found = sensors.map((sensor) => props.marksOf(sensor.key));
  const alarm = found.flatMap((each) => each.marks.flatMap((mark) => mark.priority ?? [])).sort()[0];
  const anomalies = found.some((each) => each.shades.length > 0);
  const name = "Readings";
  return (
    <Panel
      title={props.title}
      meta={
        <>
          <span className="hide-phone">
            <Legend alarm={alarm} anomalies={anomalies} /> ·{" "}
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
            <Legend alarm={alarm} anomalies={anomalies} />
          </div>
          <div ref={ref} data-busy={props.busy}>
            {width > 0
              ? sensors.map((sensor, index) => (
                  <Strip
                    key={sensor.key}
                    {...props}
                    sensor={sensor}
                    data={data.get(sensor.key) ?? EMPTY}
                    width={width}
                    first={index === 0}
                    last={index === sensors.length - 1}
                  />
                ))
              : null}
          </div>
          <p className="sr">
            {plural(sensors.length, "sensor")} from {clock(window.from)} to {clock(window.to)}. Drag over a
            plot or use the zoom buttons to look closer.
          </p>
        </div>
      )}
    </Panel>
  );
}

/** Only what can be seen is explained. */
function Legend({ alarm, anomalies }: { alarm: Priority | undefined; anomalies: boolean }) {
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
      <span>
        <svg width="18" height="6">
          <path d="M0 3h18" className="limit" />
        </svg>
        expected range
      </span>
      <span className="dim">line mean, band min to max</span>
    </span>
  );
}

const EMPTY: PlotData = [[], [], [], []];

interface StripProps extends Props {
  sensor: Sensor;
  data: PlotData;
  width: number;
  first: boolean;
  last: boolean;
}

function limitsOf(sensor: Sensor): number[] {
  return [sensor.expected_low, sensor.expected_high].filter((v): v is number => v !== null);
}

function Strip({ sensor, data, width, first, last, window, marksOf, events, onZoom, ...rest }: StripProps) {
  const value = useRef<HTMLOutputElement>(null);
  const newest = data[1].findLast((v) => v !== null) ?? null;
  const hovering = useRef(false);
  const own = useMemo(() => marksOf(sensor.key), [marksOf, sensor.key]);
  const { expected_low: low, expected_high: high } = sensor;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the limits, not the value of each second
  const limits = useMemo(() => limitsOf(sensor), [low, high]);
  const marks = useMemo(
    () => [...own.marks, ...events.map((event) => (first ? event : { ...event, label: "" }))],
    [own.marks, events, first],
  );
  useEffect(() => {
    if (value.current && !hovering.current) value.current.textContent = number(newest, sensor.unit);
  }, [newest, sensor.unit]);
  const phone = width < 560;
  return (
    <div className="strip">
      <div className="name">
        <b className="ink">
          {ownName(sensor.asset)}/{phone ? "" : <br />}
          {sensor.measure}
        </b>
        <span className="dim">{sensor.unit}</span>
        <output ref={value} aria-label={`Value of ${sensor.key}`} />
      </div>
      <TimePlot
        data={data}
        from={window.from / 1000}
        to={window.to / 1000}
        unit={sensor.unit}
        limits={limits}
        shades={own.shades}
        marks={marks}
        summary={`${sensor.key}: ${dataWords(data, sensor.unit)}; ${plural(own.shades.length, "anomaly", "anomalies")} in the window`}
        width={phone ? width : width - NAME_W}
        height={stripHeight(rest.sensors.length, phone)}
        first={first}
        last={last}
        syncKey={SYNC}
        onZoom={(a, b) => onZoom(a * 1000, b * 1000)}
        onCursor={(seconds, v) => {
          hovering.current = seconds !== null;
          if (value.current) value.current.textContent = number(seconds === null ? newest : v, sensor.unit);
        }}
      />
    </div>
  );
}

function Table({ sensors, data, window, marksOf, events }: Props & { data: ReadonlyMap<string, PlotData> }) {
  const now = Date.now();
  const rows = sensors.map((sensor) => {
    const d = data.get(sensor.key) ?? EMPTY;
    const clean = (values: (number | null)[]) => values.filter((v): v is number => v !== null);
    const mean = clean(d[1]);
    const cell = (v: number | undefined) => number(Number.isFinite(v) ? v : null, sensor.unit);
    return {
      key: sensor.key,
      cells: [
        sensor.key,
        sensor.unit ?? "–",
        cell(Math.min(...clean(d[2]))),
        cell(mean.reduce((a, b) => a + b, 0) / mean.length),
        cell(Math.max(...clean(d[3]))),
        cell(mean[mean.length - 1]),
        String(marksOf(sensor.key).shades.length),
      ],
    };
  });
  const happened = [
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
    </>
  );
}
