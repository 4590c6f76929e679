import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type DeadLetter, discardLetter, lettersQuery, replayLetter } from "../../api/sources";
import { useMay } from "../../shell/hooks";
import { CancelButton, Dialog } from "../../ui/Dialog";
import { moment, plural, shortId } from "../../ui/format";
import { Empty, Loading, ProblemNote } from "../../ui/Note";
import { Panel } from "../../ui/Panel";
import { Snippet } from "../../ui/Snippet";
import { useNow } from "../../ui/time";
import { toast } from "../../ui/toasts";

const SHOWN = 5;
const NEW_MS = 3_600_000;

const title = (letter: DeadLetter) => `${letter.event.type} → ${letter.agent}`;

export function DeadLetters() {
  const client = useQueryClient();
  const list = useQuery(lettersQuery);
  const may = useMay("engineer");
  const now = useNow(60_000);
  const [all, setAll] = useState(false);
  const [discarding, setDiscarding] = useState<DeadLetter | null>(null);
  const replay = useMutation({
    mutationFn: (letter: DeadLetter) => replayLetter(letter.id),
    onSuccess: (letter) => toast({ text: `${letter.event.type} goes to ${letter.agent} once more` }),
    onSettled: () => client.invalidateQueries({ queryKey: ["dead-letters"] }),
  });
  const waiting = (list.data?.items ?? []).filter((letter) => letter.state === "waiting");
  const fresh = waiting.filter((letter) => now - Date.parse(letter.dead_at) < NEW_MS).length;
  const shown = all ? waiting : waiting.slice(0, SHOWN);
  return (
    <Panel
      title="Dead letters"
      id="dead-letters"
      meta={list.data ? `${waiting.length} kept, ${fresh} new` : undefined}
    >
      {list.error ? (
        <div className="in">
          <ProblemNote error={list.error} retry={() => void list.refetch()} />
        </div>
      ) : null}
      {replay.error ? (
        <div className="in">
          <ProblemNote error={replay.error} what="It was not replayed" />
        </div>
      ) : null}
      {list.isPending ? <Loading what="Reading dead letters" /> : null}
      {list.isSuccess && waiting.length === 0 ? (
        <Empty title="Nothing is stuck" picture="rows">
          An event that an agent could not handle, three times over, waits here with its cause until somebody
          replays or discards it.
        </Empty>
      ) : null}
      <ul className="list">
        {shown.map((letter) => (
          <li key={letter.id} data-letter={letter.id}>
            <div className="t">
              <h3 className="breaks">{title(letter)}</h3>
              <span className="sm breaks">
                {letter.error}
                {letter.attempts > 0 ? (
                  <span className="dim"> · {plural(letter.attempts, "try", "tries")}</span>
                ) : null}
              </span>
              <span className="sm dim">
                {moment(letter.dead_at, now)}, evt {shortId(letter.event.id)}
              </span>
              <details>
                <summary>
                  Event<span className="sr"> of {title(letter)}</span>
                </summary>
                <Snippet>{JSON.stringify(letter.event, null, 2)}</Snippet>
              </details>
            </div>
            <button
              type="button"
              className="btn s"
              disabled={!may.ok || replay.isPending}
              title={may.why ?? undefined}
              onClick={() => replay.mutate(letter)}
            >
              Replay<span className="sr"> {title(letter)}</span>
            </button>
            <button
              type="button"
              className="btn s quiet"
              aria-haspopup="dialog"
              disabled={!may.ok}
              title={may.why ?? undefined}
              onClick={() => setDiscarding(letter)}
            >
              Discard…<span className="sr"> {title(letter)}</span>
            </button>
          </li>
        ))}
      </ul>
      {waiting.length > SHOWN ? (
        <p className="in cap">
          <button type="button" className="linky" onClick={() => setAll(!all)}>
            {all ? "Show fewer" : `Show all ${waiting.length}`}
          </button>
        </p>
      ) : null}
      {may.why && waiting.length > 0 ? <p className="in cap">Settling {may.why}.</p> : null}
      {discarding ? <DiscardDialog letter={discarding} onClose={() => setDiscarding(null)} /> : null}
    </Panel>
  );
}

function DiscardDialog({ letter, onClose }: { letter: DeadLetter; onClose: () => void }) {
  const client = useQueryClient();
  const [reason, setReason] = useState("");
  const [missing, setMissing] = useState(false);
  const discard = useMutation({
    mutationFn: (why: string) => discardLetter(letter.id, why),
    onSuccess: () => {
      toast({ text: "Dead letter discarded", detail: "It stays readable in the log." });
      onClose();
    },
    onSettled: () => client.invalidateQueries({ queryKey: ["dead-letters"] }),
  });
  return (
    <Dialog
      title={`Discard ${letter.event.type}`}
      lead={`${letter.agent} will never handle it. This cannot be undone.`}
      onClose={onClose}
      onSubmit={() => {
        const why = reason.trim();
        if (!why) return setMissing(true);
        discard.mutate(why);
      }}
      foot={
        <>
          <CancelButton onClick={onClose} />
          <button type="submit" className="btn pri" disabled={discard.isPending}>
            Discard {letter.event.type}
          </button>
        </>
      }
    >
      {discard.error ? <ProblemNote error={discard.error} what="It was not discarded" /> : null}
      <div className="field">
        <label htmlFor="discard-reason">Reason</label>
        <textarea
          id="discard-reason"
          className="input"
          rows={2}
          value={reason}
          aria-invalid={missing}
          aria-describedby={missing ? "discard-hint" : undefined}
          onChange={(event) => setReason(event.target.value)}
        />
        {missing ? (
          <p className="hint" id="discard-hint">
            <b>Say in a few words why.</b>
          </p>
        ) : null}
      </div>
    </Dialog>
  );
}
