import { useState } from "react";
import type { Decision, DecisionAnswer } from "../../api/types";
import { CancelButton, Dialog } from "../../ui/Dialog";
import { decisionNo, duration } from "../../ui/format";
import { ProblemNote } from "../../ui/Note";
import { localInput } from "../../ui/time";

export type Act = "approve" | "date" | "reject" | "defer";

interface Props {
  act: Act;
  decision: Decision;
  /** What was written in the panel already. */
  reason: string;
  busy: boolean;
  error: unknown;
  onClose: () => void;
  onAnswer: (answer: DecisionAnswer) => void;
}

const WORDS: Record<Act, { title: string; lead: string }> = {
  approve: { title: "Approve", lead: "The work goes on the calendar and the people concerned are told." },
  date: { title: "Approve for another date:", lead: "The work is approved and starts when you say." },
  reject: { title: "Reject", lead: "No work is planned. The model learns from your reason." },
  defer: { title: "Ask again later:", lead: "The question comes back by itself." },
};

export function AnswerDialog({ act, decision, reason: given, busy, error, onClose, onAnswer }: Props) {
  const [reason, setReason] = useState(given);
  const [missing, setMissing] = useState(false);
  const [at, setAt] = useState(() =>
    localInput(act === "defer" ? Date.now() + 86_400_000 : Date.parse(decision.proposal.due_from)),
  );
  const no = decisionNo(decision.number);
  const dated = act === "date" || act === "defer";
  const when = new Date(at);
  const past = dated && !(when.getTime() > Date.now());

  const submit = () => {
    const text = reason.trim();
    if (!text || past) return setMissing(true);
    const answer: DecisionAnswer = {
      decision_id: decision.decision_id,
      decision: act === "reject" ? "reject" : act === "defer" ? "defer" : "approve",
      reason: text,
    };
    if (act === "date") answer.starts_at = when.toISOString();
    if (act === "defer") answer.deferred_until = when.toISOString();
    return onAnswer(answer);
  };

  const noReason = missing && !reason.trim();
  return (
    <Dialog
      title={`${WORDS[act].title} ${no}`}
      lead={`${decision.title}. ${WORDS[act].lead}`}
      onClose={onClose}
      onSubmit={submit}
      foot={
        <>
          <CancelButton onClick={onClose} />
          <button type="submit" className="btn pri" disabled={busy}>
            {act === "reject" ? `Reject ${no}` : act === "defer" ? `Defer ${no}` : `Approve ${no}`}
          </button>
        </>
      }
    >
      {error ? <ProblemNote error={error} /> : null}
      {dated ? (
        <div className="field">
          <label htmlFor="answer-at">{act === "date" ? "Work starts" : "Ask again"}</label>
          <input
            className="input"
            id="answer-at"
            type="datetime-local"
            value={at}
            aria-invalid={missing && past}
            onChange={(event) => setAt(event.target.value)}
          />
          {missing && past ? (
            <p className="hint ink">
              <b>Choose a time that is still to come.</b>
            </p>
          ) : act === "date" ? (
            <p className="hint">It takes {duration(decision.proposal.duration_h * 3600)}.</p>
          ) : null}
        </div>
      ) : null}
      <div className="field">
        <label htmlFor="answer-reason">Reason</label>
        <textarea
          className="input"
          id="answer-reason"
          rows={3}
          value={reason}
          placeholder="Kept in the log with your name"
          aria-invalid={noReason}
          onChange={(event) => setReason(event.target.value)}
        />
        {noReason ? (
          <p className="hint ink">
            <b>Say in a few words why.</b>
          </p>
        ) : null}
      </div>
    </Dialog>
  );
}
