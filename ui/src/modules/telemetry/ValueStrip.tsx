import { Link } from "@tanstack/react-router";
import type { Sensor } from "../../api/types";
import { age, limit, measureName, moment, number, plain, quantity, sensorName } from "../../ui/format";
import { Glyph } from "../../ui/Glyph";
import { Mai } from "../../ui/Mai";
import { useNow } from "../../ui/time";
import type { Trouble } from "./units";
import { worseFirst } from "./units";

const SHOWN = 6;
const KIND_ORDER = ["flow", "pressure", "vibration", "level", "temperature", "power", "speed"];

const rank = (sensor: Sensor) => {
  const at = KIND_ORDER.indexOf(sensor.kind);
  return at < 0 ? KIND_ORDER.length : at;
};

/** Ends of the line first (two flows, two pressures), then the rest; whatever is in trouble always. */
export function keySensors(sensors: readonly Sensor[], troubles: readonly Trouble[]): Sensor[] {
  const measurable = sensors.filter((s) => s.latest && s.expected_low != null && s.expected_high != null);
  const chosen: Sensor[] = [];
  const add = (sensor: Sensor | undefined) => {
    if (sensor && !chosen.includes(sensor) && chosen.length < SHOWN) chosen.push(sensor);
  };
  const standing = troubles.filter((t) => t.to === null && t.priority < 4).sort(worseFirst);
  for (const trouble of standing.slice(0, 3)) add(measurable.find((s) => s.key === trouble.sensor));
  for (const kind of ["flow", "pressure"]) {
    const own = measurable.filter((s) => s.kind === kind);
    add(own[0]);
    add(own[own.length - 1]);
  }
  for (const sensor of [...measurable].sort((a, b) => rank(a) - rank(b))) add(sensor);
  return chosen.sort((a, b) => rank(a) - rank(b) || a.key.localeCompare(b.key));
}

/** Older than this, in intervals of the sensor, a value is stale. */
const STALE_INTERVALS = 10;
const STALE_LEAST_MS = 15_000;

export function isStale(sensor: Sensor, now: number): boolean {
  if (!sensor.latest) return true;
  const interval = (sensor.interval_s ?? 1) * 1000;
  return now - Date.parse(sensor.latest.at) > Math.max(STALE_LEAST_MS, interval * STALE_INTERVALS);
}

/** A title without the quantity that stands above it anyway: `Bearing temperature rising` → `rising`. */
export function bare(title: string, measure: string): string {
  const said = measureName(measure).toLowerCase().split(" ");
  const words = title.split(" ");
  const own = words.findIndex((word, at) => !said[at] || !word.toLowerCase().startsWith(said[at]));
  return own > 0 ? words.slice(own).join(" ") : title;
}

function context(sensor: Sensor, stale: boolean, now: number, trouble: Trouble | undefined): string {
  if (!sensor.latest) return "no reading yet";
  if (stale) return `${age(now - Date.parse(sensor.latest.at))} old`;
  const { value } = sensor.latest;
  const { expected_low: low, expected_high: high, unit } = sensor;
  const since = trouble ? ` since ${moment(trouble.from, now)}` : "";
  if (high != null && value > high) return `above ${limit(high, unit)}${since}`;
  if (low != null && value < low) return `below ${limit(low, unit)}${since}`;
  if (trouble?.backAt) return `back to normal ${moment(trouble.backAt, now)}`;
  if (trouble) return `${bare(trouble.title, sensor.measure)}${since}`;
  return low != null && high != null ? `within ${plain(low)} to ${plain(high)}` : "";
}

export function ValueStrip({
  sensors,
  troubles,
}: {
  sensors: readonly Sensor[];
  troubles: readonly Trouble[];
}) {
  const now = useNow();
  const shown = keySensors(sensors, troubles);
  if (shown.length === 0) return null;
  return (
    <section className="panel kpis" aria-label="Key values in context">
      {shown.map((sensor) => {
        const trouble = troubles.filter((t) => t.to === null && t.sensor === sensor.key).sort(worseFirst)[0];
        return <Value key={sensor.key} sensor={sensor} now={now} trouble={trouble} />;
      })}
    </section>
  );
}

function Value({ sensor, now, trouble }: { sensor: Sensor; now: number; trouble: Trouble | undefined }) {
  const stale = isStale(sensor, now);
  const says = context(sensor, stale, now, trouble);
  const value = sensor.latest?.value ?? null;
  return (
    <Link to="/workbench" search={{ s: sensor.key }} className={stale ? "kpi stale" : "kpi"}>
      <span className="rowf between nw">
        <span className="sm">{sensorName(sensor.key)}</span>
        {trouble ? <Glyph p={trouble.priority} unack={trouble.unseen} /> : null}
      </span>
      <span className="val">
        {number(value, sensor.unit)}
        <small>{sensor.unit}</small>
      </span>
      <Mai
        label={`${sensorName(sensor.key)} ${quantity(value, sensor.unit)}, ${says}`}
        value={value}
        low={sensor.expected_low}
        high={sensor.expected_high}
        priority={trouble?.backAt ? null : trouble?.priority}
        stale={stale}
      />
      <span className="cap" title={says}>
        {says}
      </span>
    </Link>
  );
}
