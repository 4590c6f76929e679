import { useMutation, useQueries, useQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate, useRouter } from "@tanstack/react-router";
import { useCallback, useMemo, useRef } from "react";
import { download, FORMATS, type Format } from "../api/actions";
import {
  alertsQuery,
  anomaliesQuery,
  decisionsQuery,
  incidentsQuery,
  pointsQuery,
  readingsQuery,
  searchQuery,
  sensorsQuery,
  type Window,
  workQuery,
} from "../api/queries";
import type { Sensor, Series } from "../api/types";
import { AnomalyDrawer, AnomalyList, inView } from "../modules/telemetry/AnomalyList";
import { SensorList } from "../modules/telemetry/SensorList";
import { type SensorMarks, Stack } from "../modules/telemetry/Stack";
import { type Trouble, worseFirst } from "../modules/telemetry/units";
import { useKeys, useRange, useSite } from "../shell/hooks";
import { WORKBENCH_SCALES } from "../shell/search";
import {
  clock,
  clockSeconds,
  decisionNo,
  incidentNo,
  moment,
  number,
  sensorName,
  sentence,
  workNo,
} from "../ui/format";
import { Icon } from "../ui/Icon";
import { Empty, Loading, ProblemNote } from "../ui/Note";
import { PageHead, Panel } from "../ui/Panel";
import type { Mark, YScale } from "../ui/TimePlot";
import { useNow, zoneWords } from "../ui/time";
import { toast } from "../ui/toasts";
import { LEAST_SPAN_S } from "../ui/view";
import { troublesOf } from "./troubles";
import { Golden } from "./WorkbenchGolden";
import { Tabs } from "./WorkbenchTabs";

const route = getRouteApi("/workbench");
const NONE: never[] = [];
const MOST_SENSORS = 12;
const BUCKETS_PHONE = 300;
/** With no more readings than this of each sensor, and so many in a bucket, all of them are drawn. */
const RAW_MOST = 2000;
const RAW_IN_BUCKET = 3;

function useWindow(): { window: Window; live: boolean; label: string } {
  const { from, to } = route.useSearch();
  const range = useRange();
  return useMemo(
    () =>
      from !== undefined && to !== undefined
        ? { window: { from, to }, live: false, label: stretch({ from, to }) }
        : { window: range, live: true, label: range.label.toLowerCase() },
    [from, to, range],
  );
}

const MINUTES_MS = 600_000;

/** `13:40 to 14:26`, with seconds for a short one, with the day when it is another. */
function stretch({ from, to }: Window): string {
  // Both ends name their day when it is not the same one.
  const now = new Date(from).toDateString() === new Date(to).toDateString() ? Date.now() : Number.NaN;
  const short = to - from < MINUTES_MS;
  const words = (at: number) => {
    const whole = moment(at, now);
    return short ? whole.replace(clock(at), clockSeconds(at)) : whole;
  };
  return `${words(from)} to ${words(to)}`;
}

export function Workbench() {
  const { tab } = route.useSearch();
  return tab === "golden" ? <Golden /> : <Explore />;
}

/** What the address names, else what is in trouble, else the first ones. */
function chosenKeys(
  said: string | undefined,
  sensors: readonly Sensor[],
  troubles: readonly Trouble[],
): string[] {
  if (said === "none") return NONE;
  if (said !== undefined) return [...new Set(said.split(","))].slice(0, MOST_SENSORS);
  const known = new Set(sensors.map((sensor) => sensor.key));
  const bad = troubles
    .filter((t) => t.to === null)
    .sort(worseFirst)
    .map((t) => t.sensor);
  const keys = [
    ...new Set([...bad.filter((key) => known.has(key)), ...sensors.slice(0, 3).map((s) => s.key)]),
  ];
  return keys.slice(0, Math.max(3, Math.min(4, bad.length)));
}

/** The chosen sensors; one that the list is too short for is asked for by its name. `lost` are those that
 *  nobody knows. */
function useChosen(
  keys: readonly string[],
  sensors: readonly Sensor[],
  known: boolean,
): { shown: Sensor[]; lost: string[] } {
  const missing = known ? keys.filter((key) => !sensors.some((sensor) => sensor.key === key)) : NONE;
  const asked = useQueries({ queries: missing.map((key) => searchQuery(key, true)) });
  const extra = asked.flatMap((query) => query.data?.items ?? NONE);
  const all = keys.flatMap(
    (key) => sensors.find((s) => s.key === key) ?? extra.find((s) => s.key === key) ?? NONE,
  );
  // Its latest value changes each second; the plots only need to know what it is.
  const what = all.map((s) => `${s.key} ${s.trust} ${s.expected_low} ${s.expected_high}`).join();
  const lost = missing.filter(
    (key, index) => asked[index]?.isSuccess && !extra.some((sensor) => sensor.key === key),
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: see above
  const shown = useMemo(() => all, [what]);
  return { shown, lost };
}

interface Picked {
  series: ReadonlyMap<string, Series>;
  query: ReturnType<typeof useQuery>;
  there: boolean;
}

/** Whether the readings themselves would be no denser than the plot can show. */
function isThin({ buckets }: Series): boolean {
  let sum = 0;
  for (const { count } of buckets ?? []) {
    if (count > RAW_IN_BUCKET) return false;
    sum += count;
  }
  return sum <= RAW_MOST;
}

/** Summaries for about each pixel; every reading once the stretch is short enough for that. */
function useReadings(keys: readonly string[], window: Window, live: boolean): Picked {
  const px = globalThis.innerWidth < 640 ? BUCKETS_PHONE : bucketsFor(globalThis.innerWidth);
  const wide = useMemo(() => (live ? window : withMargin(window)), [window, live]);
  const share = (wide.to - wide.from) / (window.to - window.from);
  const summaries = useQuery(readingsQuery(keys, wide, Math.round(px * share), live));
  const few = useMemo(
    () => (summaries.data?.series as Series[] | undefined)?.every(isThin) ?? false,
    [summaries.data],
  );
  const plain = few && !summaries.isPlaceholderData;
  const points = useQuery({
    ...pointsQuery(keys, wide, live, RAW_MOST * 2),
    enabled: plain && keys.length > 0,
  });
  const raw = plain && points.data !== undefined && !points.isPlaceholderData ? points.data : undefined;
  const series = useMemo(
    () => new Map((raw ?? summaries.data)?.series.map((s) => [s.sensor as string, s as Series]) ?? NONE),
    [raw, summaries.data],
  );
  return { series, query: summaries, there: summaries.data !== undefined };
}

/** What lies beside the window is there before somebody pans to it. */
const MARGIN = 0.5;
const withMargin = ({ from, to }: Window): Window => {
  const by = (to - from) * MARGIN;
  return { from: Math.round(from - by), to: Math.round(to + by) };
};

/** One bucket a pixel, in steps, so that a changed window size does not ask for everything again. */
const bucketsFor = (width: number): number =>
  Math.max(300, Math.min(2000, Math.round((width - 640) / 100) * 100));

function title(keys: readonly string[], label: string): string {
  if (keys.length === 0) return "Choose what to look at";
  if (keys.length === 1) return `${sensorName(keys[0] ?? "")}, ${label}`;
  const kinds = [
    ...new Set(
      keys.map(
        (key) =>
          key
            .split("/")
            .pop()
            ?.replace(/[-_].*$/, "") ?? key,
      ),
    ),
  ];
  const words = kinds.length > 3 ? `${keys.length} sensors` : kinds.join(kinds.length === 2 ? " and " : ", ");
  return `${sentence(words)}, ${label}`;
}

/** How many stretches the hand has chosen, one out of another, since the page was opened. */
function useSteps() {
  const router = useRouter();
  const depth = useRef(0);
  return useMemo(
    () => ({
      down: () => {
        depth.current += 1;
      },
      /** One step back, or false when there is none. */
      back: (): boolean => {
        if (depth.current === 0) return false;
        depth.current -= 1;
        router.history.back();
        return true;
      },
    }),
    [router],
  );
}

interface Change {
  anomaly?: string;
  s?: string;
  from?: number;
  to?: number;
  y?: YScale;
}

function Explore() {
  const search = route.useSearch();
  const navigate = useNavigate();
  const { sensors, site, sites, known } = useSite();
  const sensorList = useQuery(sensorsQuery);
  const { window, live, label } = useWindow();
  const alerts = useQuery(alertsQuery).data?.items ?? NONE;
  const troubles = useMemo(() => troublesOf(alerts, window.from), [alerts, window.from]);
  const names = sensors.map((s) => s.key).join(" ");
  // biome-ignore lint/correctness/useExhaustiveDependencies: the keys, not the values of each second
  const keys = useMemo(() => chosenKeys(search.s, sensors, troubles), [search.s, names, troubles]);
  const { shown, lost } = useChosen(keys, sensors, known);
  const own = useMemo(() => shown.map((sensor) => sensor.key), [shown]);
  const { series, query, there } = useReadings(own, window, live);
  const marksOf = useMarks(window, live, troubles);
  const events = useEventMarks(own);
  const found = useQuery(anomaliesQuery(window, live)).data?.items ?? NONE;
  const anomalies = useMemo(() => inView(found, own, window), [found, own, window]);
  const opened = found.find((each) => each.anomaly_id === search.anomaly);
  const now = useNow(10_000);
  const steps = useSteps();

  const go = useCallback(
    (change: Change, replace = false) =>
      void navigate({
        to: "/workbench",
        search: (old) => ({ ...old, ...change }),
        resetScroll: false,
        replace,
      }),
    [navigate],
  );
  const zoom = useCallback(
    (from: number, to: number) => {
      if (to - from < LEAST_SPAN_S * 1000) return;
      steps.down();
      go({ from: Math.round(from), to: Math.round(to) });
    },
    [go, steps],
  );
  const move = useCallback(
    (from: number, to: number) => go({ from: Math.round(from), to: Math.round(to) }, true),
    [go],
  );
  const reset = useCallback(() => go({ from: undefined, to: undefined }), [go]);
  const back = useCallback(() => {
    if (!steps.back() && !live) reset();
  }, [steps, live, reset]);
  const toggle = (key: string) => {
    const next = keys.includes(key) ? keys.filter((each) => each !== key) : [...keys, key];
    go({ s: next.length > 0 ? next.join(",") : "none" });
  };

  return (
    <>
      <PageHead
        crumb="Can I see it for myself?"
        title={
          known
            ? title(own, label)
            : sensorList.error
              ? "The sensors could not be read"
              : "Reading the sensors"
        }
        acts={
          <>
            <Tabs />
            <Exports keys={own} window={window} />
          </>
        }
      />
      {sensorList.error && !known ? (
        <ProblemNote
          error={sensorList.error}
          what="The list of sensors could not be read"
          retry={() => void sensorList.refetch()}
        />
      ) : null}
      {query.error ? (
        <ProblemNote
          error={query.error}
          what="These readings could not be fetched"
          retry={() => void query.refetch()}
        />
      ) : null}
      {lost.length > 0 ? (
        <p className="cap">
          No sensor is called <span className="mono">{lost.join(", ")}</span>.
        </p>
      ) : null}
      <div
        className="cols explore"
        style={{ gridTemplateColumns: "256px minmax(0,1fr)", alignItems: "start" }}
      >
        {known ? (
          <SensorList
            sensors={sensors}
            troubles={troubles}
            chosen={keys}
            most={MOST_SENSORS}
            onToggle={toggle}
            more={sensorList.data?.next != null}
          />
        ) : null}
        <div className="stack">
          {!known ? null : own.length === 0 ? (
            <Panel title="Readings">
              <Empty title="No sensor chosen" picture="line">
                Tick sensors in the list. Up to {MOST_SENSORS} stand under each other with one crosshair.
              </Empty>
            </Panel>
          ) : there ? (
            <Stack
              title={sentence(site ?? (sites.length === 1 ? (sites[0] ?? "") : "All sites"))}
              sensors={shown}
              series={series}
              window={window}
              live={live}
              scale={search.y ?? "fit"}
              marksOf={marksOf}
              events={events}
              busy={query.isFetching && query.isPlaceholderData}
              tools={
                <ZoomBar
                  window={window}
                  live={live}
                  scale={search.y ?? "fit"}
                  zoom={zoom}
                  reset={reset}
                  back={back}
                  onScale={(y) => go({ y: y === "fit" ? undefined : y }, true)}
                />
              }
              onZoom={zoom}
              onMove={move}
              onBack={back}
            />
          ) : query.error ? null : (
            <Panel title="Readings">
              <Loading what={`Reading ${label}`} />
            </Panel>
          )}
          <AnomalyList anomalies={anomalies} now={now} onOpen={(anomaly) => go({ anomaly })} />
        </div>
      </div>
      {opened ? <AnomalyDrawer anomaly={opened} onClose={() => go({ anomaly: undefined }, true)} /> : null}
    </>
  );
}

function useMarks(
  window: Window,
  live: boolean,
  troubles: readonly Trouble[],
): (sensor: string) => SensorMarks {
  const anomalies = useQuery(anomaliesQuery(window, live)).data?.items ?? NONE;
  // One that stands goes on to now, and a little further than the clock of this screen.
  const end = useNow(10_000) / 1000 + 10;
  return useCallback(
    (sensor: string) => ({
      shades: anomalies
        .filter((anomaly) => anomaly.sensor === sensor)
        .map((anomaly) => ({
          from: Date.parse(anomaly.started_at) / 1000,
          to: anomaly.cleared_at ? Date.parse(anomaly.cleared_at) / 1000 : end,
          label: `anomaly ${number(anomaly.score)}`,
        })),
      marks: troubles
        .filter((trouble) => trouble.sensor === sensor)
        .map((trouble) => ({
          at: trouble.from / 1000,
          label: trouble.title,
          priority: trouble.priority,
          value: trouble.value ?? null,
        })),
    }),
    [anomalies, troubles, end],
  );
}

/** What happened about one of these sensors: incidents, answers of people, work done. */
function useEventMarks(keys: readonly string[]): Mark[] {
  const decisions = useQuery(decisionsQuery).data?.items ?? NONE;
  const incidents = useQuery(incidentsQuery).data?.items ?? NONE;
  const works = useQuery(workQuery).data?.items ?? NONE;
  return useMemo(() => {
    const at = (time: string | null | undefined) => Date.parse(time ?? "") / 1000;
    return [
      ...decisions
        .filter((decision) => keys.includes(decision.sensor) && decision.answered_at)
        .map((decision) => ({
          at: at(decision.answered_at),
          label: `${decisionNo(decision.number)} ${decision.state}`,
        })),
      ...incidents
        .filter((incident) => incident.sensors.some((sensor) => keys.includes(sensor)))
        .map((incident) => ({ at: at(incident.opened_at), label: `${incidentNo(incident.number)} opened` })),
      ...works
        .filter((work) => work.sensor && keys.includes(work.sensor) && work.completion)
        .map((work) => ({ at: at(work.completion?.completed_at), label: `${workNo(work.number)} done` })),
    ].filter((mark) => Number.isFinite(mark.at));
  }, [decisions, incidents, works, keys]);
}

function Exports({ keys, window }: { keys: string[]; window: Window }) {
  const file = useMutation({
    mutationFn: (format: Format) => download(format, keys, window.from, window.to),
    onError: (error) => toast({ text: "The file could not be made", detail: error.message }),
  });
  const copy = async () => {
    const url = new URL(location.href);
    url.searchParams.set("s", keys.join(","));
    url.searchParams.set("from", String(Math.round(window.from)));
    url.searchParams.set("to", String(Math.round(window.to)));
    try {
      await navigator.clipboard.writeText(url.href);
      toast({ text: "Link copied", detail: "It shows this window to whoever opens it." });
    } catch {
      toast({ text: "The browser did not allow copying", detail: url.href });
    }
  };
  const none = keys.length === 0;
  return (
    <>
      <button type="button" className="btn" disabled={none} onClick={() => void copy()}>
        <Icon name="link" /> Copy link
      </button>
      <span className="btns">
        {(Object.keys(FORMATS) as Format[]).map((format) => (
          <button
            key={format}
            type="button"
            className="btn"
            disabled={none || file.isPending}
            title={`Every reading of this window, as ${FORMATS[format]}`}
            onClick={() => file.mutate(format)}
          >
            {format === "csv" ? <Icon name="download" /> : null} {FORMATS[format]}
          </button>
        ))}
      </span>
    </>
  );
}

interface ZoomProps {
  window: Window;
  live: boolean;
  scale: YScale;
  zoom: (from: number, to: number) => void;
  reset: () => void;
  back: () => void;
  onScale: (scale: YScale) => void;
}

const SCALE_NAME: Record<YScale, string> = { fit: "Fit", range: "Range", zero: "Zero" };
const SCALE_SAYS: Record<YScale, string> = {
  fit: "The value axes fit the data",
  range: "The value axes hold the expected range as well",
  zero: "The value axes begin at zero",
};

/** Every drag has a button: look closer, look wider, earlier, later. */
function ZoomBar({ window, live, scale, zoom, reset, back, onScale }: ZoomProps) {
  const span = window.to - window.from;
  const middle = (window.from + window.to) / 2;
  const around = (factor: number) =>
    zoom(middle - (span * factor) / 2, Math.min(Date.now(), middle + (span * factor) / 2));
  const shift = (by: number) => {
    const late = Math.max(0, window.to + span * by - Date.now());
    zoom(window.from + span * by - late, window.to + span * by - late);
  };
  useKeys({
    "[": () => shift(-0.5),
    "]": () => {
      if (!live) shift(0.5);
    },
    l: () => {
      if (!live) reset();
    },
  });
  return (
    <div className="rowf wrap zoombar in no-top">
      <button
        type="button"
        className="btn s"
        aria-label="Earlier"
        title="Earlier ( [ )"
        onClick={() => shift(-0.5)}
      >
        <Icon name="left" />
      </button>
      <button
        type="button"
        className="btn s"
        aria-label="Later"
        title="Later ( ] )"
        disabled={live}
        onClick={() => shift(0.5)}
      >
        <Icon name="right" />
      </button>
      <button
        type="button"
        className="btn s"
        aria-label="Look closer"
        title="Look closer"
        onClick={() => around(0.5)}
      >
        <Icon name="zoomIn" />
      </button>
      <button
        type="button"
        className="btn s"
        aria-label="Look wider"
        title="Look wider"
        onClick={() => around(2)}
      >
        <Icon name="zoomOut" />
      </button>
      {live ? (
        <span className="tag">
          <i className="dot" /> follows the clock
        </span>
      ) : (
        <>
          <button type="button" className="btn s" title="To the stretch before" onClick={back}>
            Step back
          </button>
          <button type="button" className="btn s" onClick={reset}>
            Back to live <kbd className="hide-phone">L</kbd>
          </button>
        </>
      )}
      <span className="sm dim grow-in">
        {stretch(window)}, {zoneWords(window.to)}
        <span className="hide-phone">. Drag to look closer, Shift and drag to pan.</span>
      </span>
      <fieldset className="seg bare">
        <legend className="sr">Value axes</legend>
        {WORKBENCH_SCALES.map((each) => (
          <button
            key={each}
            type="button"
            aria-pressed={each === scale}
            title={SCALE_SAYS[each]}
            onClick={() => onScale(each)}
          >
            {SCALE_NAME[each]}
          </button>
        ))}
      </fieldset>
    </div>
  );
}
