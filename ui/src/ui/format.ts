/** Numbers, units, times and names as people read them. */

const MINUS = "\u2212";
const NBSP = "\u00a0";

/** Digits after the point by unit: one precision per quantity. */
const DIGITS: Record<string, number> = {
  bar: 1,
  "°C": 1,
  "mm/s": 2,
  "m³/h": 1,
  rpm: 0,
  kW: 0,
  "%": 1,
};

/** From here on a row of digits is no longer read as a number. */
const HUGE = 1e9;
const TINY = 1e-6;

/** `2.4 × 10¹²`: what is far from one says how far. */
function powers(size: number): string {
  const exponent = Math.floor(Math.log10(size));
  const raised = [...String(exponent)].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)])).join("");
  return `${(size / 10 ** exponent).toFixed(1)}${NBSP}×${NBSP}10${raised}`;
}

function written(value: number, digits: number): string {
  const size = Math.abs(value);
  const text =
    size >= HUGE || (size > 0 && size < TINY && digits >= MOST_DIGITS)
      ? powers(size)
      : size.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return value < 0 && /[1-9]/.test(text) ? MINUS + text : text;
}

export function number(value: number | null | undefined, unit?: string | null): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return written(value, (unit ? DIGITS[unit] : undefined) ?? digitsFor(value));
}

/** As many digits as tell apart what a scale of this span shows, and never fewer than usual. */
export function numberWithin(
  value: number | null | undefined,
  unit: string | null | undefined,
  span: number,
): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const usual = (unit ? DIGITS[unit] : undefined) ?? digitsFor(value);
  const wanted = span > 0 ? Math.ceil(-Math.log10(span / 50)) : 0;
  return written(value, Math.max(usual, Math.min(MOST_DIGITS, wanted)));
}

const MOST_DIGITS = 6;

/** Three digits that say something, two for what is small: `0.027`. */
function digitsFor(value: number): number {
  const size = Math.abs(value);
  if (size >= 1000) return 0;
  if (size >= 10) return 1;
  if (size >= 0.1 || size === 0) return 2;
  return Math.min(MOST_DIGITS, Math.ceil(-Math.log10(size)) + 1);
}

/** `9.35 ± 0.08`: the error has one digit that says something, the value no more than that. */
export function plusMinus(value: number, error: number): string {
  if (!(error > 0)) return `${number(value)} ± ${number(error)}`;
  const digits = Math.min(MOST_DIGITS, Math.max(0, Math.ceil(-Math.log10(error))));
  return `${written(value, digits)} ± ${written(error, digits)}`;
}

/** A limit somebody set: as short as it was written. */
export function plain(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const text = Math.abs(value).toLocaleString("en-US", { maximumFractionDigits: 3 });
  return value < 0 ? MINUS + text : text;
}

export function limit(value: number | null | undefined, unit?: string | null): string {
  return unit ? `${plain(value)}${NBSP}${unit}` : plain(value);
}

export function quantity(value: number | null | undefined, unit?: string | null): string {
  return unit ? `${number(value, unit)}${NBSP}${unit}` : number(value, unit);
}

/** `14.7 MB` */
export function bytes(n: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const step = n < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(n) / 3));
  return `${(n / 1000 ** step).toFixed(step > 0 ? 1 : 0)} ${units[step]}`;
}

export function percent(share: number): string {
  const value = share * 100;
  return `${value !== 0 && Math.abs(value) < 10 ? value.toFixed(1) : value.toFixed(0)}${NBSP}%`;
}

type When = number | string | Date;
const ms = (when: When): number =>
  typeof when === "number" ? when : typeof when === "string" ? Date.parse(when) : when.getTime();

const two = (value: number) => String(value).padStart(2, "0");

export function clock(when: When): string {
  const date = new Date(ms(when));
  return `${two(date.getHours())}:${two(date.getMinutes())}`;
}

export function clockSeconds(when: When): string {
  const date = new Date(ms(when));
  return `${clock(date)}:${two(date.getSeconds())}`;
}

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export function day(when: When): string {
  return DAY.format(new Date(ms(when)));
}

/** The time today, the day and time otherwise. */
export function moment(when: When, now: number): string {
  const date = new Date(ms(when));
  return date.toDateString() === new Date(now).toDateString() ? clock(date) : `${day(date)} ${clock(date)}`;
}

const STEPS: [number, string][] = [
  [86_400, "d"],
  [3600, "h"],
  [60, "min"],
];

/** `3 h 6 min`, `19 min`, `4 s`; at most two parts, the second only where it matters. */
export function duration(seconds: number): string {
  const total = Math.max(0, Math.round(seconds));
  if (total < 60) return `${total}${NBSP}s`;
  for (const [index, [size, name]] of STEPS.entries()) {
    if (total < size) continue;
    const whole = Math.floor(total / size);
    const next = STEPS[index + 1];
    const rest = next ? Math.floor((total - whole * size) / next[0]) : 0;
    if (!next || rest === 0 || whole >= 4) return `${whole}${NBSP}${name}`;
    return `${whole}${NBSP}${name} ${rest}${NBSP}${next[1]}`;
  }
  return `${total}${NBSP}s`;
}

/** `0.4 s`, `12 s`, `3 h 6 min`. */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, milliseconds / 1000);
  return seconds < 10 ? `${seconds.toFixed(1)}${NBSP}s` : duration(seconds);
}

/** One unit for a span with its interval: `19 days`, `12 to 27`. */
export function spanUnit(seconds: number): { size: number; name: string; short: string } {
  if (seconds >= 2 * 86_400) return { size: 86_400, name: "days", short: "d" };
  if (seconds >= 2 * 3600) return { size: 3600, name: "hours", short: "h" };
  return { size: 60, name: "minutes", short: "min" };
}

export function interval(span: { median: number; low: number; high?: number | null }): {
  median: string;
  range: string;
  short: string;
} {
  const unit = spanUnit(span.median);
  const n = (value: number) => String(Math.round(value / unit.size));
  const { low, high } = span;
  return {
    median: `${n(span.median)} ${unit.name}`,
    range: high == null ? `${n(low)} or more` : `${n(low)} to ${n(high)}`,
    short: high == null ? `${n(low)}+${NBSP}${unit.short}` : `${n(low)}–${n(high)}${NBSP}${unit.short}`,
  };
}

export const incidentNo = (n: number) => `INC-${n}`;
export const decisionNo = (n: number) => `D-${n}`;
export const workNo = (n: number) => `W-${n}`;
export const alarmNo = (n: number) => `A-${n}`;

/** `north/p-2` → `p-2`. */
export const ownName = (asset: string): string => asset.slice(asset.lastIndexOf("/") + 1);

/** A title without the asset that stands beside it anyway: `Vibration high, P-2` → `Vibration high`. */
export function withoutAsset(title: string, asset: string): string {
  const tail = `, ${ownName(asset)}`;
  return title.toLowerCase().endsWith(tail.toLowerCase()) ? title.slice(0, -tail.length) : title;
}

/** `north/p-2` → `P-2`, `km-60` → `km 60`. */
export function assetName(full: string): string {
  const asset = ownName(full);
  const km = /^km-(\d+)$/.exec(asset);
  if (km) return `km ${Number(km[1])}`;
  return /^([a-z]{1,3}-\w+|[a-z]+-\d+)$/.test(asset) ? asset.toUpperCase() : asset.replaceAll(/[-_]/g, " ");
}

export function measureName(measure: string): string {
  return measure.replaceAll(/[-_]/g, " ").replace(/\b(a|b|c|d)$/, (letter) => letter.toUpperCase());
}

/** `north/p-2/vibration` → `P-2 vibration`. */
export function sensorName(key: string): string {
  const [, asset, ...measure] = key.split("/");
  if (!asset) return key;
  return `${assetName(asset)} ${measureName(measure.join("/"))}`.trim();
}

export function sentence(text: string): string {
  return text ? text[0]?.toUpperCase() + text.slice(1) : text;
}

const WORDS = ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten"];

export function count(n: number, one: string, many = `${one}s`): string {
  return `${WORDS[n] ?? n} ${n === 1 ? one : many}`;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`;
}

/** The last group of an id, enough to tell two apart by eye. */
export function shortId(id: string): string {
  return `…${id.slice(-4)}`;
}

/** What somebody looks for, word by word. */
export const wordsOf = (query: string): string[] => query.toLowerCase().split(/\s+/).filter(Boolean);

/** Whether `text` has all of the words in it. */
export const hasAll = (text: string, words: readonly string[]): boolean => {
  const hay = text.toLowerCase();
  return words.every((word) => hay.includes(word));
};

const ISO = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g;

/** Text that a machine wrote, with its times as people read them. */
export function readable(text: string): string {
  return text.replace(ISO, (at) => `${day(at)} ${clock(at)}`);
}
