import type { Notification } from "../../api/types";
import { moment, readable } from "../../ui/format";
import { Empty } from "../../ui/Note";
import { useNow } from "../../ui/time";

const CHANNEL: Record<Notification["channel"], string> = {
  in_app: "here",
  email: "e-mail",
  webhook: "webhook",
};

const STATE: Record<Notification["state"], string> = {
  pending: "waits",
  sending: "is being sent",
  sent: "delivered",
  failed: "failed",
  unknown: "outcome unknown, look at the receiver",
};

export function MessageList({ messages, most = 30 }: { messages: readonly Notification[]; most?: number }) {
  const now = useNow(60_000);
  if (messages.length === 0) {
    return (
      <Empty title="No messages yet" picture="rows">
        When an alarm is raised or work is scheduled, the people concerned are told here, by e-mail or by
        webhook.
      </Empty>
    );
  }
  return (
    <ul className="list flush">
      {messages.slice(0, most).map((message) => (
        <li key={message.notification_id}>
          <div className="t">
            <h3>{message.title}</h3>
            <p className="sm lines">{readable(message.body)}</p>
            <p className="sm dim">
              {CHANNEL[message.channel]}
              {message.channel === "in_app" ? "" : ` to ${message.to}`} · {STATE[message.state]}
              {message.attempts > 1 ? ` after ${message.attempts} tries` : ""}
              {message.error ? ` · ${message.error}` : ""}
            </p>
          </div>
          <span className="sm dim nowrap">{moment(message.created_at, now)}</span>
        </li>
      ))}
    </ul>
  );
}
