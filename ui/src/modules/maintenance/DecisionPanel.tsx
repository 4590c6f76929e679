import { type ReactNode, useState } from "react";
import type { Decision } from "../../api/types";
import {
  clock,
  day,
  decisionNo,
  duration,
  interval,
  limit,
  moment,
  percent,
  plusMinus,
  sentence,
} from "../../ui/format";
import { Panel } from "../../ui/Panel";
import { Words } from "../../ui/Words";
import type { Act } from "./AnswerDialog";
import { isOpen } from "./words";

interface Props {
  decision: Decision;
  now: number;
  may: { ok: boolean; why: string | null };
  busy: boolean;
  picture: ReactNode;
  result: ReactNode;
  problem: ReactNode;
  onAct: (act: Act, reason: string) => void;
  evidenceLink: ReactNode;
}

function facts(decision: Decision, now: number): [string, ReactNode][] {
  const { evidence, proposal } = decision;
  const rows: [string, ReactNode][] = [
    ["Proposal", proposal.action],
    [
      "When",
      `${day(proposal.due_from)} to ${day(proposal.due_to)}, takes ${duration(proposal.duration_h * 3600)}`,
    ],
    ["Needs", proposal.skill],
  ];
  const span = evidence?.time_to_limit_s;
  if (span && evidence?.limit) {
    rows.push([
      "If we wait",
      `${limit(evidence.limit.value, evidence.unit)} (${evidence.limit.source}) in ${interval(span).median}, ${interval(span).range}`,
    ]);
  } else if (evidence?.why_unsure) {
    rows.push(["Unsure because", evidence.why_unsure]);
  }
  if (evidence && Number.isFinite(evidence.risk)) rows.push(["Risk", percent(evidence.risk)]);
  if (evidence?.trend) {
    rows.push([
      "Trend",
      `${plusMinus(evidence.trend.slope_per_day, evidence.trend.error_per_day)} ${evidence.unit ?? ""} a day, ${evidence.trend.samples.toLocaleString("en-US")} samples`,
    ]);
  }
  rows.push(["Asked by", decision.requested_by]);
  rows.push([
    "Dismissed before",
    decision.dismissed_before === 0 ? "never" : `${decision.dismissed_before}×`,
  ]);
  if (decision.state === "waiting")
    rows.push(["If nobody answers", `it expires ${moment(decision.expires_at, now)} and escalates`]);
  return rows;
}

export function DecisionPanel({
  decision,
  now,
  may,
  busy,
  picture,
  result,
  problem,
  onAct,
  evidenceLink,
}: Props) {
  return (
    <Panel
      id="decision"
      title={`${decisionNo(decision.number)} ${decision.title}`}
      meta={`asked ${moment(decision.requested_at, now)}`}
    >
      <div className="in dd">
        <div className="stack">
          <p>
            <Words>{decision.question}</Words>
          </p>
          {picture}
          {isOpen(decision) ? null : <Contributions decision={decision} />}
        </div>
        <div className="stack" style={{ gap: 8 }}>
          {problem}
          {decision.state === "deferred" ? <Answered decision={decision} now={now} /> : null}
          {isOpen(decision) ? (
            <Answer decision={decision} may={may} busy={busy} onAct={onAct} />
          ) : (
            <Answered decision={decision} now={now} />
          )}
          {result}
          {isOpen(decision) ? <Contributions decision={decision} /> : null}
        </div>
        <div className="all">
          <dl className="kv two">
            {facts(decision, now).map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
          {evidenceLink}
        </div>
      </div>
    </Panel>
  );
}

function Contributions({ decision }: { decision: Decision }) {
  const parts = decision.evidence?.contributions ?? [];
  if (parts.length === 0) return null;
  const most = Math.max(...parts.map((part) => Math.abs(part.weight)));
  return (
    <div>
      <h3>Why the model says so</h3>
      <ul className="contrib">
        {parts.slice(0, 5).map((part) => (
          <li key={part.name}>
            <span className="sm">{sentence(part.name.replaceAll("_", " "))}</span>
            <span className="meter data" aria-hidden="true">
              <i style={{ width: `${most > 0 ? (Math.abs(part.weight) / most) * 100 : 0}%` }} />
            </span>
            <span className="sm dim num">{percent(part.weight)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Answered({ decision, now }: { decision: Decision; now: number }) {
  return (
    <div className="result">
      <h3>
        {sentence(decision.state)}
        {decision.answered_by ? ` by ${decision.answered_by}` : ""}
        {decision.answered_at ? `, ${moment(decision.answered_at, now)}` : ""}
      </h3>
      {decision.reason ? <p>{decision.reason}</p> : null}
      {decision.deferred_until ? (
        <p className="sm dim">
          Asked again {day(decision.deferred_until)} {clock(decision.deferred_until)}.
        </p>
      ) : null}
    </div>
  );
}

function Answer({ decision, may, busy, onAct }: Pick<Props, "decision" | "may" | "busy" | "onAct">) {
  const [reason, setReason] = useState("");
  const [missing, setMissing] = useState(false);
  const approve = () => {
    if (reason.trim()) onAct("approve", reason.trim());
    else setMissing(true);
  };
  const noReason = missing && !reason.trim();
  return (
    <>
      <div className="field">
        <label htmlFor="why">Reason</label>
        <textarea
          className="input"
          id="why"
          rows={4}
          value={reason}
          placeholder="Kept in the log with your name"
          aria-invalid={noReason}
          aria-describedby={noReason ? "why-hint" : undefined}
          onChange={(event) => setReason(event.target.value)}
        />
        {noReason ? (
          <p className="hint ink" id="why-hint">
            <b>Say in a few words why.</b>
          </p>
        ) : null}
      </div>
      <div className="rowf wrap ab answers">
        <button type="button" className="btn pri" disabled={!may.ok || busy} onClick={approve}>
          Approve
          <span className="sr"> {decisionNo(decision.number)}</span>
        </button>
        <button
          type="button"
          className="btn"
          aria-haspopup="dialog"
          disabled={!may.ok}
          onClick={() => onAct("date", reason)}
        >
          Other date…
        </button>
        <button
          type="button"
          className="btn"
          aria-haspopup="dialog"
          disabled={!may.ok}
          onClick={() => onAct("defer", reason)}
        >
          Ask later…
        </button>
        <button
          type="button"
          className="btn"
          aria-haspopup="dialog"
          disabled={!may.ok}
          onClick={() => onAct("reject", reason)}
        >
          Reject…
        </button>
      </div>
      {may.why ? <p className="cap">Answering {may.why}.</p> : null}
    </>
  );
}
