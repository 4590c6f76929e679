import { useState } from "react";
import type { Alert } from "../../api/types";
import { CancelButton, Dialog } from "../../ui/Dialog";
import { clock, day, sensorName, withoutAsset } from "../../ui/format";
import { ProblemNote } from "../../ui/Note";

const HOUR = 3_600_000;
/** The longer something may hide, the less it may matter. */
const MOST_H: Record<number, number> = { 1: 1, 2: 4, 3: 12, 4: 72 };

function choices(alert: Alert, now: number): { label: string; at: number }[] {
  const most = MOST_H[alert.priority] ?? 12;
  return [1, 4, 8, 12, 24, 72]
    .filter((h) => h <= most)
    .slice(0, 4)
    .map((h) => ({ label: `${h} h`, at: now + h * HOUR }));
}

const until = (at: number, now: number) =>
  new Date(at).toDateString() === new Date(now).toDateString() ? clock(at) : `${day(at)} ${clock(at)}`;

interface ShelveProps {
  alert: Alert;
  busy: boolean;
  error: unknown;
  onClose: () => void;
  onShelve: (reason: string, untilIso: string) => void;
}

export function ShelveDialog({ alert, busy, error, onClose, onShelve }: ShelveProps) {
  const [now] = useState(() => Date.now());
  const offered = choices(alert, now);
  const [at, setAt] = useState(offered[0]?.at ?? now + HOUR);
  const [reason, setReason] = useState("");
  const [missing, setMissing] = useState(false);
  const most = MOST_H[alert.priority] ?? 12;

  const submit = () => {
    if (!reason.trim()) setMissing(true);
    else onShelve(reason.trim(), new Date(at).toISOString());
  };

  return (
    <Dialog
      title={`Shelve ${sensorName(alert.sensor)}: ${withoutAsset(alert.title, alert.asset).toLowerCase()}`}
      lead="It stays listed under Shelved and returns by itself."
      onClose={onClose}
      onSubmit={submit}
      foot={
        <>
          <CancelButton onClick={onClose} />
          <button type="submit" className="btn pri" disabled={busy}>
            Shelve until {until(at, now)}
          </button>
        </>
      }
    >
      {error ? <ProblemNote error={error} /> : null}
      <fieldset className="field bare">
        <legend className="label">Until</legend>
        <div className="rowf">
          <div className="seg">
            {offered.map((choice) => (
              <button
                key={choice.label}
                type="button"
                aria-pressed={choice.at === at}
                onClick={() => setAt(choice.at)}
              >
                {choice.label}
              </button>
            ))}
          </div>
          <span className="sm dim">
            at most {most} h for priority {alert.priority}
          </span>
        </div>
      </fieldset>
      <Reason id="shelve-reason" value={reason} missing={missing} onChange={setReason} />
    </Dialog>
  );
}

interface ReasonProps {
  id: string;
  label?: string;
  value: string;
  missing: boolean;
  placeholder?: string;
  rows?: number;
  onChange: (value: string) => void;
}

export function Reason({
  id,
  label = "Reason",
  value,
  missing,
  placeholder,
  rows = 2,
  onChange,
}: ReasonProps) {
  const wrong = missing && !value.trim();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <textarea
        className="input"
        id={id}
        rows={rows}
        value={value}
        placeholder={placeholder ?? "Kept in the log with your name"}
        aria-invalid={wrong}
        aria-describedby={wrong ? `${id}-hint` : undefined}
        onChange={(event) => onChange(event.target.value)}
      />
      {wrong ? (
        <p className="hint ink" id={`${id}-hint`}>
          <b>Say in a few words why.</b>
        </p>
      ) : null}
    </div>
  );
}

interface ResolveProps {
  alert: Alert;
  busy: boolean;
  error: unknown;
  onClose: () => void;
  onResolve: (resolution: string) => void;
}

export function ResolveDialog({ alert, busy, error, onClose, onResolve }: ResolveProps) {
  const [text, setText] = useState("");
  const [missing, setMissing] = useState(false);
  return (
    <Dialog
      title={`Resolve ${sensorName(alert.sensor)}: ${withoutAsset(alert.title, alert.asset).toLowerCase()}`}
      lead="This ends the alarm for good and cannot be undone. A new fault raises a new alarm."
      onClose={onClose}
      onSubmit={() => (text.trim() ? onResolve(text.trim()) : setMissing(true))}
      foot={
        <>
          <CancelButton onClick={onClose} />
          <button type="submit" className="btn pri" disabled={busy}>
            Resolve A-{alert.number}
          </button>
        </>
      }
    >
      {error ? <ProblemNote error={error} /> : null}
      <Reason
        id="resolution"
        label="What was found and done"
        value={text}
        missing={missing}
        onChange={setText}
        placeholder="Loose connector tightened"
      />
    </Dialog>
  );
}
