import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type Key, keysQuery, makeKey, type NewKey, revokeKey } from "../../api/sources";
import type { Role } from "../../api/types";
import { useMay } from "../../shell/hooks";
import { CopyButton } from "../../ui/CopyButton";
import { CancelButton, Dialog } from "../../ui/Dialog";
import { day, duration } from "../../ui/format";
import { Icon } from "../../ui/Icon";
import { Empty, Loading, ProblemNote } from "../../ui/Note";
import { Panel } from "../../ui/Panel";
import { Scroll } from "../../ui/Scroll";
import { Snippet } from "../../ui/Snippet";
import { useNow } from "../../ui/time";
import { toast } from "../../ui/toasts";

const ROLES: readonly Role[] = ["ingest", "viewer", "operator", "engineer", "admin"];
const DOES: Record<Role, string> = {
  ingest: "may hand in readings and nothing else",
  viewer: "may look",
  operator: "may acknowledge, decide and act",
  engineer: "may change sensors and sources",
  admin: "may make and end keys",
};

const isOver = (key: Key, now: number) =>
  key.revoked_at != null || (key.expires_at != null && Date.parse(key.expires_at) < now);

export function Keys() {
  const may = useMay("admin");
  const list = useQuery({ ...keysQuery, enabled: may.ok });
  const now = useNow(60_000);
  const [dialog, setDialog] = useState<"make" | Key | null>(null);
  const keys = [...(list.data?.items ?? [])].sort(
    (a, b) =>
      Number(isOver(a, now)) - Number(isOver(b, now)) || Date.parse(b.created_at) - Date.parse(a.created_at),
  );
  const live = keys.filter((key) => !isOver(key, now));
  return (
    <Panel title="Keys" id="keys" meta={list.data ? `${live.length} in use` : undefined}>
      {may.ok || !may.why ? null : (
        <div className="in">
          <div className="note">
            <Icon name="key" />
            <span className="t">
              <b>You may look, not make keys.</b>
              <span>Seeing and making keys {may.why}.</span>
            </span>
          </div>
        </div>
      )}
      {list.error ? (
        <div className="in">
          <ProblemNote error={list.error} retry={() => void list.refetch()} />
        </div>
      ) : null}
      {may.ok && list.isPending ? <Loading what="Reading keys" /> : null}
      {list.isSuccess && keys.length === 0 ? (
        <Empty title="No key was made here" picture="rows">
          Keys from the settings file are not listed. Make one for each agent, so that each can be ended
          alone.
        </Empty>
      ) : null}
      {keys.length > 0 ? (
        <Scroll label="Keys table" className="keylist">
          <table className="tbl">
            <thead>
              <tr>
                <th scope="col">Key</th>
                <th scope="col">Role</th>
                <th scope="col">Last used</th>
                <th scope="col" className="r">
                  <span className="sr">Do</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {keys.map((key) => (
                <tr key={key.id}>
                  <td className="k" title={`pv_${key.prefix}_…, made ${day(key.created_at)}`}>
                    {key.name}
                  </td>
                  <td>{key.role}</td>
                  <td className="nowrap">
                    {key.last_used_at
                      ? `${duration((now - Date.parse(key.last_used_at)) / 1000)} ago`
                      : "never"}
                  </td>
                  <td className="act">
                    {key.revoked_at ? (
                      <span className="sm dim">ended {day(key.revoked_at)}</span>
                    ) : isOver(key, now) ? (
                      <span className="sm dim">expired</span>
                    ) : (
                      <button
                        type="button"
                        className="btn s quiet"
                        aria-haspopup="dialog"
                        onClick={() => setDialog(key)}
                      >
                        Revoke…<span className="sr"> {key.name}</span>
                      </button>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      ) : null}
      {may.ok ? (
        <div className="in no-line">
          <button type="button" className="btn s" aria-haspopup="dialog" onClick={() => setDialog("make")}>
            Make a key…
          </button>
        </div>
      ) : null}
      {dialog === "make" ? (
        <MakeDialog onClose={() => setDialog(null)} />
      ) : dialog ? (
        <RevokeDialog own={dialog} onClose={() => setDialog(null)} />
      ) : null}
    </Panel>
  );
}

function MakeDialog({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [made, setMade] = useState<NewKey | null>(null);
  const make = useMutation({
    mutationFn: () => makeKey(name.trim(), role),
    onSuccess: (key) => {
      setMade(key);
      void client.invalidateQueries({ queryKey: ["keys"] });
    },
  });
  if (made) {
    return (
      <Dialog
        title={`Key ${made.name}`}
        lead="It is shown this once and cannot be had again."
        onClose={onClose}
        foot={
          <button type="button" className="btn" onClick={onClose}>
            I have it
          </button>
        }
      >
        <Snippet>{made.secret}</Snippet>
        <div>
          <CopyButton text={made.secret} what="the key" />
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog
      title="Make a key"
      lead="One for each person and each agent, so that each can be ended alone."
      onClose={onClose}
      onSubmit={() => name.trim() && make.mutate()}
      foot={
        <>
          <CancelButton onClick={onClose} />
          <button type="submit" className="btn pri" disabled={!name.trim() || make.isPending}>
            Make key {name.trim()}
          </button>
        </>
      }
    >
      {make.error ? <ProblemNote error={make.error} what="The key was not made" /> : null}
      <div className="field">
        <label htmlFor="key-name">Name</label>
        <input
          id="key-name"
          className="input"
          value={name}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => setName(event.target.value)}
        />
      </div>
      <div className="field">
        <label htmlFor="key-role">Role</label>
        <select
          id="key-role"
          className="input"
          value={role}
          onChange={(event) => setRole(event.target.value as Role)}
        >
          {ROLES.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
        <p className="hint">It {DOES[role]}.</p>
      </div>
    </Dialog>
  );
}

function RevokeDialog({ own, onClose }: { own: Key; onClose: () => void }) {
  const client = useQueryClient();
  const revoke = useMutation({
    mutationFn: () => revokeKey(own.id),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["keys"] });
      toast({ text: `Key ${own.name} ended` });
      onClose();
    },
  });
  return (
    <Dialog
      title={`Revoke ${own.name}`}
      lead="Whoever uses it is refused from this moment. This cannot be undone."
      onClose={onClose}
      onSubmit={() => revoke.mutate()}
      foot={
        <>
          <CancelButton onClick={onClose} />
          <button type="submit" className="btn pri" disabled={revoke.isPending}>
            Revoke {own.name}
          </button>
        </>
      }
    >
      {revoke.error ? <ProblemNote error={revoke.error} what="The key was not revoked" /> : null}
    </Dialog>
  );
}
