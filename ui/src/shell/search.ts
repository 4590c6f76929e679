/** What the address may say on every page: which site, how far back. */

export const RANGES = {
  "15m": { ms: 15 * 60_000, name: "Last 15 min" },
  "1h": { ms: 3_600_000, name: "Last hour" },
  "4h": { ms: 4 * 3_600_000, name: "Last 4 h" },
  "24h": { ms: 24 * 3_600_000, name: "Last 24 h" },
  "7d": { ms: 7 * 86_400_000, name: "Last 7 days" },
} as const;

export type RangeName = keyof typeof RANGES;
export const DEFAULT_RANGE: RangeName = "4h";

export interface RootSearch {
  range?: RangeName;
  site?: string;
}

type Raw = Record<string, unknown>;

export const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : typeof value === "number" ? String(value) : undefined;

export const oneOf = <T extends string>(value: unknown, all: readonly T[]): T | undefined =>
  all.find((each) => each === value);

export const whole = (value: unknown): number | undefined => {
  const n = Number(value);
  return value !== undefined && value !== null && value !== "" && Number.isFinite(n)
    ? Math.round(n)
    : undefined;
};

export function rootSearch(raw: Raw): RootSearch {
  return {
    range: oneOf(raw.range, Object.keys(RANGES) as RangeName[]),
    site: text(raw.site),
  };
}

export const ALARM_VIEWS = ["standing", "new", "shelved", "cleared", "incidents"] as const;
export type AlarmView = (typeof ALARM_VIEWS)[number];

export interface AlarmSearch {
  view?: AlarmView;
  p?: 1 | 2 | 3 | 4;
  q?: string;
  /** The alarm whose evidence is open. */
  alarm?: string;
}

export function alarmSearch(raw: Raw): AlarmSearch {
  const p = whole(raw.p);
  return {
    view: oneOf(raw.view, ALARM_VIEWS),
    p: p === 1 || p === 2 || p === 3 || p === 4 ? p : undefined,
    q: text(raw.q),
    alarm: text(raw.alarm),
  };
}

export interface DecisionSearch {
  decision?: string;
}

export const decisionSearch = (raw: Raw): DecisionSearch => ({ decision: text(raw.decision) });

export const WORKBENCH_TABS = ["explore", "golden"] as const;

export const WORKBENCH_SCALES = ["fit", "range", "zero"] as const;

export const WORKBENCH_LAYOUTS = ["strips", "together", "share"] as const;

export interface WorkbenchSearch {
  tab?: (typeof WORKBENCH_TABS)[number];
  /** Sensor keys, separated by commas. */
  s?: string;
  /** A fixed window in ms; without it the window follows the clock. */
  from?: number;
  to?: number;
  /** What the value axes show. */
  y?: (typeof WORKBENCH_SCALES)[number];
  /** How several sensors stand to each other. */
  l?: (typeof WORKBENCH_LAYOUTS)[number];
  run?: string;
  /** The anomaly whose evidence is open. */
  anomaly?: string;
}

/** The end of the year 9999: no time beyond it can be written. */
const LAST_MS = 253_402_300_799_000;

export function workbenchSearch(raw: Raw): WorkbenchSearch {
  const from = whole(raw.from);
  const to = whole(raw.to);
  const fixed = from !== undefined && to !== undefined && to > from && from >= 0 && to <= LAST_MS;
  return {
    tab: oneOf(raw.tab, WORKBENCH_TABS),
    s: text(raw.s),
    from: fixed ? from : undefined,
    to: fixed ? to : undefined,
    y: oneOf(raw.y, WORKBENCH_SCALES),
    l: oneOf(raw.l, WORKBENCH_LAYOUTS),
    run: text(raw.run),
    anomaly: text(raw.anomaly),
  };
}

export interface ConnectSearch {
  /** The source whose panel is open: `mqtt/north`. */
  source?: string;
  /** A source is being added. */
  add?: "1";
}

export const connectSearch = (raw: Raw): ConnectSearch => ({
  source: text(raw.source),
  add: text(raw.add) === "1" ? "1" : undefined,
});
