import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { startGoldenPath } from "../api/actions";
import { decisionsQuery, runQuery, runsQuery } from "../api/queries";
import type { Decision, GoldenRun } from "../api/types";
import { GoldenPath, RunList } from "../modules/plant/GoldenPath";
import { useMay } from "../shell/hooks";
import { decisionNo } from "../ui/format";
import { Empty, Loading, ProblemNote } from "../ui/Note";
import { PageHead, Panel } from "../ui/Panel";
import { useNow } from "../ui/time";
import { Tabs } from "./WorkbenchTabs";

const route = getRouteApi("/workbench");
const NONE: never[] = [];

/** As the server bounds it. */
const RATE = { least: 0.05, most: 0.5, step: 0.05, usual: 0.3 };

export function Golden() {
  const search = route.useSearch();
  const navigate = useNavigate();
  const now = useNow(10_000);
  const list = useQuery(runsQuery);
  const runs = list.data?.items ?? NONE;
  const chosen = search.run ?? runs[0]?.correlation_id;
  const run = useQuery({ ...runQuery(chosen ?? ""), enabled: chosen !== undefined });
  const decisions = useQuery(decisionsQuery).data?.items ?? NONE;
  // What comes first is known first: nothing moves under the hand of whoever reads already.
  const whole = !list.isPending && (chosen === undefined || !run.isPending);
  const choose = (id: string) =>
    void navigate({
      to: "/workbench",
      search: (old) => ({ ...old, tab: "golden" as const, run: id }),
      resetScroll: false,
    });

  return (
    <>
      <PageHead
        crumb="Does the whole chain work, from a reading to a message?"
        title={goldenTitle(run.data)}
        acts={<Tabs />}
      />
      {whole ? (
        <Start onStarted={choose} first={!run.data?.waiting_for} />
      ) : (
        <Loading what="Reading the runs" height={320} />
      )}
      {list.error ? <ProblemNote error={list.error} retry={() => void list.refetch()} /> : null}
      {run.error ? <ProblemNote error={run.error} retry={() => void run.refetch()} /> : null}
      {whole && run.data ? (
        <GoldenPath run={run.data} waiting={<WaitLink run={run.data} decisions={decisions} />} />
      ) : null}
      {list.isSuccess && !chosen ? (
        <Panel title="Golden path">
          <Empty
            title="No run yet"
            picture="rows"
            curl={`curl -X POST '${location.origin}/api/v1/demo/golden-path?target_anomaly_rate=0.3' -H 'X-API-Key: YOUR_KEY'`}
          >
            A run sends a batch with a fault into the real ingest door and follows it through every stage:
            ingest, validate, detect, predict, decide, schedule, notify.
          </Empty>
        </Panel>
      ) : null}
      {whole && runs.length > 0 ? <RunList runs={runs} chosen={chosen} now={now} onChoose={choose} /> : null}
    </>
  );
}

function goldenTitle(run: GoldenRun | undefined): string {
  if (!run) return "Send a test fault through every stage";
  const done = run.steps.filter((step) => step.status === "done").length;
  if (run.overall_status === "completed") return "The last fault went the whole way.";
  if (run.overall_status === "failed") return `The run ended after ${done} of ${run.steps.length} steps.`;
  if (run.waiting_for)
    return `${done} of ${run.steps.length} steps are done; it waits for ${run.waiting_for}.`;
  return `${done} of ${run.steps.length} steps are done.`;
}

/** The decision that the run waits for, when its number is in the words. */
function WaitLink({ run, decisions }: { run: GoldenRun; decisions: readonly Decision[] }) {
  const no = /D-(\d+)/.exec(run.waiting_for ?? "")?.[1];
  const decision = decisions.find(
    (each) => each.decision_id === run.decision_id || String(each.number) === no,
  );
  if (!decision) return null;
  return (
    <Link className="btn s pri" to="/decisions" search={{ decision: decision.decision_id }}>
      Review {decisionNo(decision.number)}
    </Link>
  );
}

/** One primary button a page: the one that goes on with what is under way. */
function Start({ onStarted, first }: { onStarted: (id: string) => void; first: boolean }) {
  const client = useQueryClient();
  const may = useMay("operator");
  const [rate, setRate] = useState(String(RATE.usual));
  const value = Number(rate);
  const wrong = !(value >= RATE.least && value <= RATE.most);
  const start = useMutation({
    mutationFn: () => startGoldenPath(value),
    onSuccess: (started) => {
      void client.invalidateQueries({ queryKey: ["golden-runs"] });
      onStarted(started.correlation_id);
    },
  });
  return (
    <Panel title="Start a run">
      <form
        className="in golden-start"
        onSubmit={(event) => {
          event.preventDefault();
          if (!wrong) start.mutate();
        }}
      >
        <div className="field">
          <label htmlFor="rate">Target anomaly rate</label>
          <input
            className="input"
            id="rate"
            type="number"
            min={RATE.least}
            max={RATE.most}
            step={RATE.step}
            value={rate}
            aria-invalid={wrong}
            aria-describedby="rate-hint"
            onChange={(event) => setRate(event.target.value)}
          />
        </div>
        <button
          type="submit"
          className={first ? "btn pri" : "btn"}
          disabled={!may.ok || wrong || start.isPending}
        >
          Start a run
        </button>
        <p className="hint" id="rate-hint">
          {wrong
            ? `Choose a share between ${RATE.least} and ${RATE.most}.`
            : may.why
              ? `Starting ${may.why}.`
              : "The share of readings in the batch that are abnormal. The sensor is simulated and tagged so."}
        </p>
      </form>
      {start.error ? (
        <div className="in">
          <ProblemNote error={start.error} what="The run could not be started" />
        </div>
      ) : null}
    </Panel>
  );
}
