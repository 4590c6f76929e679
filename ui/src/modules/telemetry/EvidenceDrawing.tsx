import type { Window } from "../../api/queries";
import type { Anomaly } from "../../api/types";
import { clockSeconds, numberWithin } from "../../ui/format";
import { extent, linePath, niceTicks, type Pt, TimeGrid } from "../../ui/svg";
import type { Subject } from "./evidence";

export const HEIGHT = 214;
const TOP = 24;
export const FOOT = 24;
const LEFT = 48;
/** Further apart than this, px, readings are drawn as points as well. */
const POINTS_PX = 6;
const LETTER_PX = 6.4;

export interface Sample {
  at: number;
  value: number;
  good: boolean;
}

interface Props {
  width: number;
  now: number;
  anomaly: Anomaly;
  subject: Subject;
  window: Window;
  points: readonly Pt[];
  samples: readonly Sample[] | null;
}

type Scale = (value: number) => number;

interface Frame {
  left: number;
  right: number;
  bottom: number;
  x: Scale;
  y: Scale;
  low: number;
  high: number;
}

/** A band far away would press the readings flat; the words name it all the same. */
function frameOf({ width, subject, window, points }: Props): Frame {
  const values = points.map(([, value]) => value).filter(Number.isFinite);
  const [least, most] = extent(subject.value === null ? values : [...values, subject.value]);
  const reach = (most - least) * 1.5;
  const near = (edge: number) => edge > least - reach && edge < most + reach;
  const edges = subject.band ? [subject.band.low, subject.band.high].filter(near) : [];
  const [bottomMost, topMost] = extent([least, most, ...edges]);
  const pad = Math.max((topMost - bottomMost) * 0.12, Math.abs(topMost) * 1e-4, 1e-6);
  const [low, high] = [bottomMost - pad, topMost + pad];
  const right = width - 14;
  const bottom = HEIGHT - FOOT;
  return {
    left: LEFT,
    right,
    bottom,
    low,
    high,
    x: (t) => LEFT + ((t - window.from) / (window.to - window.from)) * (right - LEFT),
    y: (v) => bottom - ((Math.min(high, Math.max(low, v)) - low) / (high - low)) * (bottom - TOP),
  };
}

/** The readings around a finding, the band they were judged against, and where it began and was found. */
export function EvidenceDrawing(props: Props) {
  const { now, anomaly, subject, window, points, samples } = props;
  const { evidence } = anomaly;
  const frame = frameOf(props);
  const { left, right, bottom, x, y } = frame;
  const began = Date.parse(anomaly.started_at);
  const end = Math.min(window.to, anomaly.cleared_at ? Date.parse(anomaly.cleared_at) : now);
  const found = Date.parse(anomaly.detected_at);
  const within = (at: number) => Math.min(right, Math.max(left, x(at)));
  const rests = [within(Date.parse(evidence.from)), within(Date.parse(evidence.to))] as const;
  return (
    <>
      <TimeGrid from={window.from} to={window.to} x={x} top={TOP} bottom={bottom} gap={84} />
      <BandFill subject={subject} {...frame} />
      {niceTicks(frame.low, frame.high, 4).map((tick) => (
        <g key={tick}>
          <path className="grid-l" d={`M${left} ${Math.round(y(tick)) + 0.5}H${right}`} />
          <text x={left - 6} y={y(tick) + 4} textAnchor="end">
            {tick.toLocaleString("en-US", { maximumFractionDigits: 6 }).replace("-", "\u2212")}
          </text>
        </g>
      ))}
      <rect
        className="fb"
        x={within(began)}
        y={TOP}
        width={Math.max(2, x(end) - within(began))}
        height={bottom - TOP}
      />
      <path className="l l1" d={linePath(points, x, y)} />
      <Dots samples={samples} {...frame} />
      <BandWords subject={subject} points={points} {...frame} />
      <rect
        className="fls"
        x={rests[0]}
        y={bottom - 1.5}
        width={Math.max(3, rests[1] - rests[0])}
        height="3"
      />
      <path className="limit" d={`M${Math.round(x(began)) + 0.5} ${TOP - 6}V${bottom}`} />
      <Moment at={began} {...frame} />
      {found <= window.to && found > began ? (
        <path className="cursor" d={`M${Math.round(x(found)) + 0.5} ${TOP - 6}V${bottom}`} />
      ) : null}
      <Point anomaly={anomaly} subject={subject} {...frame} />
    </>
  );
}

function BandFill({ subject: { band }, left, right, y, low, high }: Frame & { subject: Subject }) {
  if (!band || band.low > high || band.high < low) return null;
  const edge = band.strict ? "limit" : "l lg";
  return (
    <>
      <rect
        className="fbase"
        x={left}
        y={y(band.high)}
        width={right - left}
        height={Math.max(1, y(band.low) - y(band.high))}
      />
      {[band.low, band.high]
        .filter((value) => value > low && value < high)
        .map((value) => (
          <path key={value} className={edge} d={`M${left} ${Math.round(y(value)) + 0.5}H${right}`} />
        ))}
    </>
  );
}

/** Single readings where there is room for them; those that are not good always, hollow. */
function Dots({ samples, left, right, x, y }: Frame & { samples: readonly Sample[] | null }) {
  const apart = samples !== null && (right - left) / Math.max(1, samples.length) > POINTS_PX;
  return (samples ?? [])
    .filter((sample) => apart || !sample.good)
    .map((sample) => (
      <circle
        key={sample.at}
        className={sample.good ? "f1" : "hollow"}
        cx={x(sample.at)}
        cy={y(sample.value)}
        r={sample.good ? 2 : 3}
      />
    ));
}

/** The words of the band: at one of its edges, where they cover the readings least. */
function BandWords({
  subject: { band },
  points,
  ...frame
}: Frame & { subject: Subject; points: readonly Pt[] }) {
  const { left, right, bottom, x, y } = frame;
  if (!band) return null;
  const wide = band.words.length * LETTER_PX + 12;
  const under = points
    .filter(([at, value]) => Number.isFinite(value) && x(at) < left + wide + 6)
    .map(([, value]) => y(value));
  const [top, foot] = under.length > 0 ? extent(under) : [-1, -1];
  // Where an edge is out of sight the words stand beside the end of the plot instead.
  const rooms = [y(band.high) - 6, y(band.low) + 14, y(band.high) + 14, y(band.low) - 6]
    .filter((at) => at > TOP + 10 && at < bottom - 4)
    .map((at) => ({ at, clear: Math.max(top - at, at - 11 - foot) }));
  const best = rooms.find((room) => room.clear > 3) ?? rooms.sort((a, b) => b.clear - a.clear)[0];
  if (!best || wide > right - left) return null;
  return (
    <text className="lab halo" x={left + 6} y={best.at}>
      {band.words}
    </text>
  );
}

function Moment({ at, x, left, right }: Frame & { at: number }) {
  const text = `began ${clockSeconds(at)}`;
  const wide = text.length * LETTER_PX;
  const middle = Math.min(right - wide / 2, Math.max(left + wide / 2, x(at)));
  return (
    <text className="lab" x={middle} y={TOP - 10} textAnchor="middle">
      {text}
    </text>
  );
}

/** Where it was detected: the reading that the finding names. */
function Point({ anomaly, subject, ...frame }: Frame & { anomaly: Anomaly; subject: Subject }) {
  const { x, y, left, right, low, high } = frame;
  if (subject.value === null) return null;
  const found = Date.parse(anomaly.detected_at);
  const began = Date.parse(anomaly.started_at);
  // Found long after, by data that came late: the point is where it began.
  const at = x(found) <= right ? Math.max(found, began) : began;
  const px = Math.min(right, Math.max(left, x(at)));
  const py = y(subject.value);
  const words = `${numberWithin(subject.value, subject.unit, high - low)}${subject.unit ? `\u00a0${subject.unit}` : ""}`;
  const before = px + words.length * 7 + 12 > right;
  return (
    <g>
      <circle className="ring" cx={px} cy={py} r="5.5" />
      <circle className="fink" cx={px} cy={py} r="2.2" />
      <text
        className="b halo"
        x={before ? px - 10 : px + 10}
        y={Math.max(TOP + 12, py - 8)}
        textAnchor={before ? "end" : "start"}
      >
        {words}
      </text>
    </g>
  );
}
