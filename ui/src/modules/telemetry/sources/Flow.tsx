import type { Flow, FlowReader, Source } from "../../../api/sources";
import { Figure } from "../../../ui/Figure";
import { age } from "../../../ui/format";
import { isCalm, protocolName, rate, readerName, sourceName, summary } from "./model";

const HEIGHT = 346;
const TOP = 44;
const BAR = 200;
const NODE = 8;
/** More bytes than this has a reading only as long as most of them wait to be packed. */
export const PACKED_MOST = 8;
/** A node smaller than this could not be seen. */
const LEAST = 3;
/** Above this height a label has two lines beside its node. */
const TALL = 60;
const MOST_DOORS = 6;
const MOST_QUIET = 3;

interface Inlet {
  key: string;
  name: string;
  /** 0 for one that says nothing. */
  rate: number;
  state: string;
}

/** Doors with what comes through them; whoever is silent stands alone, under its own name. */
export function inlets(sources: readonly Source[]): Inlet[] {
  const doors = new Map<string, Inlet>();
  const quiet: Inlet[] = [];
  for (const source of sources) {
    if (source.rate_per_s > 0) {
      const door = doors.get(source.protocol) ?? {
        key: source.protocol,
        name: protocolName(source.protocol),
        rate: 0,
        state: "live",
      };
      door.rate += source.rate_per_s;
      doors.set(source.protocol, door);
    } else if (!isCalm(source)) {
      quiet.push({ key: source.id, name: sourceName(source), rate: 0, state: source.state });
    }
  }
  const open = [...doors.values()].sort((a, b) => b.rate - a.rate);
  const rest = open.slice(MOST_DOORS);
  const shown = open.slice(0, MOST_DOORS);
  if (rest.length > 0) {
    const sum = rest.reduce((all, door) => all + door.rate, 0);
    shown.push({ key: "rest", name: `${rest.length} more`, rate: sum, state: "live" });
  }
  const unseen = quiet.length - MOST_QUIET;
  const silent = unseen > 1 ? quiet.slice(0, MOST_QUIET) : quiet.slice(0, MOST_QUIET + 1);
  if (unseen > 1) silent.push({ key: "quiet", name: `${unseen} more`, rate: 0, state: "in trouble" });
  return [...shown, ...silent];
}

const f1 = (value: number) => value.toFixed(1);

/** A band from one upright edge to another. */
function ribbon(x0: number, a0: number, a1: number, x1: number, b0: number, b1: number): string {
  const m = f1((x0 + x1) / 2);
  return `M${f1(x0)} ${f1(a0)}C${m} ${f1(a0)} ${m} ${f1(b0)} ${f1(x1)} ${f1(b0)}V${f1(b1)}C${m} ${f1(b1)} ${m} ${f1(a1)} ${f1(x0)} ${f1(a1)}Z`;
}

export function FlowFigure({ sources, flow }: { sources: readonly Source[]; flow: Flow }) {
  return (
    <Figure
      name="Where the data goes"
      meta="readings per second"
      summary={summary(sources, flow)}
      height={HEIGHT}
      table={() => ({
        columns: [
          { name: "Part" },
          { name: "What" },
          { name: "per s", right: true },
          { name: "Lag", right: true },
        ],
        rows: [
          ...sources.map((source) => ({
            key: source.id,
            cells: [
              `${protocolName(source.protocol)}, ${sourceName(source)}`,
              source.state,
              rate(source.rate_per_s),
              source.lag_ms == null ? "–" : age(source.lag_ms),
            ],
          })),
          { key: "validate", cells: ["Validate", "received", rate(flow.received_per_s), "–"] },
          { key: "refused", cells: ["Validate", "refused", rate(flow.refused_per_s), "–"] },
          { key: "store", cells: ["Store", "on disk", rate(flow.stored_per_s), "–"] },
          ...flow.readers.map((reader) => ({
            key: `reader ${reader.name}`,
            cells: [readerName(reader.name), "reads", rate(reader.per_s), lagWords(reader.lag_ms) ?? "–"],
          })),
        ],
      })}
    >
      {(width) => <Drawing width={width} sources={sources} flow={flow} />}
    </Figure>
  );
}

const lagWords = (ms: number | null): string | null =>
  ms === null ? null : ms < 1000 ? `${Math.round(ms)}\u00a0ms` : age(ms);

/** Narrower than this there is room for the names alone beside the nodes. */
const NARROW_PX = 560;
const NARROW_LEFT = 100;
const NARROW_RIGHT = 108;

/** Where the four columns stand. */
function columns(
  width: number,
  all: readonly Inlet[],
  flow: Flow,
): readonly [number, number, number, number] {
  if (width < NARROW_PX) {
    const inner = width - NARROW_LEFT - NARROW_RIGHT;
    return [NARROW_LEFT, NARROW_LEFT + inner * 0.36, NARROW_LEFT + inner * 0.7, width - NARROW_RIGHT];
  }
  const left = Math.max(112, ...all.map(labelWidth));
  const right = Math.max(120, ...flow.readers.map((each) => 24 + LETTER_PX * readerWords(each).words.length));
  const last = width - right;
  return [left, Math.max(left + 90, width * 0.42), Math.min(width * 0.66, last - 60), last];
}

function Drawing({ width, sources, flow }: { width: number; sources: readonly Source[]; flow: Flow }) {
  const all = inlets(sources);
  const narrow = width < NARROW_PX;
  const xs = columns(width, all, flow);
  const sum = all.reduce((rates, inlet) => rates + inlet.rate, 0);
  return (
    <>
      <path className="fline" d={ribbon(xs[1] + NODE, TOP, TOP + BAR, xs[2], TOP, TOP + BAR)} />
      <Inlets all={all} sum={sum} x0={xs[0]} x1={xs[1]} narrow={narrow} />
      <Stage
        x={xs[1]}
        y={TOP}
        name="Validate"
        words={`${rate(flow.received_per_s)}, refused ${rate(flow.refused_per_s)}`}
      />
      <Stage
        x={xs[2]}
        // Side by side the words of both would not fit; further up they would lie on what flows out.
        y={narrow ? HEIGHT + 4 : TOP}
        name="On disk"
        words={
          flow.bytes_per_reading == null || flow.bytes_per_reading > PACKED_MOST
            ? rate(flow.stored_per_s)
            : `${flow.bytes_per_reading.toFixed(2)} bytes each`
        }
      />
      <Outlets flow={flow} x0={xs[2]} x1={xs[3]} narrow={narrow} />
    </>
  );
}

const LETTER_PX = 6.5;

/** The room that a label needs beside its node. */
const labelWidth = (inlet: Inlet): number =>
  18 + LETTER_PX * (inlet.name.length + (inlet.rate > 0 ? 7 : inlet.state.length + 2));

function Stage({ x, y, name, words }: { x: number; y: number; name: string; words: string }) {
  return (
    <g>
      <rect className="fls" x={x} y={TOP} width={NODE} height={BAR} rx="1" />
      {y > TOP + BAR ? <path className="grid-l" d={`M${x + NODE / 2} ${TOP + BAR + 2}V${y - 36}`} /> : null}
      <text className="m" x={x + NODE / 2} y={y - 22} textAnchor="middle">
        {name}
      </text>
      <text x={x + NODE / 2} y={y - 7} textAnchor="middle">
        {words}
      </text>
    </g>
  );
}

/** As much of a name as there is room for beside a node. */
const cut = (name: string, most: number): string =>
  name.length > most ? `${name.slice(0, most - 1)}…` : name;

const NARROW_LETTERS = 13;

interface InletsProps {
  all: readonly Inlet[];
  sum: number;
  x0: number;
  x1: number;
  narrow: boolean;
}

function Inlets({ all, sum, x0, x1, narrow }: InletsProps) {
  const k = sum > 0 ? BAR / sum : 0;
  const heights = all.map((inlet) => (inlet.rate > 0 ? Math.max(LEAST, inlet.rate * k) : LEAST));
  const used = heights.reduce((total, h) => total + h, 0);
  const gap = all.length > 1 ? Math.min(22, Math.max(13, (HEIGHT - TOP - 16 - used) / (all.length - 1))) : 0;
  let y = TOP;
  let into = TOP;
  let quiet = 0;
  return all.map((inlet, index) => {
    if (inlet.rate === 0) quiet += 1;
    const h = heights[index] ?? LEAST;
    const top = y;
    const slot = into;
    y += h + gap;
    into += inlet.rate * k;
    return (
      <InletNode
        key={inlet.key}
        inlet={inlet}
        top={top}
        h={h}
        slot={slot}
        share={inlet.rate * k}
        quiet={quiet}
        x0={x0}
        x1={x1}
        narrow={narrow}
      />
    );
  });
}

interface NodeProps {
  inlet: Inlet;
  top: number;
  h: number;
  slot: number;
  share: number;
  /** Which of the silent ones it is, from 1. */
  quiet: number;
  x0: number;
  x1: number;
  narrow: boolean;
}

function InletNode({ inlet, top, h, slot, share, quiet, x0, x1, narrow }: NodeProps) {
  const middle = top + h / 2;
  const tall = h > TALL;
  const words = inlet.rate > 0 ? rate(inlet.rate) : inlet.state;
  const m = (x0 + x1) / 2;
  const end = TOP + BAR + 5 + quiet * 9;
  return (
    <g>
      {inlet.rate > 0 ? (
        <>
          <path className="fline" d={ribbon(x0 + NODE, top, top + h, x1, slot, slot + share)} />
          <rect className="fls" x={x0} y={top} width={NODE} height={h} rx="1" />
        </>
      ) : (
        <>
          <path
            className="limit"
            d={`M${x0 + NODE} ${f1(middle)}C${f1(m)} ${f1(middle)} ${f1(m)} ${f1(end)} ${f1(x1)} ${f1(end)}`}
          />
          <circle
            cx={x0 + 4}
            cy={middle}
            r="4"
            fill="var(--surface)"
            stroke="var(--ink-3)"
            strokeWidth="1.5"
          />
        </>
      )}
      {tall ? (
        <>
          <text className="m" x={x0 - 10} y={middle - 3} textAnchor="end">
            {narrow ? cut(inlet.name, NARROW_LETTERS) : inlet.name}
          </text>
          <text x={x0 - 10} y={middle + 13} textAnchor="end">
            {words}
          </text>
        </>
      ) : narrow ? (
        <text className="m" x={x0 - 10} y={middle + 4} textAnchor="end">
          {cut(inlet.name, NARROW_LETTERS)}
        </text>
      ) : (
        <text x={x0 - 10} y={middle + 4} textAnchor="end">
          <tspan>{words}</tspan>
          <tspan dx="8" className="m">
            {inlet.name}
          </tspan>
        </text>
      )}
    </g>
  );
}

/** A reader is behind when it would need longer than this to catch up. */
const BEHIND_S = 10;

function readerWords(reader: FlowReader): { words: string; behind: boolean } {
  const waiting = reader.lag_readings ?? 0;
  const behind = waiting > BEHIND_S * Math.max(1, reader.per_s);
  const lag = lagWords(reader.lag_ms);
  if (behind) return { words: `${rate(reader.per_s)}, ${rate(waiting)} behind`, behind };
  return { words: lag === null ? rate(reader.per_s) : `${rate(reader.per_s)}, lag ${lag}`, behind };
}

/** Every reader may read all of it: the widths compare the readers, softened by a root, and do not add up. */
function shareOf(reader: FlowReader, readers: readonly FlowReader[]): number {
  const weight = (each: FlowReader) => Math.sqrt(Math.max(0, each.per_s));
  const sum = readers.reduce((total, each) => total + weight(each), 0);
  return sum > 0 ? weight(reader) / sum : 1 / readers.length;
}

/** Room for the two lines of a reader's label. */
const READER_SLOT = 34;

interface OutletsProps {
  flow: Flow;
  x0: number;
  x1: number;
  narrow: boolean;
}

function Outlets({ flow, x0, x1, narrow }: OutletsProps) {
  const readers = [...flow.readers].sort((a, b) => b.per_s - a.per_s).slice(0, 7);
  if (readers.length === 0)
    return (
      <text x={x0 + 24} y={TOP + BAR / 2}>
        nothing reads yet
      </text>
    );
  const room = HEIGHT - TOP - 8;
  const spare = Math.max(0, Math.min(170, room - readers.length * READER_SLOT));
  const tall = readers.map((reader) => Math.max(8, shareOf(reader, readers) * spare));
  const used = tall.reduce((total, h) => total + h, 0);
  const gap = Math.max(16, Math.min(28, (room - used) / readers.length));
  let from = TOP;
  let y = TOP;
  return readers.map((reader, index) => {
    const slot = shareOf(reader, readers) * BAR;
    const h = tall[index] ?? 8;
    const at = from;
    const top = y;
    from += slot;
    y += Math.max(READER_SLOT, h + gap);
    const { words, behind } = readerWords(reader);
    return (
      <g key={reader.name}>
        <path className="fline" d={ribbon(x0 + NODE, at, at + slot, x1, top, top + h)} />
        <rect className="fls" x={x1} y={top} width={NODE} height={h} rx="1" />
        <text className="m" x={x1 + NODE + 10} y={top + h / 2 - 2}>
          {narrow ? cut(readerName(reader.name), NARROW_LETTERS) : readerName(reader.name)}
        </text>
        <text className={behind ? "b" : undefined} x={x1 + NODE + 10} y={top + h / 2 + 13}>
          {words}
        </text>
      </g>
    );
  });
}
