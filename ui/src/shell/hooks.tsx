import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { createContext, useContext, useEffect, useMemo, useSyncExternalStore } from "react";
import { meQuery, sensorsQuery, type Window } from "../api/queries";
import type { EventStream, StreamState } from "../api/stream";
import type { Role, Sensor } from "../api/types";
import { useNow } from "../ui/time";
import { DEFAULT_RANGE, RANGES, type RangeName } from "./search";

export const StreamContext = createContext<EventStream | null>(null);

export function useStream(): StreamState {
  const stream = useContext(StreamContext);
  if (!stream) throw new Error("the stream is provided by main.tsx");
  return useSyncExternalStore(stream.subscribe, stream.snapshot);
}

export interface May {
  ok: boolean;
  /** Why not, as a short sentence beside the button that is off. */
  why: string | null;
}

const RANK: readonly Role[] = ["viewer", "operator", "engineer", "admin"];

/** Whether this person may do now what needs a certain role. */
export function useMay(need: Role): May {
  const me = useQuery(meQuery);
  const stream = useStream();
  if (stream.status === "lost") return { ok: false, why: "needs a live connection" };
  if (!me.data) return { ok: false, why: null };
  const role = me.data.role;
  if (!role) return { ok: false, why: "needs a key: enter one in the account corner" };
  if (RANK.indexOf(role) < RANK.indexOf(need))
    return { ok: false, why: `needs the role ${need}; yours is ${role}` };
  return { ok: true, why: null };
}

const root = getRouteApi("__root__");

export interface RangeWindow extends Window {
  name: RangeName;
  label: string;
}

/** The time range of the page, moving with the clock in steps that a picture can follow. */
export function useRange(): RangeWindow {
  const { range } = root.useSearch();
  const name = range ?? DEFAULT_RANGE;
  const span = RANGES[name].ms;
  const to = useNow(Math.max(5000, span / 1440));
  return useMemo(() => ({ from: to - span, to, name, label: RANGES[name].name }), [to, span, name]);
}

export interface SiteView {
  sites: string[];
  /** The chosen site, or all of them. */
  site: string | undefined;
  sensors: Sensor[];
  /** Whether the server has said which sensors there are. */
  known: boolean;
  /** There are more sensors than the list holds. */
  more: boolean;
}

const NO_SENSORS: Sensor[] = [];

export function useSite(): SiteView {
  const { site } = root.useSearch();
  const list = useQuery(sensorsQuery).data;
  const known = list !== undefined;
  const more = list?.next != null;
  const all = list?.items ?? NO_SENSORS;
  return useMemo(() => {
    const sites = [...new Set(all.map((sensor) => sensor.site))].sort();
    const chosen = site && sites.includes(site) ? site : undefined;
    return { sites, site: chosen, sensors: chosen ? all.filter((s) => s.site === chosen) : all, known, more };
  }, [all, site, known, more]);
}

function typing(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || ["TEXTAREA", "SELECT"].includes(target.tagName) || isTextInput(target))
  );
}

function isTextInput(target: HTMLElement): boolean {
  return target instanceof HTMLInputElement && !["checkbox", "radio", "button"].includes(target.type);
}

/** `G` opens a short moment in which the next key names a place and nothing else. */
const PREFIX_MS = 1200;
let prefixUntil = 0;

interface KeyOptions {
  /** These keys count only right after `G`. */
  afterPrefix?: boolean;
}

/** Single keys of a page. They rest while somebody types or a dialog is open. */
export function useKeys(keys: Record<string, () => void>, { afterPrefix = false }: KeyOptions = {}): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (typing(event.target) || document.querySelector("dialog[open]")) return;
      if (Date.now() < prefixUntil !== afterPrefix) return;
      const run = keys[event.key.toLowerCase()];
      if (!run) return;
      event.preventDefault();
      if (afterPrefix) prefixUntil = 0;
      run();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [keys, afterPrefix]);
}

export const openPrefix = (): void => {
  prefixUntil = Date.now() + PREFIX_MS;
};
