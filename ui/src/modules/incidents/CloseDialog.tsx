import { useState } from "react";
import type { IncidentDetail, IncidentUpdate } from "../../api/types";
import { CancelButton, Dialog } from "../../ui/Dialog";
import { incidentNo } from "../../ui/format";
import { ProblemNote } from "../../ui/Note";
import { Reason } from "./dialogs";

/** A dismissal ends; what comes back after it escalates. */
const DISMISS_H = [8, 24, 72] as const;

interface CloseProps {
  kind: "dismiss" | "resolve";
  incident: IncidentDetail;
  busy: boolean;
  error: unknown;
  onClose: () => void;
  onDone: (change: IncidentUpdate) => void;
}

/** Ends an incident for a while, or for good; both want a reason. */
export function CloseDialog({ kind, incident, busy, error, onClose, onDone }: CloseProps) {
  const [reason, setReason] = useState("");
  const [missing, setMissing] = useState(false);
  const [hours, setHours] = useState<number>(DISMISS_H[0]);
  const no = incidentNo(incident.number);
  const dismiss = kind === "dismiss";
  const submit = () => {
    const text = reason.trim();
    if (!text) return setMissing(true);
    if (!dismiss) return onDone({ state: "resolved", note: text });
    return onDone({
      dismissal: { reason: text, until: new Date(Date.now() + hours * 3_600_000).toISOString() },
    });
  };
  return (
    <Dialog
      title={dismiss ? `Dismiss ${no}` : `Resolve ${no}`}
      lead={
        dismiss
          ? "It comes back when the time is over and the cause is not. Dismissed twice, it escalates."
          : "Say what it was; the next one like it will be compared with this."
      }
      onClose={onClose}
      onSubmit={submit}
      foot={
        <>
          <CancelButton onClick={onClose} />
          <button type="submit" className="btn pri" disabled={busy}>
            {dismiss ? `Dismiss ${no} for ${hours} h` : `Resolve ${no}`}
          </button>
        </>
      }
    >
      {error ? <ProblemNote error={error} /> : null}
      {dismiss ? (
        <fieldset className="field bare">
          <legend className="label">For</legend>
          <div className="seg">
            {DISMISS_H.map((each) => (
              <button key={each} type="button" aria-pressed={each === hours} onClick={() => setHours(each)}>
                {each} h
              </button>
            ))}
          </div>
        </fieldset>
      ) : null}
      {dismiss && incident.dismissals > 0 ? (
        <div className="note">
          <span className="t">
            <span>Dismissed before: {incident.dismissals}×. Once more asks for a decision.</span>
          </span>
        </div>
      ) : null}
      <Reason
        id="incident-reason"
        label={dismiss ? "Reason" : "What it was"}
        value={reason}
        missing={missing}
        onChange={setReason}
      />
    </Dialog>
  );
}
