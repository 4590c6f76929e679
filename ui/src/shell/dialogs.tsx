import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useContext, useState } from "react";
import { api, Problem, take } from "../api/http";
import { meQuery, notificationsQuery } from "../api/queries";
import { currentKey, setKey } from "../api/session";
import { MessageList } from "../modules/notifications/Messages";
import { CancelButton, Dialog } from "../ui/Dialog";
import { Loading, ProblemNote } from "../ui/Note";
import { toast } from "../ui/toasts";
import { StreamContext } from "./hooks";

export function KeyDialog({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const stream = useContext(StreamContext);
  const me = useQuery(meQuery);
  const [value, setValue] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const known = currentKey() !== null;

  const adopt = async () => {
    const key = value.trim();
    if (!key) {
      setError(
        new Problem({
          status: 422,
          title: "There is no key yet",
          detail: "Paste the key that begins with pv_.",
        }),
      );
      return;
    }
    const before = currentKey();
    setBusy(true);
    setKey(key);
    try {
      const who = await take(api.GET("/api/v1/me"));
      if (!who.role) throw new Problem({ status: 401, title: "Plainview does not know this key" });
      stream?.restart();
      await client.invalidateQueries();
      toast({ text: `You are ${who.name}`, detail: `Role ${who.role}` });
      onClose();
    } catch (cause) {
      setKey(before);
      setError(cause);
    } finally {
      setBusy(false);
    }
  };

  const forget = () => {
    setKey(null);
    stream?.restart();
    void client.invalidateQueries();
    onClose();
  };

  return (
    <Dialog
      title={known ? `You are ${me.data?.name ?? "known"}` : "Enter a key"}
      lead="The key stays in this tab and is forgotten when the tab is closed."
      onClose={onClose}
      onSubmit={() => void adopt()}
      foot={
        <>
          {known ? (
            <button type="button" className="btn quiet" onClick={forget}>
              Forget the key
            </button>
          ) : null}
          <CancelButton onClick={onClose} />
          <button type="submit" className="btn pri" disabled={busy}>
            Use this key
          </button>
        </>
      }
    >
      {error ? <ProblemNote error={error} /> : null}
      <div className="field">
        <label htmlFor="key">Key</label>
        <input
          className="input mono"
          id="key"
          type="password"
          autoComplete="off"
          spellCheck={false}
          value={value}
          onChange={(event) => setValue(event.target.value)}
          placeholder="pv_…"
        />
        <p className="hint">
          An administrator makes one with <code>plainview keys create --role operator</code>.
        </p>
      </div>
    </Dialog>
  );
}

const KEYS: [string[], string][] = [
  [["Ctrl", "K"], "find or do"],
  [["G", "O"], "Overview"],
  [["G", "A"], "Alarms & incidents"],
  [["G", "D"], "Decisions"],
  [["G", "W"], "Workbench"],
  [["G", "C"], "Connect & admin"],
  [["A"], "acknowledge the selected alarms"],
  [["S"], "shelve the selected alarm"],
  [["["], "earlier, in the Workbench"],
  [["]"], "later, in the Workbench"],
  [["L"], "back to live, in the Workbench"],
  [["\u2190"], "move the crosshair of the plots, with Shift the window"],
  [["+"], "look closer, − wider, in the plots"],
  [["Esc"], "close"],
  [["?"], "all keys"],
];

export function KeysDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog
      title="Keys"
      lead="Nothing in the plant moves from a single key."
      onClose={onClose}
      foot={
        <button type="button" className="btn" onClick={onClose}>
          Close <kbd className="hide-phone">Esc</kbd>
        </button>
      }
    >
      <dl className="keys">
        {KEYS.map(([keys, what]) => (
          <div key={what} style={{ display: "contents" }}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

export function MessagesDialog({ onClose }: { onClose: () => void }) {
  const messages = useQuery(notificationsQuery);
  return (
    <Dialog
      title="Messages"
      lead="What Plainview told people, and whether it arrived."
      onClose={onClose}
      wide
      foot={
        <button type="button" className="btn" onClick={onClose}>
          Close
        </button>
      }
    >
      {messages.error ? <ProblemNote error={messages.error} retry={() => void messages.refetch()} /> : null}
      {messages.isPending ? <Loading what="Reading messages" /> : null}
      {messages.data ? <MessageList messages={messages.data.items} /> : null}
    </Dialog>
  );
}
