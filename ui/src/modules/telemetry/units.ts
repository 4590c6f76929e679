import type { Priority, Sensor, Series } from "../../api/types";
import { assetName, ownName } from "../../ui/format";
import { filledOf } from "../../ui/points";

/** A stretch of time in which something stood against a sensor. */
export interface Trouble {
  id: string;
  sensor: string;
  title: string;
  priority: Priority;
  unseen: boolean;
  from: number;
  /** Where on the value axis it belongs, when it has a place there. */
  value?: number | null;
  /** null while it stands */
  to: number | null;
  /** When the sensor came back, also when the alarm still waits for somebody to see it. */
  backAt: number | null;
}

export interface Unit {
  name: string;
  sensors: Sensor[];
}

export interface UnitHealth {
  name: string;
  /** Distance from normal, 0..1, one per bucket. */
  distance: { at: number; value: number }[];
  troubles: Trouble[];
  /** The worst one that stands now. */
  worst: Trouble | null;
  /** The sensor whose series says most about this unit. */
  leading: string | null;
  /** The span below which that series is drawn as calm. */
  quiet: number;
}

const PREFIXES: Record<string, string> = { p: "Pump station", v: "Valves", t: "Tanks" };
const REST = 0.09;
const BY_PRIORITY: Record<Priority, number> = { 1: 0.95, 2: 0.52, 3: 0.36, 4: 0.28 };

/** The unit a sensor belongs to: what its metadata says, else what its asset's name says. */
export function unitName(sensor: Sensor): string {
  for (const field of ["unit_name", "area", "group"]) {
    const said = sensor.metadata?.[field];
    if (typeof said === "string" && said) return said;
  }
  const prefix = /^([a-z]+)-\d+$/.exec(ownName(sensor.asset))?.[1];
  return (prefix && PREFIXES[prefix]) || assetName(sensor.asset);
}

export function unitsOf(sensors: readonly Sensor[]): Unit[] {
  const units = new Map<string, Sensor[]>();
  for (const sensor of sensors) {
    const name = unitName(sensor);
    const own = units.get(name);
    if (own) own.push(sensor);
    else units.set(name, [sensor]);
  }
  return [...units].map(([name, own]) => ({ name, sensors: own }));
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** How far each bucket lies from the sensor's own normal and from its expected range. */
export function distances(sensor: Sensor, series: Series | undefined): Map<number, number> {
  const out = new Map<number, number>();
  const buckets = filledOf(series);
  if (buckets.length === 0) return out;
  const means = buckets.map((bucket) => bucket.mean);
  const usual = median(means);
  const { expected_low: low, expected_high: high } = sensor;
  const spread = median(means.map((mean) => Math.abs(mean - usual)));
  const span =
    low != null && high != null && high > low
      ? high - low
      : Math.max(spread * 12, Math.abs(usual) * 0.05, 1e-9);
  for (const bucket of buckets) {
    const away = Math.abs(bucket.mean - usual);
    // Against its range it says how far, against its own spread it shows that it lives.
    const drift =
      Math.min(0.22, (away / (span / 2)) * 0.3) +
      0.018 * Math.min(3, away / (spread || Number.POSITIVE_INFINITY));
    const above = high == null ? 0 : Math.max(0, bucket.mean - high);
    const below = low == null ? 0 : Math.max(0, low - bucket.mean);
    const outside = Math.min(0.6, (Math.max(above, below) / span) * 1.5);
    out.set(Date.parse(bucket.at), REST + drift + outside);
  }
  return out;
}

/** Where its colour ends. */
export const endOf = (trouble: Trouble): number | null => trouble.backAt ?? trouble.to;

const covers = (trouble: Trouble, at: number) => trouble.from <= at && (endOf(trouble) ?? at) >= at;

/** By priority; what still stands against the sensor before what has come back; then the newest. */
export const worseFirst = (a: Trouble, b: Trouble) =>
  a.priority - b.priority || Number(a.backAt !== null) - Number(b.backAt !== null) || b.from - a.from;

export function healthOf(
  unit: Unit,
  series: ReadonlyMap<string, Series>,
  troubles: readonly Trouble[],
): UnitHealth {
  const keys = new Set(unit.sensors.map((sensor) => sensor.key));
  const own = troubles.filter((trouble) => keys.has(trouble.sensor));
  const at = new Map<number, number>();
  let leading: string | null = null;
  let furthest = -1;
  for (const sensor of unit.sensors) {
    const of = distances(sensor, series.get(sensor.key));
    let last = 0;
    for (const [time, value] of of) {
      at.set(time, Math.max(at.get(time) ?? 0, value));
      last = value;
    }
    if (of.size > 0 && last > furthest) {
      furthest = last;
      leading = sensor.key;
    }
  }
  const distance = [...at]
    .sort((a, b) => a[0] - b[0])
    .map(([time, value]) => {
      const standing = own.filter((trouble) => covers(trouble, time));
      const raised = standing.reduce((most, trouble) => Math.max(most, BY_PRIORITY[trouble.priority]), 0);
      return {
        at: time,
        value: Math.min(1, Math.max(value, raised * (0.86 + 0.14 * Math.min(1, value / 0.4)))),
      };
    });
  const worst = own.filter((trouble) => trouble.to === null).sort(worseFirst)[0] ?? null;
  const shown = worst?.sensor ?? leading;
  return { name: unit.name, distance, troubles: own, worst, leading: shown, quiet: quietSpan(unit, shown) };
}

/** What is said of a unit in which nothing stands. */
export const calmWords = (unit: UnitHealth): string => (unit.distance.length > 0 ? "normal" : "no readings");

/** A tenth of what is expected of the sensor. */
function quietSpan(unit: Unit, key: string | null): number {
  const sensor = unit.sensors.find((each) => each.key === key);
  const { expected_low: low, expected_high: high } = sensor ?? {};
  return low != null && high != null && high > low ? (high - low) / 10 : 0;
}

export function orderWorst(units: readonly UnitHealth[]): UnitHealth[] {
  return [...units].sort((a, b) => {
    if (a.worst && b.worst) return worseFirst(a.worst, b.worst);
    return Number(b.worst !== null) - Number(a.worst !== null);
  });
}
