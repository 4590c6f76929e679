import { type ReactNode, useSyncExternalStore } from "react";
import type { Priority } from "../api/types";
import { Glyph } from "./Glyph";
import { Words } from "./Words";

const STAYS_MS = 6000;
const MOST = 4;

interface Toast {
  id: number;
  text: ReactNode;
  detail?: ReactNode;
  priority?: Priority;
  action?: { label: string; run: () => void };
}

let toasts: readonly Toast[] = [];
let counter = 0;
const listeners = new Set<() => void>();

function change(next: readonly Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

export function dismiss(id: number): void {
  change(toasts.filter((toast) => toast.id !== id));
}

/** Confirms or announces. It leaves by itself, except for priority 1. */
export function toast(content: Omit<Toast, "id">): void {
  counter += 1;
  const id = counter;
  change([...toasts, { ...content, id }].slice(-MOST));
  if (content.priority !== 1) setTimeout(() => dismiss(id), STAYS_MS);
}

export function Toasts() {
  const shown = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => toasts,
  );
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map((one) => (
        <div className="toast" key={one.id} role={one.priority === 1 ? "alert" : undefined}>
          {one.priority ? <Glyph p={one.priority} /> : null}
          <span className="t">
            <b>{typeof one.text === "string" ? <Words>{one.text}</Words> : one.text}</b>
            {one.detail ? <span>{one.detail}</span> : null}
          </span>
          {one.action ? (
            <button
              type="button"
              className="btn s"
              onClick={() => {
                one.action?.run();
                dismiss(one.id);
              }}
            >
              {one.action.label}
            </button>
          ) : null}
          {one.priority === 1 ? (
            <button type="button" className="btn quiet s" onClick={() => dismiss(one.id)}>
              Close
            </button>
          ) : null}
        </div>
      ))}
    </div>
  );
}
