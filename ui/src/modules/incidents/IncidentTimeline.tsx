import type { Alert, Priority, Sensor, Series, TimelineEntry } from "../../api/types";
import { Figure } from "../../ui/Figure";
import { assetName, clock, clockSeconds, measureName, moment, number, sensorName } from "../../ui/format";
import { Glyph } from "../../ui/Glyph";
import { pointsOf } from "../../ui/points";
import { extent, linePath, TimeGrid } from "../../ui/svg";

const ALARM_ROW = 21;
const SIGNAL_ROW = 52;
const EVENT_ROW = 24;
/** Room under the alarms for the words that say when it began. */
const BEGAN_ROW = 18;
/** Room for the name of the lane above the names of its sensors. */
const SIGNAL_HEAD = 18;
const MOST_ALARMS = 8;
const MOST_SIGNALS = 3;

interface Props {
  title: string;
  from: number;
  to: number;
  now: number;
  /** When the first detector saw the first change, or null. */
  beganAt: number | null;
  foundAt: number;
  alerts: readonly Alert[];
  sensors: readonly Sensor[];
  series: ReadonlyMap<string, Series>;
  entries: readonly TimelineEntry[];
}

interface Placed {
  entry: TimelineEntry;
  row: number;
  left: boolean;
}

type Scale = (t: number) => number;

const LETTER_PX = 6.4;
/** Letters beside the scale of a signal. */
const NAME_FITS = 16;

/** Puts labels side by side in as few rows as do not overlap; near the right end they stand left of their dot. */
export function place(entries: readonly TimelineEntry[], x: Scale, end: number, most = 5): Placed[] {
  const rows: [number, number][][] = [];
  return entries.map((entry) => {
    const at = x(Date.parse(entry.at));
    const stop = entry.until ? Math.min(end, x(Date.parse(entry.until))) : at;
    const width = entry.title.length * LETTER_PX + 24;
    const left = at + width > end && at - width > 0;
    const span: [number, number] = left
      ? [at - width, Math.max(at + 8, stop)]
      : [at - 8, Math.max(at + width, stop)];
    let row = rows.findIndex((taken) => taken.every(([a, b]) => span[1] < a || span[0] > b));
    if (row < 0) row = rows.length < most ? rows.push([]) - 1 : most - 1;
    rows[row]?.push(span);
    return { entry, row, left };
  });
}

interface LaneLayout {
  name: string;
  top: number;
  height: number;
}

function layout(width: number, props: Props) {
  const phone = width < 560;
  const began = props.beganAt !== null && props.foundAt - props.beganAt > 1000;
  const x0 = phone ? 8 : 148;
  const x1 = width - 16;
  const x: Scale = (t) => x0 + ((t - props.from) / (props.to - props.from)) * (x1 - x0);
  const alarms = [...props.alerts]
    .sort((a, b) => a.raised_at.localeCompare(b.raised_at))
    .slice(0, MOST_ALARMS);
  const signals = props.sensors.slice(0, MOST_SIGNALS);
  const lane = (name: TimelineEntry["lane"]) =>
    place(
      props.entries.filter((e) => e.lane === name),
      x,
      x1,
    );
  const people = lane("people");
  const decisions = lane("decisions");
  const work = lane("work");
  const rowsOf = (placed: Placed[]) => Math.max(1, ...placed.map((p) => p.row + 1));
  const heights: [string, number][] = [
    ["Alarms", Math.max(1, alarms.length) * ALARM_ROW + 14 + (began ? BEGAN_ROW : 0)],
    ["Signals", Math.max(1, signals.length) * SIGNAL_ROW + (phone ? 8 : SIGNAL_HEAD + 4)],
    ["People", rowsOf(people) * EVENT_ROW + 10],
    ["Decisions", rowsOf(decisions) * EVENT_ROW + 10],
    ["Work", rowsOf(work) * EVENT_ROW + 10],
  ];
  const lanes: LaneLayout[] = [];
  let top = 0;
  for (const [name, height] of heights) {
    lanes.push({ name, top, height });
    top += height;
  }
  return { phone, began, x0, x1, x, alarms, signals, people, decisions, work, lanes, height: top };
}

export function timelineSummary({ alerts, entries, foundAt, from, to }: Props): string {
  const first = [...alerts].sort((a, b) => a.raised_at.localeCompare(b.raised_at))[0];
  const acts = entries.filter((entry) => entry.kind === "person");
  const words = [`One axis from ${clock(from)} to ${clock(to)}.`];
  if (first)
    words.push(
      `${first.title} came first at ${clockSeconds(first.raised_at)}, the incident opened ${clockSeconds(foundAt)}.`,
    );
  words.push(
    acts.length === 0
      ? "Nobody has acted yet."
      : `People acted ${acts.length} times, last: ${acts[acts.length - 1]?.title}.`,
  );
  return words.join(" ");
}

export function IncidentTimeline(props: Props) {
  return (
    <Figure
      name="What happened"
      summary={timelineSummary(props)}
      sideways={(width) => layout(width, props).x(props.foundAt)}
      height={(width) => layout(Math.max(width, 320), props).height + 28}
      meta={
        <span className="legend row">
          <span>
            <svg width="14" height="10" aria-hidden="true">
              <rect width="14" height="10" className="fls" rx="2" />
            </svg>
            done
          </span>
          <span>
            <svg width="14" height="10" aria-hidden="true">
              <rect
                x=".5"
                y=".5"
                width="13"
                height="9"
                rx="2"
                fill="none"
                stroke="var(--line-strong)"
                strokeDasharray="3 2"
              />
            </svg>
            pending
          </span>
        </span>
      }
      table={() => ({
        columns: [{ name: "At" }, { name: "Lane" }, { name: "What" }, { name: "Detail" }, { name: "Who" }],
        rows: props.entries.map((entry, index) => ({
          key: entry.event_id ?? `${entry.at}-${index}`,
          cells: [
            moment(entry.at, props.now) === clock(entry.at)
              ? clockSeconds(entry.at)
              : moment(entry.at, props.now),
            entry.lane,
            entry.title,
            entry.detail ?? "–",
            entry.actor ?? "–",
          ],
        })),
      })}
    >
      {(width) => <Drawing width={width} {...props} />}
    </Figure>
  );
}

function Drawing(props: Props & { width: number }) {
  const { width, from, to, now, foundAt, series } = props;
  const at = layout(width, props);
  const { x, x0, x1, lanes, height } = at;
  const [alarmLane, signalLane, peopleLane, decisionLane, workLane] = lanes;
  const lanesOf: [LaneLayout | undefined, Placed[], string][] = [
    [peopleLane, at.people, "Nobody has acted yet"],
    [decisionLane, at.decisions, "No decision was asked for"],
    [workLane, at.work, "No work is planned"],
  ];
  const empty = lanesOf.flatMap(([lane, placed, words]) =>
    placed.length === 0 ? [[lane, words] as const] : [],
  );
  const found = x(foundAt);
  const label = `found ${clock(foundAt)}`;
  const nowSaid = now < to && Math.abs(x(now) - found) > 66;
  return (
    <>
      <TimeGrid
        from={from}
        to={to}
        x={x}
        top={4}
        bottom={height}
        gap={84}
        avoid={[
          { at: found, px: 68 },
          { at: x(now), px: nowSaid ? 44 : 0 },
        ]}
      />
      {lanes.map((lane, index) =>
        index > 0 ? <path key={lane.name} className="axis-l" d={`M0 ${lane.top + 0.5}H${width}`} /> : null,
      )}
      {at.began && props.beganAt !== null ? (
        <Began at={props.beganAt} x={x} left={x0} y={alarmLane?.height ?? 0} bottom={height} />
      ) : null}
      <path className="cursor" d={`M${Math.round(found) + 0.5} 4V${height}`} />
      {now < to ? <path className="cursor" d={`M${Math.round(x(now)) + 0.5} 4V${height}`} /> : null}
      {at.alarms.map((alert, index) => (
        <AlarmBar
          key={alert.alert_id}
          alert={alert}
          x={x}
          end={Math.min(now, to)}
          right={x1}
          y={(alarmLane?.top ?? 0) + 16 + index * ALARM_ROW}
        />
      ))}
      {at.signals.map((sensor, index) => (
        <Signal
          key={sensor.key}
          sensor={sensor}
          series={series.get(sensor.key)}
          until={Math.max(now, foundAt)}
          x={x}
          left={x0}
          right={x1}
          top={(signalLane?.top ?? 0) + (at.phone ? 6 : SIGNAL_HEAD) + index * SIGNAL_ROW}
          phone={at.phone}
        />
      ))}
      {at.people.map((placed, index) => (
        <Dot key={placed.entry.event_id ?? index} placed={placed} x={x} top={peopleLane?.top ?? 0} />
      ))}
      {at.decisions.map((placed, index) => (
        <Span
          key={placed.entry.event_id ?? index}
          placed={placed}
          x={x}
          top={decisionLane?.top ?? 0}
          now={now}
          end={x1}
        />
      ))}
      {at.work.map((placed, index) => (
        <Span
          key={placed.entry.event_id ?? index}
          placed={placed}
          x={x}
          top={workLane?.top ?? 0}
          now={now}
          end={x1}
        />
      ))}
      <g className="follow">
        {empty.map(([lane, words]) => (
          <text key={words} className="halo" x={at.phone ? 8 : 84} y={(lane?.top ?? 0) + 20}>
            {words}
          </text>
        ))}
      </g>
      {nowSaid ? (
        <text className="m" x={x(now)} y={height + 17} textAnchor="middle">
          now
        </text>
      ) : null}
      {at.phone ? null : <LaneNames lanes={lanes} />}
      <rect className="fink" x={Math.max(0, found - 42)} y={height + 5} width={84} height={18} rx="3" />
      <text
        x={Math.max(42, found)}
        y={height + 18}
        textAnchor="middle"
        style={{ fill: "var(--ink-invert)", fontWeight: 500 }}
      >
        {label}
      </text>
    </>
  );
}

/** They stay in sight when a narrow screen scrolls the picture sideways. */
function LaneNames({ lanes }: { lanes: readonly LaneLayout[] }) {
  return (
    <g className="follow">
      {lanes.map((lane) => (
        <g key={lane.name}>
          <rect
            className="fsurf only-phone"
            x={-2}
            y={lane.top + 5}
            width={lane.name.length * 7 + 10}
            height={21}
          />
          <text className="m" x={0} y={lane.top + 20}>
            {lane.name}
          </text>
        </g>
      ))}
    </g>
  );
}

function Began({
  at,
  x,
  left,
  y,
  bottom,
}: {
  at: number;
  x: Scale;
  left: number;
  y: number;
  bottom: number;
}) {
  const words = `began ${clockSeconds(at)}`;
  const px = Math.round(x(at)) + 0.5;
  const before = px - words.length * LETTER_PX - 8 > left;
  return (
    <g>
      <path className="limit" d={`M${px} ${y - 18}V${bottom}`} />
      <text className="lab halo" x={before ? px - 7 : px + 7} y={y - 6} textAnchor={before ? "end" : "start"}>
        {words}
      </text>
    </g>
  );
}

function AlarmBar({
  alert,
  x,
  y,
  end,
  right,
}: {
  alert: Alert;
  x: Scale;
  y: number;
  end: number;
  right: number;
}) {
  const from = x(Date.parse(alert.raised_at));
  const to = Math.min(right, x(alert.cleared_at ? Date.parse(alert.cleared_at) : end));
  const room = right - from;
  const before = alert.title.length * LETTER_PX + 24 > room;
  return (
    <g>
      <rect
        className={`a${alert.priority}`}
        x={from}
        y={y - 2}
        width={Math.max(2, to - from)}
        height="4"
        rx="2"
      />
      <Glyph p={alert.priority as Priority} unack={alert.state === "unacknowledged"} at={{ x: from, y }} />
      <text
        className={`${alert.priority === 1 ? "m" : "lab"} halo`}
        x={before ? from - 14 : from + 14}
        y={before ? y + 4 : y - 7}
        textAnchor={before ? "end" : "start"}
      >
        {alert.title}
      </text>
    </g>
  );
}

interface SignalProps {
  sensor: Sensor;
  series: Series | undefined;
  /** The picture's now: the readings are a little ahead of it. */
  until: number;
  x: Scale;
  left: number;
  right: number;
  top: number;
  phone: boolean;
}

function Signal({ sensor, series, until, x, left, right, top, phone }: SignalProps) {
  const name = sensorName(sensor.key);
  const long = name.length > NAME_FITS;
  const words = long
    ? [
        assetName(sensor.asset),
        `${measureName(sensor.measure)}, ${sensor.unit ?? ""}`.slice(0, NAME_FITS + 4),
      ]
    : [name, sensor.unit ?? ""];
  const points = pointsOf(series).filter(([at]) => at <= until);
  const [low, high] = extent(points.map((p) => p[1]));
  const pad = (high - low || 1) * 0.12;
  const bottom = top + SIGNAL_ROW - 8;
  const y = (v: number) => bottom - ((v - low + pad) / (high - low + 2 * pad || 1)) * (SIGNAL_ROW - 12);
  const limits = [sensor.expected_low, sensor.expected_high].filter(
    (v): v is number => v != null && v >= low - pad && v <= high + pad,
  );
  return (
    <g>
      {limits.map((v) => (
        <path key={v} className="limit" d={`M${left} ${Math.round(y(v)) + 0.5}H${right}`} />
      ))}
      {points.length > 1 ? (
        <>
          <path className="l l1" d={linePath(points, x, y)} />
          {phone
            ? null
            : [low, high].map((v, index) => (
                <text key={index === 0 ? "low" : "high"} x={left - 6} y={y(v) + 4} textAnchor="end">
                  {number(v, sensor.unit)}
                </text>
              ))}
        </>
      ) : (
        <text x={left + 8} y={top + 28}>
          no readings in this window
        </text>
      )}
      {phone ? null : (
        <g className="follow">
          <rect
            className="fsurf only-phone"
            x={-2}
            y={top + 1}
            width={Math.max(...words.map((line) => line.length)) * 6.6 + 12}
            height={SIGNAL_ROW - 2}
          />
          <text className="lab" x={0} y={top + 20}>
            {words[0]}
          </text>
          <text x={0} y={top + 35}>
            {words[1]}
          </text>
        </g>
      )}
      {phone ? (
        <text className="lab halo" x={left} y={top + 10}>
          {sensorName(sensor.key)}
        </text>
      ) : null}
    </g>
  );
}

function Dot({ placed, x, top }: { placed: Placed; x: Scale; top: number }) {
  const { entry, row, left } = placed;
  const at = x(Date.parse(entry.at));
  const y = top + 17 + row * EVENT_ROW;
  const message = entry.kind === "message";
  return (
    <g>
      {message ? (
        <rect className="fls" x={at - 4} y={y - 4} width="8" height="8" rx="1.5" />
      ) : (
        <circle className="fink" cx={at} cy={y} r="4.5" />
      )}
      <text className="lab halo" x={left ? at - 9 : at + 9} y={y + 4} textAnchor={left ? "end" : "start"}>
        {entry.title}
      </text>
    </g>
  );
}

function Span({
  placed,
  x,
  top,
  now,
  end,
}: {
  placed: Placed;
  x: Scale;
  top: number;
  now: number;
  end: number;
}) {
  const { entry, row, left } = placed;
  const from = x(Date.parse(entry.at));
  const until = entry.until ? Date.parse(entry.until) : null;
  if (until === null) return <Dot placed={placed} x={x} top={top} />;
  const y = top + 17 + row * EVENT_ROW;
  const split = Math.min(Math.max(from, x(now)), x(until), end);
  const to = Math.min(end, x(until));
  const fits = to - from > entry.title.length * LETTER_PX + 12;
  return (
    <g>
      {split > from ? (
        <rect className="fsel" x={from} y={y - 9} width={split - from} height="18" rx="3" />
      ) : null}
      {to > split + 1 ? (
        <rect
          x={split}
          y={y - 9}
          width={to - split}
          height="18"
          rx="3"
          fill="none"
          stroke="var(--line-strong)"
          strokeDasharray="4 3"
        />
      ) : null}
      <text
        className="lab halo"
        x={fits ? from + 7 : left ? from - 7 : to + 7}
        y={y + 4}
        textAnchor={!fits && left ? "end" : "start"}
      >
        {entry.title}
      </text>
    </g>
  );
}
