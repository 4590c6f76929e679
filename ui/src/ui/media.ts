import { useSyncExternalStore } from "react";

const PHONE = "(max-width: 640px)";

function watch(listener: () => void): () => void {
  const query = window.matchMedia?.(PHONE);
  query?.addEventListener("change", listener);
  return () => query?.removeEventListener("change", listener);
}

/** Whether one column is all there is room for; the same width as in the styles. */
export function usePhone(): boolean {
  return useSyncExternalStore(watch, () => window.matchMedia?.(PHONE).matches ?? false);
}
