import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate, useRouter } from "@tanstack/react-router";
import { useCallback, useMemo, useRef } from "react";
import {
  alertsQuery,
  anomaliesQuery,
  decisionsQuery,
  incidentsQuery,
  sensorsQuery,
  type Window,
  workQuery,
} from "../api/queries";
import type { Anomaly, Sensor } from "../api/types";
import { AnomalyDrawer, AnomalyList, inView } from "../modules/telemetry/AnomalyList";
import { ChangepointList } from "../modules/telemetry/ChangepointList";
import { changepointsQuery, changesIn, type Change as LevelChange } from "../modules/telemetry/changepoints";
import { concerns } from "../modules/telemetry/evidence";
import { SensorList } from "../modules/telemetry/SensorList";
import { type Layout, type SensorMarks, Stack } from "../modules/telemetry/Stack";
import { type Trouble, worseFirst } from "../modules/telemetry/units";
import { useChosen, useReadings } from "../modules/telemetry/useReadings";
import { useRange, useSite } from "../shell/hooks";
import { decisionNo, incidentNo, number, sensorName, sentence, workNo } from "../ui/format";
import { Empty, Loading, ProblemNote } from "../ui/Note";
import { PageHead, Panel } from "../ui/Panel";
import type { Mark, YScale } from "../ui/plotParts";
import { useNow } from "../ui/time";
import { LEAST_SPAN_S, MOST_SPAN_S } from "../ui/view";
import { troublesOf } from "./troubles";
import { Golden } from "./WorkbenchGolden";
import { Tabs } from "./WorkbenchTabs";
import { Exports, stretch, ZoomBar } from "./WorkbenchTools";

const route = getRouteApi("/workbench");
const NONE: never[] = [];
const MOST_SENSORS = 12;
/** About what the plots take, kept until they are there. */
const PLOTS_HEIGHT = 600;

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
  l?: Layout;
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
  const { changes, query: changesQuery } = useChanges(shown, window, live);
  const marksOf = useMarks(window, live, troubles, changes);
  const events = useEventMarks(own);
  const foundQuery = useQuery(anomaliesQuery(window, live));
  const found = foundQuery.data?.items ?? NONE;
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
      if (to - from < LEAST_SPAN_S * 1000 || to - from > MOST_SPAN_S * 1000) return;
      steps.down();
      go({ from: Math.max(0, Math.round(from)), to: Math.round(to) });
    },
    [go, steps],
  );
  // The first move away from the clock is worth a step back in the history; the next ones go on from it.
  const move = useCallback(
    (from: number, to: number) => {
      if (live) steps.down();
      go({ from: Math.round(from), to: Math.round(to) }, !live);
    },
    [go, live, steps],
  );
  const reset = useCallback(() => go({ from: undefined, to: undefined }), [go]);
  const back = useCallback(() => {
    if (!steps.back() && !live) reset();
  }, [steps, live, reset]);
  const toggle = (key: string) => {
    const next = keys.includes(key) ? keys.filter((each) => each !== key) : [...keys, key];
    go({ s: next.length > 0 ? next.join(",") : "none" });
  };
  const add = (more: readonly string[]) =>
    go({ s: [...new Set([...keys, ...more])].slice(0, MOST_SENSORS).join(",") });

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
        className={there || own.length === 0 ? "cols explore" : "cols explore loads"}
        style={{ gridTemplateColumns: "256px minmax(0,1fr)", alignItems: "start" }}
      >
        {known ? (
          <SensorList
            sensors={sensors}
            troubles={troubles}
            chosen={keys}
            most={MOST_SENSORS}
            onToggle={toggle}
            onAdd={add}
            more={sensorList.data?.next != null}
          />
        ) : null}
        <div className="stack">
          {!known ? null : own.length === 0 ? (
            <Panel title="Readings">
              {sensors.length === 0 ? (
                <Empty
                  title="No sensor has reported yet"
                  picture="line"
                  action={
                    <Link to="/connect" className="btn">
                      Connect data
                    </Link>
                  }
                >
                  Every sensor that sends a reading can be seen here, compared with others and taken along as
                  a file. The first reading makes its sensor.
                </Empty>
              ) : (
                <Empty title="No sensor chosen" picture="line">
                  Tick sensors in the list. Up to {MOST_SENSORS} stand under each other with one crosshair.
                </Empty>
              )}
            </Panel>
          ) : there ? (
            <Stack
              title={sentence(site ?? (sites.length === 1 ? (sites[0] ?? "") : "All sites"))}
              sensors={shown}
              series={series}
              window={window}
              live={live}
              scale={search.y ?? "fit"}
              layout={own.length > 1 ? (search.l ?? "strips") : "strips"}
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
                  layout={own.length > 1 ? (search.l ?? "strips") : null}
                  onLayout={(l) => go({ l: l === "strips" ? undefined : l }, true)}
                />
              }
              onZoom={zoom}
              onMove={move}
              onBack={back}
              onRemove={toggle}
            />
          ) : query.error ? null : (
            <Panel title="Readings">
              <Loading what={`Reading ${label}`} height={PLOTS_HEIGHT} />
            </Panel>
          )}
          <AnomalyList
            anomalies={there ? anomalies : NONE}
            error={there ? foundQuery.error : null}
            retry={() => void foundQuery.refetch()}
            now={now}
            onOpen={(anomaly) => go({ anomaly })}
          />
          <ChangepointList
            changes={there ? changes : NONE}
            error={there ? changesQuery.error : null}
            retry={() => void changesQuery.refetch()}
            now={now}
            known={(anomaly) => found.some((each) => each.anomaly_id === anomaly)}
            onOpen={(anomaly) => go({ anomaly })}
          />
        </div>
      </div>
      {opened ? <AnomalyDrawer anomaly={opened} onClose={() => go({ anomaly: undefined }, true)} /> : null}
    </>
  );
}

/** The changes of level of the plotted sensors. A plot goes without them rather than not at all. */
function useChanges(sensors: readonly Sensor[], window: Window, live: boolean) {
  const assets = [...new Set(sensors.map((sensor) => sensor.asset))].sort();
  const query = useQuery(changepointsQuery(assets, window, live));
  const found = query.data ?? NONE;
  const now = useNow(60_000);
  const keys = sensors.map((sensor) => sensor.key).join(" ");
  // biome-ignore lint/correctness/useExhaustiveDependencies: the keys, not the values of each second
  const changes = useMemo(
    (): LevelChange[] => changesIn(found, sensors, window, now),
    [found, keys, window, now],
  );
  return { changes, query };
}

function useMarks(
  window: Window,
  live: boolean,
  troubles: readonly Trouble[],
  changes: readonly LevelChange[],
): (sensor: string) => SensorMarks {
  const anomalies = useQuery(anomaliesQuery(window, live)).data?.items ?? NONE;
  // One that stands goes on to now, and a little further than the clock of this screen.
  const end = useNow(10_000) / 1000 + 10;
  return useCallback(
    (sensor: string) => ({
      shades: anomalies
        .filter((anomaly: Anomaly) => concerns(anomaly, sensor))
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
      steps: changes.filter((change) => change.sensor === sensor),
    }),
    [anomalies, troubles, changes, end],
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
