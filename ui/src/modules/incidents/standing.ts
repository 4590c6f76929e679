import type { Alert } from "../../api/types";

/** Standing: raised and not put aside. A returned one that nobody has seen still stands. */
export function stands(alert: Alert): boolean {
  return (
    alert.state === "unacknowledged" ||
    alert.state === "acknowledged" ||
    alert.state === "returned_unacknowledged"
  );
}

export const unseen = (alert: Alert) =>
  alert.state === "unacknowledged" || alert.state === "returned_unacknowledged";
