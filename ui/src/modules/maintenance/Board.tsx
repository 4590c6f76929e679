import { type CSSProperties, type ReactNode, useState } from "react";
import type { Decision, DecisionState } from "../../api/types";
import { decisionNo } from "../../ui/format";
import { Glyph } from "../../ui/Glyph";
import { OriginTag } from "../../ui/Note";
import { Words } from "../../ui/Words";
import { byAnswer, byUrgency, cardWords, cornerWords, priorityOf } from "./words";

interface Props {
  decisions: readonly Decision[];
  chosen: string | undefined;
  now: number;
  picture: (decision: Decision) => ReactNode;
  onChoose: (id: string) => void;
  /** Approve and reject on the card, for one hand. */
  onAct?: (decision: Decision, act: "approve" | "reject") => void;
  mayAct: boolean;
}

const COLUMNS: { name: string; states: DecisionState[]; none: string }[] = [
  { name: "Waiting", states: ["waiting"], none: "Nothing waits for a person." },
  { name: "Approved", states: ["approved"], none: "None yet." },
  { name: "Rejected or deferred", states: ["rejected", "deferred"], none: "None yet." },
  { name: "Expired", states: ["expired"], none: "None, every question was answered." },
];

/** A board is read at a glance; older answers stay in the log. */
const MOST_WAITING = 6;
const MOST_ANSWERED = 3;

export function Board({ decisions, ...rest }: Props) {
  const [whole, setWhole] = useState<ReadonlySet<string>>(new Set());
  const waiting = decisions.filter((decision) => decision.state === "waiting").length;
  return (
    <div className={waiting > 1 ? "board" : "board even"}>
      {COLUMNS.map((column, index) => {
        const own = decisions
          .filter((decision) => column.states.includes(decision.state))
          .sort(index === 0 ? byUrgency : byAnswer);
        const id = `board-${index}`;
        const most = whole.has(column.name) ? own.length : index === 0 ? MOST_WAITING : MOST_ANSWERED;
        return (
          <section
            key={column.name}
            aria-labelledby={id}
            style={{ "--beside": Math.max(1, Math.min(own.length, most) - 1) } as CSSProperties}
          >
            <h2 id={id}>
              {column.name} <span className="dim">{own.length}</span>
            </h2>
            {own.length === 0 ? <p className="none">{column.none}</p> : null}
            {own.slice(0, most).map((decision, place) => (
              <Card
                key={decision.decision_id}
                decision={decision}
                {...rest}
                pictured={place === 0 || (place === 1 && own.length <= 3)}
              />
            ))}
            {own.length > most ? (
              <button
                type="button"
                className="btn s quiet older"
                onClick={() => setWhole(new Set(whole).add(column.name))}
              >
                Show {own.length - most} {index === 0 ? "more" : "older"}
              </button>
            ) : null}
          </section>
        );
      })}
    </div>
  );
}

function Card({
  decision,
  chosen,
  now,
  picture,
  onChoose,
  onAct,
  mayAct,
  pictured,
}: Omit<Props, "decisions"> & { decision: Decision; pictured: boolean }) {
  const id = `card-${decision.decision_id}`;
  const on = decision.decision_id === chosen;
  const waiting = decision.state === "waiting";
  return (
    <article className={on ? "panel dc on" : "panel dc"} aria-labelledby={id}>
      <div className="rowf between sm nw">
        <span className="rowf tight">
          {waiting ? <Glyph p={priorityOf(decision.severity)} /> : null}
          <span className="ink id">{decisionNo(decision.number)}</span>
        </span>
        <span className="dim nowrap">{cornerWords(decision, now)}</span>
      </div>
      <h3 id={id}>
        <button type="button" aria-pressed={on} onClick={() => onChoose(decision.decision_id)}>
          <Words>{decision.title}</Words>
        </button>
      </h3>
      {pictured ? picture(decision) : null}
      <p className="sm">{cardWords(decision)}</p>
      {decision.state === "deferred" || decision.escalated || decision.origin === "replayed" ? (
        <span className="chip-row">
          {decision.state === "deferred" ? <span className="tag">deferred</span> : null}
          {decision.escalated ? <span className="tag ink">escalated</span> : null}
          {decision.origin === "replayed" ? <OriginTag origin={decision.origin} /> : null}
        </span>
      ) : null}
      {waiting && onAct ? (
        <div className="only-phone pa">
          <div className="rowf">
            <button
              type="button"
              className="btn"
              style={{ flex: 1 }}
              disabled={!mayAct}
              onClick={() => onAct(decision, "reject")}
            >
              Reject…
            </button>
            <button
              type="button"
              className="btn pri"
              style={{ flex: 1 }}
              disabled={!mayAct}
              onClick={() => onAct(decision, "approve")}
            >
              Approve…
            </button>
          </div>
        </div>
      ) : null}
    </article>
  );
}
