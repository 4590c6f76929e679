import type { Window } from "../../api/queries";
import { Figure } from "../../ui/Figure";
import { clock, duration, plural, sensorName } from "../../ui/format";
import { Glyph } from "../../ui/Glyph";
import { TimeGrid } from "../../ui/svg";
import { calmWords, endOf, type Trouble, type UnitHealth } from "./units";

const ROW = 34;
const HALF = 15.5;
/** Steps of time in the picture; see the buckets that the overview asks for. */
const STEPS = 160;
/** A river with more arms than this is read by nobody. */
const MOST_ROWS = 9;

type Distance = UnitHealth["distance"][number];

/** More than this many steps without a reading is a gap, and a gap is drawn as one. */
const GAP_STEPS = 3;

/** The stretches in which readings came, and how far apart they usually lie. */
export function runsOf(points: readonly Distance[], least: number): { runs: Distance[][]; step: number } {
  const gaps = points.slice(1).map((point, i) => point.at - (points[i]?.at ?? point.at));
  const usual = gaps.toSorted((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? least;
  const step = Math.max(least, usual);
  const runs: Distance[][] = [];
  for (const point of points) {
    const run = runs[runs.length - 1];
    const last = run?.[run.length - 1];
    if (run && last && point.at - last.at <= GAP_STEPS * step) run.push(point);
    else runs.push([point]);
  }
  return { runs, step };
}

function ribbon(
  unit: UnitHealth,
  x: (t: number) => number,
  y: number,
  from: number,
  to: number,
  least: number,
): string {
  const { runs, step } = runsOf(unit.distance, least);
  return runs
    .map((run) => {
      const points = run.filter((d) => d.at >= from && d.at <= to);
      // A mark between two readings takes the width of the one before it.
      const before = run.findLast((d) => d.at < from);
      const first = points[0] ?? before;
      const last = points[points.length - 1] ?? before;
      const end = Math.min(to, (run[run.length - 1]?.at ?? from) + step);
      const start = before ? from : Math.max(from, first?.at ?? from);
      if (!first || !last || end <= start) return "";
      const all = [{ at: start, value: first.value }, ...points, { at: end, value: last.value }];
      const half = (value: number) => Math.max(1.4, value * HALF);
      const up = all.map((p, i) => `${i ? "L" : "M"}${x(p.at).toFixed(1)} ${(y - half(p.value)).toFixed(1)}`);
      const down = all.toReversed().map((p) => `L${x(p.at).toFixed(1)} ${(y + half(p.value)).toFixed(1)}`);
      return `${up.join("")}${down.join("")}Z`;
    })
    .join("");
}

export function riverSummary(units: readonly UnitHealth[], label: string): string {
  const bad = units.filter((unit) => unit.worst);
  if (bad.length === 0) return `${label}: all ${units.length} units ran near normal.`;
  const names = bad.slice(0, 3).map((unit) => `${unit.name} since ${clock(unit.worst?.from ?? 0)}`);
  const more = bad.length > 3 ? ` and ${bad.length - 3} more` : "";
  return `${label}: ${units.length - bad.length} of ${units.length} units are near normal; away from normal: ${names.join(", ")}${more}.`;
}

/** How tall the picture will be, before there is one. */
export const riverHeight = (units: number) => Math.min(MOST_ROWS, Math.max(3, units)) * ROW + 32;

/** Keeps the worst in sight without shuffling the rest. */
function visible(units: readonly UnitHealth[]): UnitHealth[] {
  if (units.length <= MOST_ROWS) return [...units];
  const bad = units.filter((unit) => unit.worst).slice(0, MOST_ROWS);
  const good = units.filter((unit) => !unit.worst).slice(0, MOST_ROWS - bad.length);
  const keep = new Set([...bad, ...good]);
  return units.filter((unit) => keep.has(unit));
}

interface Props {
  units: readonly UnitHealth[];
  window: Window;
  label: string;
}

export function River({ units, window, label }: Props) {
  const rows = visible(units);
  const hidden = units.length - rows.length;
  return (
    <Figure
      name="Health by unit"
      meta={
        <span className="hide-phone">
          {hidden > 0 ? `${plural(hidden, "more unit")} in the table · ` : ""}thicker = further from normal
        </span>
      }
      summary={riverSummary(units, label)}
      height={riverHeight(rows.length)}
      table={() => ({
        columns: [
          { name: "Unit" },
          { name: "State" },
          { name: "Since" },
          { name: "Furthest from normal", right: true },
        ],
        rows: units.map((unit) => ({
          key: unit.name,
          cells: [
            unit.name,
            unit.worst ? unit.worst.title : calmWords(unit),
            unit.worst ? clock(unit.worst.from) : "–",
            unit.distance.length === 0
              ? "–"
              : `${Math.round(Math.max(0, ...unit.distance.map((d) => d.value)) * 100)} of 100`,
          ],
        })),
      })}
    >
      {(width) => <Drawing rows={rows} window={window} width={width} />}
    </Figure>
  );
}

function Drawing({ rows, window, width }: { rows: UnitHealth[]; window: Window; width: number }) {
  const phone = width < 560;
  const left = phone ? 88 : 104;
  const right = phone ? 12 : 126;
  const bottom = rows.length * ROW + 4;
  const x = (t: number) => left + ((t - window.from) / (window.to - window.from)) * (width - right - left);
  const end = x(window.to);
  return (
    <>
      <TimeGrid
        from={window.from}
        to={window.to}
        x={x}
        top={2}
        bottom={bottom}
        gap={phone ? 64 : 84}
        clearRight={40}
      />
      <path className="cursor" d={`M${Math.round(end) + 0.5} 0V${bottom}`} />
      <text className="m" x={end} y={bottom + 17} textAnchor="middle">
        now
      </text>
      {rows.map((unit, index) => (
        <Arm key={unit.name} unit={unit} y={index * ROW + ROW / 2 + 2} x={x} window={window} phone={phone} />
      ))}
    </>
  );
}

interface ArmProps {
  unit: UnitHealth;
  y: number;
  x: (t: number) => number;
  window: Window;
  phone: boolean;
}

function Arm({ unit, y, x, window, phone }: ArmProps) {
  // The worst is drawn last, so that it is never hidden by a lesser one.
  const troubles = unit.troubles
    .filter((trouble) => (trouble.to ?? window.to) > window.from && trouble.from < window.to)
    .sort((a, b) => b.priority - a.priority || a.from - b.from);
  const glyphs = spread(troubles.map((trouble) => ({ trouble, at: x(Math.max(trouble.from, window.from)) })));
  const least = (window.to - window.from) / STEPS;
  return (
    <g>
      {unit.distance.length === 0 ? (
        <text x={x(window.from) + 4} y={y + 4}>
          no readings in this window
        </text>
      ) : null}
      <path className="fghost" d={ribbon(unit, x, y, window.from, window.to, least)} />
      {troubles.map((trouble) => (
        <path
          key={trouble.id}
          className={`a${trouble.priority}`}
          d={ribbon(unit, x, y, Math.max(trouble.from, window.from), endOf(trouble) ?? window.to, least)}
        />
      ))}
      {glyphs.map(({ trouble, at }) => (
        <Glyph
          key={trouble.id}
          p={trouble.priority}
          unack={trouble.unseen}
          at={{ x: Math.max(x(window.from) + 4, at - 10), y, size: 17 }}
        />
      ))}
      <text className={unit.worst ? "m" : "lab"} x={0} y={y + 4}>
        {unit.name}
      </text>
      {phone ? null : (
        <text className={unit.worst ? "ink" : ""} x={x(window.to) + 12} y={y + 4}>
          {unit.worst ? short(unit.worst) : calmWords(unit)}
        </text>
      )}
    </g>
  );
}

/** Of glyphs that would lie on each other the worse one stays. */
function spread<T extends { at: number; trouble: { priority: number } }>(glyphs: T[]): T[] {
  const kept: T[] = [];
  for (const glyph of [...glyphs].sort((a, b) => a.trouble.priority - b.trouble.priority)) {
    if (kept.every((other) => Math.abs(other.at - glyph.at) > 18)) kept.push(glyph);
  }
  return kept;
}

const FITS = 19;

/** The title when there is room for it, else what it is about; the whole of it stands in the table. */
function short({ title, sensor }: Trouble): string {
  const said = title.length > FITS ? sensorName(sensor) : title;
  return said.length > FITS ? `${said.slice(0, FITS - 1).trimEnd()}…` : said;
}

export const standingFor = (from: number, now: number) => duration((now - from) / 1000);
