import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import type { Window } from "../../api/queries";
import type { Priority, Sensor, Series } from "../../api/types";
import { TableToggle } from "../../ui/Figure";
import { clock, plural } from "../../ui/format";
import { Glyph } from "../../ui/Glyph";
import { Panel } from "../../ui/Panel";
import type { Mark, PlotData, Shade, Step, YScale } from "../../ui/plotParts";
import { useNow } from "../../ui/time";
import { TimeView } from "../../ui/view";
import { plotData } from "./plotData";
import { StackTable } from "./StackTable";
import { Strips } from "./Strips";

export interface SensorMarks {
  shades: Shade[];
  marks: Mark[];
  /** Changes of its level. */
  steps: readonly Step[];
}

/** Each sensor in a plot of its own, several over each other, or each in percent of its own range. */
export type Layout = "strips" | "together" | "share";

export interface StackProps {
  title: string;
  sensors: readonly Sensor[];
  series: ReadonlyMap<string, Series>;
  window: Window;
  live: boolean;
  scale: YScale;
  layout: Layout;
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
  /** Takes one sensor out of the picture. */
  onRemove: (sensor: string) => void;
}

/** From when on the sensor itself is not believed, in seconds. */
const doubtedSince = (sensor: Sensor): number | null =>
  sensor.trust === "trusted" || !sensor.trust_since ? null : Date.parse(sensor.trust_since) / 1000;

function useView({ window, onMove }: StackProps): TimeView {
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
export function Stack(props: StackProps) {
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
  const inSight = (mark: { at: number }) => mark.at >= from && mark.at <= to;
  const seen = {
    alarm: found
      .flatMap((each) => each.marks.filter(inSight).flatMap((mark) => mark.priority ?? []))
      .sort()[0],
    anomalies: found.some((each) => each.shades.some((shade) => shade.to >= from && shade.from <= to)),
    events: props.events.some(inSight),
    steps: found.some((each) => each.steps.some(inSight)),
    raw: [...series.values()].some((each) => each.points),
    limits: sensors.some((sensor) => sensor.expected_low != null || sensor.expected_high != null),
    alone: props.layout === "strips",
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
        <StackTable {...props} data={data} />
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
  /** A level changed for good. */
  steps: boolean;
  /** Single readings, not summaries. */
  raw: boolean;
  doubted: boolean;
  /** Something is expected of one of them. */
  limits: boolean;
  /** Each sensor has a plot of its own. */
  alone: boolean;
}

/** Only what can be seen is explained. */
function Legend({ alarm, anomalies, events, steps, raw, doubted, limits, alone }: Seen) {
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
      {steps ? (
        <span>
          <svg width="18" height="12">
            <path d="M9.5 0v12" stroke="var(--ink-3)" />
            <path d="M1 9h8.5M9.5 3H17" fill="none" stroke="var(--ink)" strokeWidth="2" />
          </svg>
          level change
        </span>
      ) : null}
      {alone && limits ? (
        <span>
          <svg width="18" height="6">
            <path d="M0 3h18" className="limit" />
          </svg>
          expected range
        </span>
      ) : null}
      {alone && doubted ? (
        <span>
          <svg width="18" height="8">
            <path d="M0 4h18" className="l l1" strokeDasharray="3 4" />
            <circle cx="9" cy="4" r="2.5" fill="var(--surface)" stroke="var(--d1)" />
          </svg>
          not to be trusted
        </span>
      ) : null}
      <span className="dim">
        {raw ? "every reading" : alone ? "min, mean, max per pixel" : "mean per pixel"}
      </span>
    </span>
  );
}
