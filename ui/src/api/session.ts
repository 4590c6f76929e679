/** The key of this tab. It lives in sessionStorage only: closing the tab forgets it. */

const SLOT = "plainview.key";
const listeners = new Set<() => void>();
let current: string | null = null;

function read(): string | null {
  try {
    return sessionStorage.getItem(SLOT);
  } catch {
    // Storage can be switched off; the key then lives as long as the page.
    return current;
  }
}

export function currentKey(): string | null {
  return current ?? read();
}

export function setKey(key: string | null): void {
  current = key;
  try {
    if (key) sessionStorage.setItem(SLOT, key);
    else sessionStorage.removeItem(SLOT);
  } catch {
    // See read().
  }
  for (const listener of listeners) listener();
}

export function onKeyChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Takes `#key=pv_…` out of the address, so that it is neither shared nor kept in the history. */
export function adoptKeyFromFragment(location: Location, history: History): void {
  const match = /^#(?:.*&)?key=([^&]+)/.exec(location.hash);
  if (!match?.[1]) return;
  setKey(decodeURIComponent(match[1]));
  history.replaceState(history.state, "", location.pathname + location.search);
}
