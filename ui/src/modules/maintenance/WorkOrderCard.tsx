import { useState } from "react";
import type { Completion, Verdict, WorkOrder } from "../../api/types";
import { CancelButton, Dialog } from "../../ui/Dialog";
import { clock, day, sentence, workNo } from "../../ui/format";
import { ProblemNote } from "../../ui/Note";
import { VERDICTS } from "./words";

const span = (work: WorkOrder) => {
  const sameDay = new Date(work.starts_at).toDateString() === new Date(work.ends_at).toDateString();
  return `${day(work.starts_at)} ${clock(work.starts_at)} to ${sameDay ? "" : `${day(work.ends_at)} `}${clock(work.ends_at)}`;
};

interface Props {
  work: WorkOrder;
  may: { ok: boolean; why: string | null };
  busy: boolean;
  error: unknown;
  onComplete: (completion: Completion, done: () => void) => void;
}

/** What an approval led to. */
export function WorkOrderCard({ work, may, busy, error, onComplete }: Props) {
  const [closing, setClosing] = useState(false);
  const { completion } = work;
  return (
    <div className="note work-order" data-testid="work-order">
      <div className="t">
        <b>
          {workNo(work.number)} {work.title}
        </b>
        <dl className="kv left">
          <dt>{sentence(work.state)}</dt>
          <dd>{span(work)}</dd>
          <dt>Who</dt>
          <dd>{work.assignee ?? (work.skill ? `anyone with skill ${work.skill}` : "not assigned yet")}</dd>
          {work.approved_by ? (
            <>
              <dt>Approved by</dt>
              <dd>{work.approved_by}</dd>
            </>
          ) : null}
          {completion ? (
            <>
              <dt>Verdict</dt>
              <dd>
                {VERDICTS[completion.verdict]}, says {completion.completed_by}
                {completion.notes ? `: ${completion.notes}` : ""}
              </dd>
            </>
          ) : null}
        </dl>
      </div>
      {work.state === "scheduled" ? (
        <button
          type="button"
          className="btn s"
          disabled={!may.ok}
          title={may.why ?? undefined}
          onClick={() => setClosing(true)}
        >
          Close the work…
        </button>
      ) : null}
      {closing ? (
        <CompleteDialog
          work={work}
          busy={busy}
          error={error}
          onClose={() => setClosing(false)}
          onComplete={(done) => onComplete(done, () => setClosing(false))}
        />
      ) : null}
    </div>
  );
}

interface CompleteProps {
  work: WorkOrder;
  busy: boolean;
  error: unknown;
  onClose: () => void;
  onComplete: (completion: Completion) => void;
}

type CodeField = "failure_mode" | "failure_mechanism" | "failure_cause";

/** The codes of the server, in the spirit of ISO 14224: what is coded can be counted. */
const CODES: { field: CodeField; name: string; codes: string[] }[] = [
  {
    field: "failure_mode",
    name: "How it failed",
    codes:
      "vibration overheating noise external_leak internal_leak low_output high_output erratic_output fails_to_start fails_to_stop stops_unasked fails_to_open fails_to_close false_reading blocked structural_defect other".split(
        " ",
      ),
  },
  {
    field: "failure_mechanism",
    name: "Mechanism",
    codes:
      "wear fatigue corrosion erosion misalignment looseness imbalance cavitation clogging sticking overload lubrication_loss electrical instrument software external unknown".split(
        " ",
      ),
  },
  {
    field: "failure_cause",
    name: "Cause",
    codes: "design manufacture installation operation maintenance age environment unknown".split(" "),
  },
];

function CompleteDialog({ work, busy, error, onClose, onComplete }: CompleteProps) {
  const [verdict, setVerdict] = useState<Verdict>("confirmed");
  const [codes, setCodes] = useState<Record<string, string>>({});
  const [notes, setNotes] = useState("");
  const [missing, setMissing] = useState(false);
  const submit = () => {
    if (!notes.trim()) return setMissing(true);
    const filled = Object.fromEntries(Object.entries(codes).filter(([, value]) => value.trim()));
    return onComplete({ verdict, notes: notes.trim(), ...filled });
  };
  return (
    <Dialog
      title={`Close ${workNo(work.number)}`}
      lead="Your verdict tells the model whether it was right."
      onClose={onClose}
      onSubmit={submit}
      foot={
        <>
          <CancelButton onClick={onClose} />
          <button type="submit" className="btn pri" disabled={busy}>
            Close {workNo(work.number)}
          </button>
        </>
      }
    >
      {error ? <ProblemNote error={error} /> : null}
      <div className="field">
        <label htmlFor="verdict">Verdict</label>
        <select
          className="input"
          id="verdict"
          value={verdict}
          onChange={(event) => setVerdict(event.target.value as Verdict)}
        >
          {(Object.keys(VERDICTS) as Verdict[]).map((each) => (
            <option key={each} value={each}>
              {VERDICTS[each]}
            </option>
          ))}
        </select>
      </div>
      {verdict === "confirmed"
        ? CODES.map(({ field, name, codes: offered }) => (
            <div className="field" key={field}>
              <label htmlFor={field}>{name}</label>
              <select
                className="input"
                id={field}
                value={codes[field] ?? ""}
                onChange={(event) => setCodes({ ...codes, [field]: event.target.value })}
              >
                <option value="">Not known</option>
                {offered.map((code) => (
                  <option key={code} value={code}>
                    {sentence(code.replaceAll("_", " "))}
                  </option>
                ))}
              </select>
            </div>
          ))
        : null}
      <div className="field">
        <label htmlFor="notes">What was found</label>
        <textarea
          className="input"
          id="notes"
          rows={2}
          value={notes}
          aria-invalid={missing && !notes.trim()}
          onChange={(event) => setNotes(event.target.value)}
        />
        {missing && !notes.trim() ? (
          <p className="hint ink">
            <b>Say in a few words what was found.</b>
          </p>
        ) : null}
      </div>
    </Dialog>
  );
}
