import type { ReactNode } from "react";
import type { GoldenRun, GoldenStep } from "../../api/types";
import { DataTable } from "../../ui/Figure";
import { clockSeconds, duration, moment, readable, sentence, shortId } from "../../ui/format";
import { Tick } from "../../ui/Icon";
import { Panel } from "../../ui/Panel";
import { Scroll } from "../../ui/Scroll";
import { Words } from "../../ui/Words";

const CLASS: Record<GoldenStep["status"], string> = {
  done: "done",
  running: "now",
  waiting: "now",
  pending: "wait",
  failed: "fail",
};

const OVERALL: Record<GoldenRun["overall_status"], string> = {
  running: "under way",
  waiting: "waits",
  completed: "complete",
  stuck: "stuck",
  failed: "failed",
};

function when(step: GoldenStep, first: GoldenStep | undefined): string {
  if (step.status === "pending") return "not yet";
  if (!step.started_at) return step.status;
  if (step.status === "waiting" || step.status === "running") return `since ${clockSeconds(step.started_at)}`;
  if (step === first || !first?.started_at) return clockSeconds(step.finished_at ?? step.started_at);
  const ms = Date.parse(step.finished_at ?? step.started_at) - Date.parse(first.started_at);
  return ms < 1000
    ? `+ ${ms} ms`
    : ms < 60_000
      ? `+ ${(ms / 1000).toFixed(1)} s`
      : `+ ${duration(ms / 1000)}`;
}

interface Props {
  run: GoldenRun;
  /** What the person who is waited for can do. */
  waiting: ReactNode;
}

export function GoldenPath({ run, waiting }: Props) {
  const done = run.steps.filter((step) => step.status === "done").length;
  const first = run.steps[0];
  return (
    <Panel
      title={`Golden path${run.sensor ? ` of ${run.sensor}` : ""}`}
      meta={
        <span className="rowf wrap">
          <span className="mono hide-phone" title="correlation id">
            {run.correlation_id}
          </span>
          <span className="tag" data-testid="overall-status">
            {done} of {run.steps.length}, {OVERALL[run.overall_status]}
          </span>
        </span>
      }
    >
      <ol className="gpath" aria-label="Steps">
        {run.steps.map((step, index) => (
          <li
            key={step.name}
            className={CLASS[step.status]}
            aria-current={step.status === "running" || step.status === "waiting" ? "step" : undefined}
            data-step={step.name}
            data-status={step.status}
          >
            <span className="step-i">
              {step.status === "done" ? <Tick /> : step.status === "failed" ? "!" : index + 1}
            </span>
            <h3>
              {sentence(step.name)}
              <span className="sr">, {step.status}</span>
            </h3>
            <p className="sm">
              <Words>{readable(step.detail ?? (step.status === "pending" ? "" : step.status))}</Words>
            </p>
            <p className="sm dim">
              {when(step, first)}
              {step.event_ids.length > 0 && step.status !== "pending" ? (
                <>
                  {" "}
                  ·{" "}
                  <span className="mono" title={step.event_ids.join("\n")}>
                    {shortId(step.event_ids[0] ?? "")}
                  </span>
                </>
              ) : null}
            </p>
          </li>
        ))}
      </ol>
      {run.waiting_for || run.overall_status === "stuck" ? (
        <div className="in no-top">
          <div className="note" role="status">
            <span className="t">
              <b>
                <Words>{`It waits for ${run.waiting_for ?? "something that did not come"}.`}</Words>
              </b>
              <span>Nothing goes on without it; nothing is lost meanwhile.</span>
            </span>
            {waiting}
          </div>
        </div>
      ) : null}
      {run.overall_status === "completed" ? (
        <p className="in cap" role="status">
          Complete: one correlation id from the first reading to the last message.
          {run.finished_at
            ? ` It took ${duration((Date.parse(run.finished_at) - Date.parse(run.started_at)) / 1000)}.`
            : ""}
        </p>
      ) : null}
      <Evidence run={run} />
    </Panel>
  );
}

function Evidence({ run }: { run: GoldenRun }) {
  const rows = run.steps.flatMap((step) =>
    Object.entries(step.evidence ?? {}).map(([name, value]) => ({
      key: `${step.name}-${name}`,
      cells: [sentence(step.name), name.replaceAll("_", " "), say(value)],
    })),
  );
  if (rows.length === 0) return null;
  return (
    <div className="in no-top">
      <details>
        <summary>Evidence of each step</summary>
        <DataTable
          label="Evidence"
          view={{ columns: [{ name: "Step" }, { name: "What" }, { name: "Value" }], rows }}
        />
      </details>
    </div>
  );
}

const LONGEST = 160;

function say(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

interface RunsProps {
  runs: readonly GoldenRun[];
  chosen: string | undefined;
  now: number;
  onChoose: (id: string) => void;
}

export function RunList({ runs, chosen, now, onChoose }: RunsProps) {
  return (
    <Panel title="Runs" meta="newest first">
      <Scroll label="Runs table">
        <table className="tbl">
          <thead>
            <tr>
              <th scope="col">Started</th>
              <th scope="col">State</th>
              <th scope="col">Waits for</th>
              <th scope="col" className="r hide-phone">
                Took
              </th>
              <th scope="col">Correlation</th>
            </tr>
          </thead>
          <tbody>
            {runs.map((run) => (
              <tr key={run.correlation_id} className={run.correlation_id === chosen ? "on" : undefined}>
                <td className="k nowrap">{moment(run.started_at, now)}</td>
                <td>{OVERALL[run.overall_status]}</td>
                <td>{run.waiting_for ? <Words>{run.waiting_for}</Words> : "–"}</td>
                <td className="r nowrap hide-phone">
                  {run.finished_at
                    ? duration((Date.parse(run.finished_at) - Date.parse(run.started_at)) / 1000)
                    : "–"}
                </td>
                <td>
                  <button
                    type="button"
                    className="linky mono nowrap"
                    title={run.correlation_id}
                    onClick={() => onChoose(run.correlation_id)}
                  >
                    <span className="hide-phone">{run.correlation_id}</span>
                    <span className="only-phone">{shortId(run.correlation_id)}</span>
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Panel>
  );
}
