import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { completeWork, submitDecision } from "../api/actions";
import { Problem } from "../api/http";
import { upsert } from "../api/live";
import { decisionsQuery, notificationsQuery, readingsQuery, workQuery } from "../api/queries";
import type { Completion, Decision, Page, Series, WorkOrder } from "../api/types";
import { type Act, AnswerDialog } from "../modules/maintenance/AnswerDialog";
import { Board } from "../modules/maintenance/Board";
import { DecisionPanel } from "../modules/maintenance/DecisionPanel";
import { Verdicts } from "../modules/maintenance/Verdicts";
import { WorkOrderCard } from "../modules/maintenance/WorkOrderCard";
import { boardTitle, byAnswer, byUrgency } from "../modules/maintenance/words";
import { Forecast } from "../modules/models/Forecast";
import { useMay } from "../shell/hooks";
import { decisionNo } from "../ui/format";
import { Empty, Loading, ProblemNote } from "../ui/Note";
import { PageHead, Panel } from "../ui/Panel";
import { useNow } from "../ui/time";
import { toast } from "../ui/toasts";

const route = getRouteApi("/decisions");
const NONE: never[] = [];
const PAST_MS = 24 * 3_600_000;
const BUCKETS = 120;
const MOST_PICTURES = 8;

/** The past of every waiting question, in one call. */
function usePast(decisions: readonly Decision[]): ReadonlyMap<string, Series> {
  const to = useNow(120_000);
  const sensors = useMemo(
    () =>
      [...new Set(decisions.filter((d) => d.state === "waiting" && d.sensor).map((d) => d.sensor))]
        .sort()
        .slice(0, MOST_PICTURES),
    [decisions],
  );
  const readings = useQuery(readingsQuery(sensors, { from: to - PAST_MS, to }, BUCKETS, true));
  return useMemo(
    () => new Map<string, Series>((readings.data?.series ?? NONE).map((s) => [s.sensor, s])),
    [readings.data],
  );
}

export function Decisions() {
  const search = route.useSearch();
  const navigate = useNavigate();
  const now = useNow(15_000);
  const list = useQuery(decisionsQuery);
  const works = useQuery(workQuery).data?.items ?? NONE;
  const decisions = list.data?.items ?? NONE;
  const past = usePast(decisions);
  const [act, setAct] = useState<{ act: Act; reason: string; decision: Decision } | null>(null);
  const mayAct = useMay("operator");
  const answer = useAnswer(() => setAct(null));

  const waiting = decisions.filter((d) => d.state === "waiting").sort(byUrgency);
  const chosen =
    decisions.find((d) => d.decision_id === search.decision) ??
    waiting[0] ??
    [...decisions].sort(byAnswer)[0];
  const choose = (id: string) => {
    answer.reset();
    void navigate({
      to: "/decisions",
      search: (old) => ({ ...old, decision: id }),
      replace: true,
      resetScroll: false,
    });
  };

  return (
    <>
      <PageHead
        crumb="What waits for a person, and were we right?"
        title={
          list.data
            ? boardTitle(waiting)
            : list.error
              ? "The decisions could not be read"
              : "Reading decisions"
        }
      />
      {list.error ? <ProblemNote error={list.error} retry={() => void list.refetch()} /> : null}
      {list.isPending ? (
        <Panel title="Decisions">
          <Loading what="Reading decisions" />
        </Panel>
      ) : list.data === undefined ? null : decisions.length === 0 ? (
        <NoDecisions />
      ) : (
        <>
          <Board
            decisions={decisions}
            chosen={chosen?.decision_id}
            now={now}
            mayAct={mayAct.ok}
            onChoose={choose}
            onAct={(decision, which) => setAct({ act: which, reason: "", decision })}
            picture={(decision) =>
              decision.state === "waiting" && decision.evidence ? (
                <div className="th">
                  <Forecast prediction={decision.evidence} series={past.get(decision.sensor)} height={112} />
                </div>
              ) : null
            }
          />
          <div className="cols" style={{ gridTemplateColumns: "minmax(0,2.2fr) minmax(0,1fr)" }}>
            {chosen ? (
              <Chosen
                key={chosen.decision_id}
                decision={chosen}
                series={past.get(chosen.sensor)}
                works={works}
                now={now}
                answer={answer}
                onAct={(which, reason) => {
                  if (which === "approve") {
                    answer.mutate({ decision_id: chosen.decision_id, decision: "approve", reason });
                  } else {
                    answer.reset();
                    setAct({ act: which, reason, decision: chosen });
                  }
                }}
              />
            ) : null}
            <Verdicts works={works} />
          </div>
        </>
      )}
      {act ? (
        <AnswerDialog
          act={act.act}
          decision={act.decision}
          reason={act.reason}
          busy={answer.isPending}
          error={answer.error}
          onClose={() => setAct(null)}
          onAnswer={(given) => answer.mutate(given)}
        />
      ) : null}
    </>
  );
}

const DONE: Record<string, string> = { approve: "approved", reject: "rejected", defer: "deferred" };

function useAnswer(done: () => void) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: submitDecision,
    onSuccess: (decision, given) => {
      if (decision?.decision_id) {
        client.setQueryData<Page<Decision>>(["decisions"], (page) =>
          upsert(page, decision, (d) => d.decision_id),
        );
      }
      void client.invalidateQueries({ queryKey: ["decisions"] });
      done();
      const no = decision?.number ? decisionNo(decision.number) : "The decision";
      toast({ text: `${no} ${DONE[given.decision]}` });
    },
    onError: (error) => {
      // Somebody was faster: show what they said.
      if (error instanceof Problem && error.status === 409)
        void client.invalidateQueries({ queryKey: ["decisions"] });
    },
    onSettled: () => void client.invalidateQueries({ queryKey: ["work"] }),
  });
}

interface ChosenProps {
  decision: Decision;
  series: Series | undefined;
  works: readonly WorkOrder[];
  now: number;
  answer: ReturnType<typeof useAnswer>;
  onAct: (act: Act, reason: string) => void;
}

function Chosen({ decision, series, works, now, answer, onAct }: ChosenProps) {
  const may = useMay("operator");
  const client = useQueryClient();
  const work = works.find((each) => each.decision_id === decision.decision_id);
  const messages = useQuery(notificationsQuery).data?.items ?? NONE;
  const told = work ? messages.filter((m) => m.about?.subject === `work/${work.work_id}`) : NONE;
  const complete = useMutation({
    mutationFn: (input: { id: string; completion: Completion }) => completeWork(input.id, input.completion),
    onSuccess: (closed) => {
      if (closed?.work_id) {
        client.setQueryData<Page<WorkOrder>>(["work"], (page) => upsert(page, closed, (w) => w.work_id));
      }
      toast({ text: "Work closed" });
    },
    onSettled: () => void client.invalidateQueries({ queryKey: ["work"] }),
  });
  const mine = answer.variables?.decision_id === decision.decision_id;
  return (
    <DecisionPanel
      decision={decision}
      now={now}
      may={may}
      busy={answer.isPending}
      onAct={onAct}
      problem={
        answer.error && mine ? <ProblemNote error={answer.error} what="Your answer was not taken" /> : null
      }
      picture={
        decision.state === "waiting" && decision.evidence ? (
          <Forecast prediction={decision.evidence} series={series} height={168} large />
        ) : null
      }
      evidenceLink={
        <p className="cap">
          <Link to="/workbench" search={{ s: decision.sensor }}>
            See {decision.sensor} for yourself
          </Link>
        </p>
      }
      result={
        work ? (
          <>
            <WorkOrderCard
              work={work}
              may={may}
              busy={complete.isPending}
              error={complete.error}
              onComplete={(completion, close) =>
                complete.mutate({ id: work.work_id, completion }, { onSuccess: close })
              }
            />
            {told.length > 0 ? (
              <p className="cap">
                {told.map((m) => `${m.channel.replace("_", " ")} to ${m.to}: ${m.state}`).join(" · ")}
              </p>
            ) : null}
          </>
        ) : decision.state === "approved" ? (
          <p className="cap" role="status">
            Approved. The work order is being made.
          </p>
        ) : null
      }
    />
  );
}

function NoDecisions() {
  return (
    <Panel title="Decisions">
      <Empty
        title="No decision yet"
        picture="line"
        action={
          <Link className="btn" to="/workbench" search={{ tab: "golden" }}>
            Send a test fault through
          </Link>
        }
        curl={`curl -X POST '${window.location.origin}/api/v1/demo/golden-path?target_anomaly_rate=0.3' -H 'X-API-Key: YOUR_KEY'`}
      >
        When a model sees a failure coming, it asks here with its evidence. A person approves, rejects or
        defers, with a reason.
      </Empty>
    </Panel>
  );
}
