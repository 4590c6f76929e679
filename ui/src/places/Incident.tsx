import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { acknowledge, updateIncident } from "../api/actions";
import type { Tagged } from "../api/http";
import {
  anomaliesQuery,
  decisionsQuery,
  incidentQuery,
  meQuery,
  readingsQuery,
  workQuery,
} from "../api/queries";
import type {
  Alert,
  Anomaly,
  Decision,
  IncidentDetail,
  IncidentUpdate,
  Series,
  WorkOrder,
} from "../api/types";
import { CloseDialog } from "../modules/incidents/CloseDialog";
import { IncidentTimeline } from "../modules/incidents/IncidentTimeline";
import { isOpen } from "../modules/incidents/model";
import { stands, unseen } from "../modules/incidents/standing";
import { Evidence as EvidencePicture } from "../modules/telemetry/Evidence";
import { gistWords } from "../modules/telemetry/evidence";
import { type May, useMay, useSite } from "../shell/hooks";
import {
  clockSeconds,
  decisionNo,
  duration,
  incidentNo,
  number,
  percent,
  sensorName,
  workNo,
} from "../ui/format";
import { Glyph } from "../ui/Glyph";
import { Tick } from "../ui/Icon";
import { Loading, OriginTag, ProblemNote } from "../ui/Note";
import { PageHead, Panel } from "../ui/Panel";
import { useNow } from "../ui/time";
import { toast } from "../ui/toasts";

const route = getRouteApi("/incidents/$incidentId");
const NONE: never[] = [];
const BUCKETS = 240;

export function Incident() {
  const { incidentId } = route.useParams();
  const query = useQuery(incidentQuery(incidentId));
  const crumb = (
    <>
      <Link to="/alarms" search={{ view: "incidents" }}>
        Alarms &amp; incidents
      </Link>{" "}
      › {query.data ? incidentNo(query.data.value.number) : "…"}
    </>
  );
  if (!query.data) {
    return (
      <>
        <PageHead
          crumb={crumb}
          title={query.error ? "This incident could not be read" : "Reading the incident"}
        />
        {query.error ? (
          <ProblemNote error={query.error} retry={() => void query.refetch()} />
        ) : (
          <Panel title="What happened">
            <Loading what="Reading its timeline" />
          </Panel>
        )}
      </>
    );
  }
  return <Detail tagged={query.data} crumb={crumb} />;
}

/** From well before the first sign to now, or to a little after the end. */
function windowOf(incident: IncidentDetail, now: number): { from: number; to: number } {
  const times = [
    incident.opened_at,
    ...incident.alerts.map((a) => a.raised_at),
    ...incident.timeline.map((e) => e.at),
  ];
  const first = Math.min(...times.map((t) => Date.parse(t)));
  const end = incident.closed_at ? Date.parse(incident.closed_at) : now;
  const span = Math.max(10 * 60_000, end - first);
  return { from: first - span * 0.15, to: end + span * 0.08 };
}

/** The last whole answer: a window that grows has no entry of its own in the cache to fall back on. */
function useLast<T>(data: T | undefined): T | undefined {
  const [last, setLast] = useState(data);
  if (data !== undefined && data !== last) setLast(data);
  return data ?? last;
}

function Detail({ tagged, crumb }: { tagged: Tagged<IncidentDetail>; crumb: React.ReactNode }) {
  const incident = tagged.value;
  const now = useNow(20_000);
  const { sensors } = useSite();
  const window = useMemo(() => windowOf(incident, now), [incident, now]);
  const own = incident.sensors.flatMap((key) => sensors.find((s) => s.key === key) ?? NONE);
  const readings = useLast(
    useQuery(readingsQuery(incident.sensors.slice(0, 3), window, BUCKETS, false)).data,
  );
  const series = useMemo(
    () => new Map<string, Series>((readings?.series ?? NONE).map((s) => [s.sensor, s])),
    [readings],
  );
  const looked = useQuery(anomaliesQuery(window, false));
  const found = useLast(looked.data);
  const anomalies = found?.items ?? NONE;
  const decisions = useQuery(decisionsQuery).data?.items ?? NONE;
  const works = useQuery(workQuery).data?.items ?? NONE;
  const touches = (sensor: string | null) => sensor !== null && incident.sensors.includes(sensor);
  const sinceFirst = Date.parse(incident.opened_at) - 6 * 3_600_000;
  const own_anomalies = anomalies.filter((a) => touches(a.sensor));
  const beganAt = own_anomalies.reduce<number | null>((least, a) => {
    const at = Date.parse(a.started_at);
    return at >= window.from && (least === null || at < least) ? at : least;
  }, null);
  const related = decisions.filter((d) => touches(d.sensor) && Date.parse(d.requested_at) > sinceFirst);

  return (
    <>
      <IncidentHead tagged={tagged} crumb={crumb} now={now} />
      <IncidentTimeline
        title={incident.title}
        from={window.from}
        to={window.to}
        now={now}
        beganAt={beganAt}
        foundAt={Date.parse(incident.opened_at)}
        alerts={incident.alerts}
        sensors={own}
        series={series}
        entries={incident.timeline}
      />
      {found || looked.error ? (
        <>
          <Pictures anomalies={own_anomalies} />
          <div className="cols" style={{ gridTemplateColumns: "1.05fr 1fr 1fr" }}>
            <Evidence anomalies={own_anomalies} decisions={related} />
            <Alarms alerts={incident.alerts} now={now} />
            <NextActions
              incident={incident}
              decisions={related}
              works={works.filter((w) => related.some((d) => d.decision_id === w.decision_id))}
            />
          </div>
        </>
      ) : (
        <Loading what="Reading what the detectors saw" height={300} />
      )}
    </>
  );
}

/** A sentence ends with a full stop, also one that a machine wrote. */
const closed = (text: string) => (/[.!?]$/.test(text) ? text : `${text}.`);

function lead(incident: IncidentDetail, now: number): React.ReactNode {
  const first = incident.alerts.reduce(
    (least, a) => Math.min(least, Date.parse(a.raised_at)),
    Date.parse(incident.opened_at),
  );
  const found = Date.parse(incident.opened_at);
  const delay = (found - first) / 1000;
  const end = incident.closed_at ? Date.parse(incident.closed_at) : now;
  return (
    <>
      {closed(incident.summary)} Found at <b>{clockSeconds(found)}</b>
      {delay >= 1 ? `, ${duration(delay)} after the first sign` : ""};{" "}
      {isOpen(incident)
        ? `it lasts ${duration((end - found) / 1000)} so far`
        : `it lasted ${duration((end - found) / 1000)}`}
      . {incident.assignee ? `${incident.assignee} has it.` : "Nobody has taken it yet."}
    </>
  );
}

function useUpdate(tagged: Tagged<IncidentDetail>, done: () => void) {
  const client = useQueryClient();
  const id = tagged.value.incident_id;
  return useMutation({
    mutationFn: (change: IncidentUpdate) => updateIncident(id, change, tagged.etag),
    onSuccess: (_incident, change) => {
      done();
      const text = change.dismissal
        ? "Incident dismissed"
        : change.state === "resolved"
          ? "Incident resolved"
          : "Incident updated";
      toast({ text });
    },
    onSettled: () => {
      void client.invalidateQueries({ queryKey: ["incident", id] });
      void client.invalidateQueries({ queryKey: ["incidents"] });
    },
  });
}

function IncidentHead({
  tagged,
  crumb,
  now,
}: {
  tagged: Tagged<IncidentDetail>;
  crumb: React.ReactNode;
  now: number;
}) {
  const incident = tagged.value;
  const me = useQuery(meQuery).data;
  const may = useMay("operator");
  const [dialog, setDialog] = useState<"dismiss" | "resolve" | null>(null);
  const update = useUpdate(tagged, () => setDialog(null));
  const open = isOpen(incident);
  const mine = me?.name !== undefined && incident.assignee === me.name;
  return (
    <>
      <PageHead
        crumb={crumb}
        title={
          <span className="rowf">
            <Glyph p={incident.priority} /> {incident.title} <OriginTag origin={incident.origin} />
          </span>
        }
        lead={lead(incident, now)}
        acts={
          open ? (
            <>
              <button
                type="button"
                className="btn"
                disabled={!may.ok || mine || update.isPending}
                title={may.why ?? undefined}
                onClick={() => update.mutate({ assignee: me?.name ?? null, state: "investigating" })}
              >
                {mine ? "You have it" : "Take it"}
              </button>
              <button
                type="button"
                className="btn"
                aria-haspopup="dialog"
                disabled={!may.ok}
                title={may.why ?? undefined}
                onClick={() => setDialog("dismiss")}
              >
                Dismiss…
              </button>
              <button
                type="button"
                className="btn pri"
                aria-haspopup="dialog"
                disabled={!may.ok}
                title={may.why ?? undefined}
                onClick={() => setDialog("resolve")}
              >
                Resolve…
              </button>
            </>
          ) : (
            <span className="tag">{incident.state}</span>
          )
        }
      />
      {may.why && open ? <p className="cap">Acting {may.why}.</p> : null}
      {incident.dismissal ? (
        <div className="note">
          <span className="t">
            <b>
              Dismissed by {incident.dismissal.by} until {clockSeconds(incident.dismissal.until)}
            </b>
            <span>{incident.dismissal.reason}</span>
          </span>
        </div>
      ) : null}
      {update.error && !dialog ? <ProblemNote error={update.error} /> : null}
      {dialog ? (
        <CloseDialog
          kind={dialog}
          incident={incident}
          busy={update.isPending}
          error={update.error}
          onClose={() => setDialog(null)}
          onDone={(change) => update.mutate(change)}
        />
      ) : null}
    </>
  );
}

const MOST_PICTURES = 2;

/** One of each sensor and rule, the surest first, and of these the first in time. */
function surest(anomalies: readonly Anomaly[]): Anomaly[] {
  const first = new Map<string, Anomaly>();
  for (const anomaly of anomalies) {
    const key = `${anomaly.sensor} ${anomaly.rule}`;
    const other = first.get(key);
    if (!other || anomaly.score > other.score) first.set(key, anomaly);
  }
  return [...first.values()].sort(
    (a, b) => b.score - a.score || Date.parse(a.started_at) - Date.parse(b.started_at),
  );
}

/** What the detectors saw, as pictures. */
function Pictures({ anomalies }: { anomalies: readonly Anomaly[] }) {
  const [all, setAll] = useState(false);
  const found = useMemo(() => surest(anomalies), [anomalies]);
  if (found.length === 0) return null;
  const shown = all ? found : found.slice(0, MOST_PICTURES);
  return (
    <Panel title="What the detectors saw" meta={`${shown.length} of ${found.length}, surest first`}>
      <div className="in evidences">
        {shown.map((anomaly) => (
          <EvidencePicture key={anomaly.anomaly_id} anomaly={anomaly} />
        ))}
      </div>
      {found.length > MOST_PICTURES ? (
        <p className="in cap no-line">
          <button type="button" className="linky" onClick={() => setAll(!all)}>
            {all ? "Show fewer" : `Show all ${found.length}`}
          </button>
        </p>
      ) : null}
    </Panel>
  );
}

function Evidence({
  anomalies,
  decisions,
}: {
  anomalies: readonly Anomaly[];
  decisions: readonly Decision[];
}) {
  const predictions = decisions.flatMap((d) => (d.evidence ? [d.evidence] : NONE));
  return (
    <Panel title="Evidence" meta="from raw samples to decision">
      {anomalies.length + predictions.length === 0 ? (
        <p className="in cap">No detector has a finding in this window.</p>
      ) : (
        <ol className="list ev">
          {anomalies.slice(0, 4).map((anomaly, index) => (
            <li key={anomaly.anomaly_id}>
              <span className="cite">{index + 1}</span>
              <div className="t">
                <h3>
                  <Link
                    to="/workbench"
                    search={{
                      s: anomaly.sensor,
                      from: Date.parse(anomaly.evidence?.from ?? anomaly.started_at),
                      to: Date.parse(anomaly.cleared_at ?? anomaly.detected_at) + 600_000,
                    }}
                  >
                    {sensorName(anomaly.sensor)}
                  </Link>
                  , {anomaly.rule} {number(anomaly.score)}
                </h3>
                <span className="sm dim">
                  {gistWords(anomaly)}
                  {anomaly.detector
                    ? `; by detector ${anomaly.detector.name} ${anomaly.detector.version}`
                    : ""}
                </span>
              </div>
            </li>
          ))}
          {predictions.slice(0, 2).map((prediction, index) => (
            <li key={prediction.prediction_id}>
              <span className="cite">{Math.min(4, anomalies.length) + index + 1}</span>
              <div className="t">
                <h3>{prediction.summary}</h3>
                <span className="sm dim">
                  risk {percent(prediction.risk)}
                  {prediction.model ? `; by model ${prediction.model.name} ${prediction.model.version}` : ""}
                </span>
              </div>
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}

/** A late batch may clear, by its own clock, before its alarm was raised here. */
const backWords = (raised: string, cleared: string): string =>
  Date.parse(cleared) < Date.parse(raised) ? "back to normal" : `back ${clockSeconds(cleared)}`;

function Alarms({ alerts, now }: { alerts: readonly Alert[]; now: number }) {
  return (
    <Panel title="Alarms in it" meta={`${alerts.filter(stands).length} of ${alerts.length} stand`}>
      {alerts.length === 0 ? <p className="in cap">No alarm is linked any more.</p> : null}
      <ul className="list">
        {[...alerts]
          .sort((a, b) => a.priority - b.priority)
          .slice(0, 5)
          .map((alert) => (
            <li key={alert.alert_id}>
              <Glyph p={alert.priority} unack={unseen(alert)} />
              <div className="t">
                <h3>{alert.title}</h3>
                <span className="sm dim">
                  {sensorName(alert.sensor)} · {clockSeconds(alert.raised_at)} ·{" "}
                  {stands(alert) && alert.cleared_at
                    ? `${backWords(alert.raised_at, alert.cleared_at)}, not acknowledged`
                    : stands(alert)
                      ? `stands ${duration((now - Date.parse(alert.raised_at)) / 1000)}`
                      : alert.state}
                </span>
              </div>
            </li>
          ))}
      </ul>
    </Panel>
  );
}

interface Action {
  key: string;
  done: boolean;
  words: React.ReactNode;
  button?: React.ReactNode;
}

function NextActions({
  incident,
  decisions,
  works,
}: {
  incident: IncidentDetail;
  decisions: readonly Decision[];
  works: readonly WorkOrder[];
}) {
  const may = useMay("operator");
  const actions = [
    ackAction(incident, may),
    takeAction(incident),
    ...decisions.map(decisionAction),
    ...works.map(workAction),
  ];
  actions.push({ key: "close", done: !isOpen(incident), words: "Say what it was and resolve the incident" });
  return (
    <Panel title="Next actions" meta={`${actions.filter((a) => a.done).length} of ${actions.length} done`}>
      <div className="in">
        <ul className="todo">
          {actions.map((action) => (
            <li key={action.key} className={action.done ? "done" : undefined}>
              <span className="box">{action.done ? <Tick /> : null}</span>
              <span className="grow">
                {action.words}
                <span className="sr">{action.done ? ", done" : ", open"}</span>
              </span>
              {action.done ? null : action.button}
            </li>
          ))}
        </ul>
      </div>
    </Panel>
  );
}

function ackAction(incident: IncidentDetail, may: May): Action {
  const fresh = incident.alerts.filter((alert) => stands(alert) && unseen(alert));
  return {
    key: "ack",
    done: fresh.length === 0,
    words: fresh.length === 0 ? "Acknowledge its alarms" : `Acknowledge ${fresh.length} of its alarms`,
    button: (
      <AckButton ids={fresh.map((alert) => alert.alert_id)} may={may} incidentId={incident.incident_id} />
    ),
  };
}

function AckButton({ ids, may, incidentId }: { ids: string[]; may: May; incidentId: string }) {
  const client = useQueryClient();
  const ack = useMutation({
    mutationFn: () => Promise.all(ids.map((id) => acknowledge(id))),
    onSettled: () => {
      void client.invalidateQueries({ queryKey: ["incident", incidentId] });
      void client.invalidateQueries({ queryKey: ["alerts"] });
    },
  });
  return (
    <>
      <button
        type="button"
        className="btn s"
        disabled={!may.ok || ack.isPending}
        title={may.why ?? undefined}
        onClick={() => ack.mutate()}
      >
        Acknowledge
      </button>
      {ack.error ? <ProblemNote error={ack.error} /> : null}
    </>
  );
}

const takeAction = (incident: IncidentDetail): Action => ({
  key: "take",
  done: incident.assignee !== null,
  words: incident.assignee ? `Somebody takes it: ${incident.assignee}` : "Somebody takes it",
});

const decisionAction = (decision: Decision): Action => ({
  key: decision.decision_id,
  done: decision.state !== "waiting",
  words:
    decision.state === "waiting"
      ? `Decide ${decisionNo(decision.number)}: ${decision.title}`
      : `${decisionNo(decision.number)} ${decision.state}${decision.answered_by ? ` by ${decision.answered_by}` : ""}`,
  button: (
    <Link className="btn s" to="/decisions" search={{ decision: decision.decision_id }}>
      Review
    </Link>
  ),
});

const workAction = (work: WorkOrder): Action => ({
  key: work.work_id,
  done: work.state === "completed",
  words: `${workNo(work.number)} ${work.title}: ${work.state}`,
  button: work.decision_id ? (
    <Link className="btn s" to="/decisions" search={{ decision: work.decision_id }}>
      Open
    </Link>
  ) : undefined,
});
