import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { acknowledge, resolveAlert, shelve, unshelve } from "../api/actions";
import { upsert } from "../api/live";
import { alertsQuery, incidentsQuery, qualityQuery, readingsQuery } from "../api/queries";
import type { Alert, Incident, Page, Series } from "../api/types";
import { AlarmDrawer } from "../modules/incidents/AlarmDrawer";
import { AlarmQualityStrip } from "../modules/incidents/AlarmQuality";
import { AlarmCards, AlarmTable } from "../modules/incidents/AlarmTable";
import { ResolveDialog, ShelveDialog } from "../modules/incidents/dialogs";
import { IncidentList } from "../modules/incidents/IncidentList";
import { isOpen } from "../modules/incidents/model";
import { stands, unseen } from "../modules/incidents/standing";
import { useKeys, useMay, useRange, useSite } from "../shell/hooks";
import { ALARM_VIEWS, type AlarmView } from "../shell/search";
import { clock, count, hasAll, plural, sensorName, wordsOf } from "../ui/format";
import { useSteps } from "../ui/More";
import { usePhone } from "../ui/media";
import { Empty, Loading, ProblemNote } from "../ui/Note";
import { PageHead } from "../ui/Panel";
import { useNow } from "../ui/time";
import { toast } from "../ui/toasts";

const route = getRouteApi("/alarms");
const NONE: never[] = [];
/** Room kept for the list until it is there. */
const LIST_HEIGHT = 560;
const SPARK_BUCKETS = 60;
const MOST_SPARKS = 40;

const BELONGS: Record<Exclude<AlarmView, "incidents">, (alert: Alert) => boolean> = {
  standing: stands,
  new: (alert) => stands(alert) && unseen(alert),
  shelved: (alert) => alert.state === "shelved",
  cleared: (alert) => alert.state === "normal",
};

const VIEW_NAME: Record<AlarmView, string> = {
  standing: "Standing",
  new: "New",
  shelved: "Shelved",
  cleared: "Cleared",
  incidents: "Incidents",
};

const byUrgency = (a: Alert, b: Alert) =>
  a.priority - b.priority ||
  Number(unseen(b)) - Number(unseen(a)) ||
  Number(b.active) - Number(a.active) ||
  Date.parse(b.raised_at) - Date.parse(a.raised_at);

function title(alerts: readonly Alert[], incidents: readonly Incident[]): string {
  const standing = alerts.filter(stands);
  if (standing.length === 0) return "No alarm stands.";
  const fresh = standing.filter(unseen).length;
  const most = incidents
    .filter(isOpen)
    .map((incident) => ({
      incident,
      n: standing.filter((a) => a.incident_id === incident.incident_id).length,
    }))
    .sort((a, b) => b.n - a.n)[0];
  const first = `${count(standing.length, "alarm stands", "alarms stand")}, ${seenWords(standing.length, fresh)}.`;
  return most && most.n > 1 ? `${first} ${count(most.n, "belongs", "belong")} to one incident.` : first;
}

function seenWords(all: number, fresh: number): string {
  if (all === 1) return fresh === 0 ? "acknowledged" : "not acknowledged";
  if (fresh === 0) return "all acknowledged";
  return fresh === all ? "none acknowledged" : `${fresh} not acknowledged`;
}

export function Alarms() {
  const search = route.useSearch();
  const view = search.view ?? "standing";
  const navigate = useNavigate();
  const now = useNow(10_000);
  const { site } = useSite();
  const list = useQuery(alertsQuery);
  const incidentList = useQuery(incidentsQuery);
  const quality = useQuery(qualityQuery);
  const alerts = useMemo(
    () => (list.data?.items ?? NONE).filter((alert) => !site || alert.site === site),
    [list.data, site],
  );
  const incidents = incidentList.data?.items ?? NONE;
  const counts: Record<AlarmView, number> = {
    standing: alerts.filter(BELONGS.standing).length,
    new: alerts.filter(BELONGS.new).length,
    shelved: alerts.filter(BELONGS.shelved).length,
    cleared: alerts.filter(BELONGS.cleared).length,
    incidents: incidents.filter(isOpen).length,
  };

  return (
    <>
      <PageHead
        crumb="What is wrong, since when, and why?"
        title={
          list.data
            ? title(alerts, incidents)
            : list.error
              ? "The alarms could not be read"
              : "Reading alarms"
        }
        acts={
          list.isPending ? null : (
            <fieldset className="seg bare">
              <legend className="sr">View</legend>
              {ALARM_VIEWS.map((each) => (
                <button
                  key={each}
                  type="button"
                  aria-pressed={each === view}
                  onClick={() => void navigate({ to: "/alarms", search: (old) => ({ ...old, view: each }) })}
                >
                  {VIEW_NAME[each]}{" "}
                  {(each === "incidents" ? incidentList.data : list.data) ? counts[each] : "–"}
                </button>
              ))}
            </fieldset>
          )
        }
      />
      {quality.data ? (
        <AlarmQualityStrip quality={quality.data} />
      ) : quality.isPending ? (
        <div className="panel hide-phone" style={{ minHeight: 140 }} />
      ) : (
        <ProblemNote
          error={quality.error}
          what="The alarms could not be counted"
          retry={() => void quality.refetch()}
        />
      )}
      {list.error ? <ProblemNote error={list.error} retry={() => void list.refetch()} /> : null}
      {view === "incidents" ? (
        <section className="panel" aria-label="Incidents">
          {incidentList.isPending ? (
            <Loading what="Reading incidents" />
          ) : incidentList.error && !incidentList.data ? (
            <ProblemNote error={incidentList.error} retry={() => void incidentList.refetch()} />
          ) : (
            <IncidentList incidents={[...incidents].sort(incidentOrder)} now={now} />
          )}
        </section>
      ) : list.isPending ? (
        <section className="panel" aria-label="Alarms">
          <Loading what="Reading alarms" height={LIST_HEIGHT} />
        </section>
      ) : list.data === undefined ? null : (
        <AlarmList key={view} alerts={alerts} incidents={incidents} view={view} now={now} />
      )}
      {list.data?.next ? (
        <p className="cap">
          The server keeps more than these {plural(list.data.items.length, "alarm")}; the counts are of these.
        </p>
      ) : null}
      {list.isPending ? null : (
        <p className="cap">
          An alarm with bad or missing data keeps its state and raises its own alarm. Nothing clears because a
          sensor went quiet.
        </p>
      )}
    </>
  );
}

const incidentOrder = (a: Incident, b: Incident) =>
  Number(isOpen(b)) - Number(isOpen(a)) ||
  a.priority - b.priority ||
  Date.parse(b.opened_at) - Date.parse(a.opened_at);

interface ListProps {
  alerts: readonly Alert[];
  incidents: readonly Incident[];
  view: Exclude<AlarmView, "incidents">;
  now: number;
}

function useShown({ alerts, view }: ListProps): Alert[] {
  const { p, q } = route.useSearch();
  return useMemo(() => {
    const words = wordsOf(q ?? "");
    return alerts
      .filter(BELONGS[view])
      .filter((alert) => !p || alert.priority === p)
      .filter((alert) =>
        hasAll(`${alert.title} ${alert.sensor} ${sensorName(alert.sensor)} a-${alert.number}`, words),
      )
      .sort(view === "cleared" ? (a, b) => Date.parse(b.raised_at) - Date.parse(a.raised_at) : byUrgency);
  }, [alerts, view, p, q]);
}

/** What people do to alarms. The list changes when the server has said yes. */
function useAlarmActions(clear: () => void) {
  const client = useQueryClient();
  const put = (alert: Alert | undefined) => {
    if (!alert?.alert_id) return void client.invalidateQueries({ queryKey: ["alerts"] });
    client.setQueryData<Page<Alert>>(["alerts"], (page) => upsert(page, alert, (a) => a.alert_id));
  };
  const ack = useMutation({
    mutationFn: (ids: string[]) => Promise.all(ids.map((id) => acknowledge(id))),
    onSuccess: (done) => {
      for (const alert of done) put(alert);
      clear();
      toast({ text: `${plural(done.length, "alarm")} acknowledged` });
    },
    onError: () => void client.invalidateQueries({ queryKey: ["alerts"] }),
  });
  const back = useMutation({ mutationFn: (id: string) => unshelve(id), onSuccess: put });
  const put_away = useMutation({
    mutationFn: (input: { id: string; reason: string; until: string }) =>
      shelve(input.id, input.reason, input.until),
    onSuccess: (alert, input) => {
      put(alert);
      clear();
      toast({
        text: `Shelved until ${clock(input.until)}`,
        action: { label: "Undo", run: () => back.mutate(input.id) },
      });
    },
  });
  const resolve = useMutation({
    mutationFn: (input: { id: string; resolution: string }) => resolveAlert(input.id, input.resolution),
    onSuccess: (alert) => {
      put(alert);
      clear();
      toast({ text: "Alarm resolved" });
    },
  });
  return { ack, back, shelve: put_away, resolve };
}

function AlarmList(props: ListProps) {
  const { incidents, view, now } = props;
  const shown = useShown(props);
  const steps = useSteps(shown);
  const phone = usePhone();
  const range = useRange();
  const may = useMay("operator");
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [dialog, setDialog] = useState<"shelve" | "resolve" | null>(null);
  const actions = useAlarmActions(() => {
    setSelected(new Set());
    setDialog(null);
  });

  const chosen = shown.filter((alert) => selected.has(alert.alert_id));
  const fresh = chosen.filter(unseen);
  const one = chosen.length === 1 ? chosen[0] : undefined;
  const keys = useMemo(() => [...new Set(shown.map((alert) => alert.sensor))].slice(0, MOST_SPARKS), [shown]);
  const readings = useQuery(readingsQuery(keys, range, SPARK_BUCKETS, true));
  const series = useMemo(
    () => new Map<string, Series>((readings.data?.series ?? NONE).map((s) => [s.sensor, s])),
    [readings.data],
  );

  const select = (id: string, on: boolean) => {
    const next = new Set(selected);
    if (on) next.add(id);
    else next.delete(id);
    setSelected(next);
  };
  const doAck = () => {
    if (may.ok && fresh.length > 0) actions.ack.mutate(fresh.map((alert) => alert.alert_id));
  };
  useKeys({
    a: doAck,
    s: () => {
      if (may.ok && one && view !== "shelved") setDialog("shelve");
    },
  });

  const navigate = useNavigate();
  const { alarm } = route.useSearch();
  const opened = props.alerts.find((alert) => alert.alert_id === alarm);
  const open = (id: string | undefined) =>
    void navigate({ to: "/alarms", search: (old) => ({ ...old, alarm: id }), resetScroll: false });

  const failure = actions.ack.error ?? actions.back.error;
  return (
    <section className="panel" aria-label="Alarm list">
      <h2 className="sr">{VIEW_NAME[view]}</h2>
      <Tools
        view={view}
        chosen={chosen.length}
        may={may}
        canAck={fresh.length > 0}
        one={one}
        onAck={doAck}
        onShelve={() => setDialog("shelve")}
        onResolve={() => setDialog("resolve")}
        onBack={() => one && actions.back.mutate(one.alert_id)}
      />
      {failure ? (
        <div className="in">
          <ProblemNote error={failure} />
        </div>
      ) : null}
      {shown.length === 0 ? (
        <NothingHere view={view} />
      ) : (
        <>
          {phone ? (
            <AlarmCards
              alerts={steps.shown}
              incidents={incidents}
              selected={selected}
              onSelect={select}
              now={now}
              onOpen={open}
            />
          ) : (
            <AlarmTable
              alerts={steps.shown}
              incidents={incidents}
              series={series}
              selected={selected}
              onSelect={select}
              now={now}
              window={range}
              rangeLabel={range.label}
              onOpen={open}
            />
          )}
          {steps.more}
        </>
      )}
      {opened ? (
        <AlarmDrawer
          alert={opened}
          incident={incidents.find((each) => each.incident_id === opened.incident_id)}
          now={now}
          may={may}
          onAck={() => actions.ack.mutate([opened.alert_id])}
          onClose={() => open(undefined)}
        />
      ) : null}
      {dialog === "shelve" && one ? (
        <ShelveDialog
          alert={one}
          busy={actions.shelve.isPending}
          error={actions.shelve.error}
          onClose={() => setDialog(null)}
          onShelve={(reason, until) => actions.shelve.mutate({ id: one.alert_id, reason, until })}
        />
      ) : null}
      {dialog === "resolve" && one ? (
        <ResolveDialog
          alert={one}
          busy={actions.resolve.isPending}
          error={actions.resolve.error}
          onClose={() => setDialog(null)}
          onResolve={(resolution) => actions.resolve.mutate({ id: one.alert_id, resolution })}
        />
      ) : null}
    </section>
  );
}

interface ToolsProps {
  view: AlarmView;
  chosen: number;
  may: { ok: boolean; why: string | null };
  canAck: boolean;
  one: Alert | undefined;
  onAck: () => void;
  onShelve: () => void;
  onResolve: () => void;
  onBack: () => void;
}

function Tools({ view, chosen, may, canAck, one, onAck, onShelve, onResolve, onBack }: ToolsProps) {
  const { p, q } = route.useSearch();
  const navigate = useNavigate();
  const set = (change: { p?: 1 | 2 | 3 | 4; q?: string }) =>
    void navigate({ to: "/alarms", search: (old) => ({ ...old, ...change }), replace: true });
  return (
    <div className="tools">
      <fieldset className="seg bare">
        <legend className="sr">Priority</legend>
        <button type="button" aria-pressed={p === undefined} onClick={() => set({ p: undefined })}>
          All
        </button>
        {([1, 2, 3, 4] as const).map((each) => (
          <button key={each} type="button" aria-pressed={p === each} onClick={() => set({ p: each })}>
            <span className="sr">Priority </span>
            {each}
          </button>
        ))}
      </fieldset>
      <input
        className="input"
        type="search"
        aria-label="Find in alarms"
        placeholder="Find"
        value={q ?? ""}
        onChange={(event) => set({ q: event.target.value || undefined })}
      />
      <span className="grow" />
      <span className="sm dim" role="status">
        {may.ok ? (chosen > 0 ? `${chosen} selected` : "select alarms to act") : may.why}
      </span>
      {view === "cleared" ? null : (
        <>
          <button type="button" className="btn s" disabled={!may.ok || !canAck} onClick={onAck}>
            Acknowledge <kbd className="hide-phone">A</kbd>
          </button>
          {view === "shelved" ? (
            <button type="button" className="btn s" disabled={!may.ok || !one} onClick={onBack}>
              Bring back
            </button>
          ) : (
            <button
              type="button"
              className="btn s"
              aria-haspopup="dialog"
              disabled={!may.ok || !one}
              onClick={onShelve}
            >
              Shelve… <kbd className="hide-phone">S</kbd>
            </button>
          )}
          <button
            type="button"
            className="btn s"
            aria-haspopup="dialog"
            disabled={!may.ok || !one}
            onClick={onResolve}
          >
            Resolve…
          </button>
        </>
      )}
    </div>
  );
}

function NothingHere({ view }: { view: Exclude<AlarmView, "incidents"> }) {
  const { p, q } = route.useSearch();
  const navigate = useNavigate();
  if (p || q) {
    return (
      <Empty
        title="No alarm fits the filter"
        picture="rows"
        action={
          <button
            type="button"
            className="btn"
            onClick={() =>
              void navigate({ to: "/alarms", search: (old) => ({ ...old, p: undefined, q: undefined }) })
            }
          >
            Clear the filter
          </button>
        }
      >
        Others may stand; the counts above say how many.
      </Empty>
    );
  }
  const words: Record<typeof view, [string, string]> = {
    standing: ["Nothing stands", "An alarm appears here when a sensor leaves what is normal for it."],
    new: ["Nothing is new", "Every alarm that stands has been seen by somebody."],
    shelved: ["Nothing is shelved", "A shelved alarm waits here with its reason and returns by itself."],
    cleared: ["Nothing has cleared yet", "Alarms that ended are kept here with their story."],
  };
  const [heading, text] = words[view];
  return (
    <Empty title={heading} picture="rows">
      {text}
    </Empty>
  );
}
