import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { lazy, Suspense, useMemo } from "react";
import { Problem } from "../api/http";
import {
  alertsQuery,
  decisionsQuery,
  incidentsQuery,
  qualityQuery,
  readingsQuery,
  sensorsQuery,
  workQuery,
} from "../api/queries";
import { sourcesQuery } from "../api/sources";
import type { Alert, Decision, Series } from "../api/types";
import { AlarmQualityPanel } from "../modules/incidents/AlarmQuality";
import { River, riverHeight } from "../modules/telemetry/River";
import { UnitsTable } from "../modules/telemetry/UnitsTable";
import { healthOf, type Trouble, unitsOf } from "../modules/telemetry/units";
import { ValueStrip } from "../modules/telemetry/ValueStrip";
import { useRange, useSite } from "../shell/hooks";
import { Glyph } from "../ui/Glyph";
import { Empty, Loading, ProblemNote } from "../ui/Note";
import { PageHead, Panel } from "../ui/Panel";
import { useNow } from "../ui/time";
import { type NextStep, nextSteps, overviewTitle } from "./overview-words";
import { troublesOf } from "./troubles";

const BUCKETS = 160;
/** A plant of thousands of sensors is not drawn one by one; those in trouble come first. */
const MOST_SENSORS = 120;

/** Room kept for the picture until the sensors are known. */
const USUAL_UNITS = 8;

const NONE: never[] = [];

export function Overview() {
  const range = useRange();
  const { sensors, site } = useSite();
  const sensorList = useQuery(sensorsQuery);
  const alertList = useQuery(alertsQuery);
  const decisionList = useQuery(decisionsQuery);
  const incidentList = useQuery(incidentsQuery);
  const decisions = decisionList.data?.items ?? NONE;
  const incidents = incidentList.data?.items ?? NONE;
  const works = useQuery(workQuery).data?.items ?? NONE;
  const quality = useQuery(qualityQuery);
  const alerts = useMemo(
    () => (alertList.data?.items ?? NONE).filter((alert) => !site || alert.site === site),
    [alertList.data, site],
  );
  const troubles = useMemo(() => troublesOf(alerts, range.from), [alerts, range.from]);

  const keys = useKeysToDraw(sensors.map((s) => s.key).join(" "), troubles);
  const readings = useQuery(readingsQuery(keys, range, BUCKETS, true));
  const series = useMemo(
    () => new Map<string, Series>((readings.data?.series ?? NONE).map((s) => [s.sensor, s])),
    [readings.data],
  );
  // Values move each second, units do not: the grouping depends on the keys alone.
  const names = sensors.map((s) => s.key).join(" ");
  // biome-ignore lint/correctness/useExhaustiveDependencies: see above
  const units = useMemo(() => unitsOf(sensors), [names]);
  const health = useMemo(
    () => units.map((unit) => healthOf(unit, series, troubles)),
    [units, series, troubles],
  );

  if (sensorList.isSuccess && sensors.length === 0) return <NoData />;
  const lists = [sensorList, alertList, decisionList, incidentList];
  // A lost connection has its own bar; here stands what the server itself could not do.
  const failed = lists.find((list) => list.error && !(list.data && isSilent(list.error)));
  const again = () => {
    for (const list of lists) if (list.error) void list.refetch();
  };
  const told =
    alertList.data !== undefined && decisionList.data !== undefined && incidentList.data !== undefined;
  const steps = nextSteps({ alerts, decisions, incidents, works });
  return (
    <>
      <OverviewHead
        alerts={alerts}
        decisions={decisions}
        steps={steps}
        ready={alertList.data !== undefined}
        failed={alertList.error !== null}
      />
      {failed ? (
        <ProblemNote
          error={failed.error}
          what={failed.data ? "What is shown may be old" : "The plant could not be read"}
          retry={again}
        />
      ) : null}
      {lists.some((list) => list.isPending) ? (
        <Loading what="Reading the plant" height={riverHeight(USUAL_UNITS)} />
      ) : (
        <>
          <div className="cols" style={{ gridTemplateColumns: "minmax(0,1fr) 328px" }}>
            {readings.error && !readings.data ? (
              <ProblemNote
                error={readings.error}
                what="The health picture could not be drawn"
                retry={() => void readings.refetch()}
              />
            ) : readings.data ? (
              <River units={health} window={range} label={range.label} />
            ) : (
              <Panel title="Health by unit">
                {sensorList.error ? (
                  <p className="in cap">Without the list of sensors there is nothing to draw.</p>
                ) : (
                  <Loading
                    what={`Reading ${range.label.toLowerCase()}`}
                    height={riverHeight(units.length || USUAL_UNITS) + 14}
                  />
                )}
              </Panel>
            )}
            <DoNext steps={steps} told={told} failed={failed !== undefined} />
          </div>
          {sensorList.isPending ? <div className="panel" style={{ minHeight: 108 }} /> : null}
          <ValueStrip sensors={sensors} troubles={troubles} />
          <div className="cols" style={{ gridTemplateColumns: "minmax(0,1fr) minmax(0,1.12fr)" }}>
            {quality.data ? (
              <AlarmQualityPanel quality={quality.data} />
            ) : (
              <Panel title="Alarm quality">
                {quality.error ? (
                  <ProblemNote error={quality.error} retry={() => void quality.refetch()} />
                ) : (
                  <Loading what="Counting alarms" height={224} />
                )}
              </Panel>
            )}
            {sensorList.data ? (
              <UnitsTable units={health} series={series} window={range} rangeLabel={range.label} />
            ) : null}
          </div>
        </>
      )}
    </>
  );
}

const isSilent = (error: Error) => error instanceof Problem && error.silent;

/** The sensors to fetch, those in trouble first; the same list as long as its content is the same. */
function useKeysToDraw(all: string, troubles: readonly Trouble[]): string[] {
  return useMemo(() => {
    const keys = all ? all.split(" ") : [];
    if (keys.length <= MOST_SENSORS) return keys;
    const first = new Set(troubles.map((trouble) => trouble.sensor));
    return [...keys.filter((key) => first.has(key)), ...keys.filter((key) => !first.has(key))].slice(
      0,
      MOST_SENSORS,
    );
  }, [all, troubles]);
}

interface HeadProps {
  alerts: readonly Alert[];
  decisions: readonly Decision[];
  steps: readonly NextStep[];
  ready: boolean;
  failed: boolean;
}

function OverviewHead({ alerts, decisions, steps, ready, failed }: HeadProps) {
  const first = steps[0];
  const second = steps[1];
  return (
    <PageHead
      crumb="Is the plant all right, and what next?"
      title={
        ready
          ? overviewTitle(alerts, decisions)
          : failed
            ? "How the plant is cannot be said now"
            : "Reading the plant"
      }
      acts={
        first ? (
          <>
            {second && second.kind !== first.kind ? (
              <Link className="btn" {...second.link}>
                {second.button}
              </Link>
            ) : null}
            <Link className="btn pri" {...first.link}>
              {first.button}
            </Link>
          </>
        ) : null
      }
    />
  );
}

interface NextProps {
  steps: readonly NextStep[];
  /** Whether everything that could wait is known. */
  told: boolean;
  failed: boolean;
}

function DoNext({ steps, told, failed }: NextProps) {
  return (
    <Panel title="Do next" meta="worst first">
      {told || failed ? null : <Loading what="Reading what waits" />}
      {failed && !told ? <p className="in cap">What else waits is not known now.</p> : null}
      {told && steps.length === 0 ? (
        <Empty title="Nothing waits" picture="rows">
          When an alarm, a decision or a piece of work needs a person, it stands here, worst first.
        </Empty>
      ) : null}
      <Steps steps={steps} />
    </Panel>
  );
}

function Steps({ steps }: { steps: readonly NextStep[] }) {
  useNow(30_000);
  if (steps.length === 0) return null;
  return (
    <ol className="list do-next">
      {steps.slice(0, 3).map((step, index) => (
        <li key={step.key}>
          <Glyph p={step.priority} unack={step.unack} />
          <div className="t">
            <h3>{step.title}</h3>
            <p className="sm">{step.detail}</p>
            <div>
              <Link className={index === 0 ? "btn s pri" : "btn s"} {...step.link}>
                {step.button}
              </Link>
            </div>
          </div>
        </li>
      ))}
    </ol>
  );
}

const ConnectData = lazy(() =>
  import("../modules/telemetry/sources/ConnectData").then((part) => ({ default: part.ConnectData })),
);
const CONNECT_HEIGHT = 380;

/** The first look at an empty Plainview: connect something right here, or see it work with a test fault. */
function NoData() {
  const sources = useQuery(sourcesQuery).data?.sources ?? NONE;
  return (
    <>
      <PageHead crumb="Is the plant all right, and what next?" title="No sensor has reported yet" />
      <div className="cols connect" style={{ gridTemplateColumns: "minmax(0,1fr) 420px" }}>
        <Panel title="Health by unit">
          <Empty
            title="The first reading makes its sensor"
            picture="line"
            action={
              <div className="rowf wrap">
                <Link className="btn" to="/connect">
                  All ways to connect
                </Link>
                <Link className="btn quiet" to="/workbench" search={{ tab: "golden" }}>
                  Send a test fault instead
                </Link>
              </div>
            }
          >
            Each unit of the plant is a line here: the thicker, the further from normal, and what is wrong
            stands on it. Make a key beside this, send one sample, and this page fills by itself.
          </Empty>
        </Panel>
        <Suspense fallback={<Loading what="Preparing the examples" height={CONNECT_HEIGHT} />}>
          <ConnectData sources={sources} />
        </Suspense>
      </div>
    </>
  );
}
