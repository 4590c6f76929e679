/** What feeds Plainview: sources, their kinds, and what keeps the flow running. */
import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import type { components } from "./generated/schema";
import { api, call, take } from "./http";
import type { Role } from "./types";

type Schema = components["schemas"];

export type Source = Schema["SourceView"];
export type SourceState = Schema["SourceState"];
export type Flow = Schema["SourceFlow"];
export type FlowReader = Schema["FlowReader"];

/** A field as the contract says it, with what it leaves open. */
export type KindField = Omit<Schema["SourceField"], "kind" | "default" | "help"> & {
  kind: "text" | "number" | "secret" | "select" | "json";
  default?: unknown;
  help?: string;
};

export interface SourceKind {
  protocol: string;
  title: string;
  fields: KindField[];
}

export type Agent = Schema["Agent"];
export type DeadLetter = Schema["DeadLetter"];
export type Key = Schema["Key"];
export type NewKey = Schema["NewKey"];
export type Health = Schema["Health"];
export type SensorBody = Schema["SensorBody"];

/** Sources that changed since the last tick, each whole; once a second on the stream. */
export interface SourceTick {
  at: string;
  sources: Source[];
  removed: string[];
  flow: Flow;
}

type SourceList = Schema["SourceList"];

/** The list with what a tick says, in order of id; the same list when it says nothing new of it. */
export function applySourceTick(list: SourceList | undefined, tick: SourceTick): SourceList | undefined {
  if (!list) return list;
  if (tick.sources.length === 0 && tick.removed.length === 0) return { ...list, flow: tick.flow };
  const all = new Map(list.sources.map((source) => [source.id, source]));
  for (const source of tick.sources) all.set(source.id, source);
  for (const id of tick.removed) all.delete(id);
  const sources = [...all.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  return { sources, flow: tick.flow };
}

/** For the few who wait for a first sample. */
const REFRESH_MS = 2000;
const SLOW_REFRESH_MS = 15_000;
const LIST = { query: { limit: 200 } };

export const sourcesQuery = queryOptions({
  queryKey: ["sources"],
  queryFn: ({ signal }) => take(api.GET("/api/v1/sources", { signal })),
  // Ticks say what changes; this is for what they missed.
  refetchInterval: SLOW_REFRESH_MS,
  staleTime: SLOW_REFRESH_MS,
});

export const kindsQuery = queryOptions({
  queryKey: ["source-kinds"],
  queryFn: async ({ signal }) =>
    (await take(api.GET("/api/v1/sources/kinds", { signal }))).kinds as SourceKind[],
  staleTime: 300_000,
});

export const agentsQuery = queryOptions({
  queryKey: ["agents"],
  queryFn: ({ signal }) => take(api.GET("/api/v1/agents", { signal })),
  refetchInterval: SLOW_REFRESH_MS,
  staleTime: SLOW_REFRESH_MS,
});

export const lettersQuery = queryOptions({
  queryKey: ["dead-letters"],
  queryFn: ({ signal }) => take(api.GET("/api/v1/dead-letters", { params: LIST, signal })),
  staleTime: 60_000,
});

export const keysQuery = queryOptions({
  queryKey: ["keys"],
  queryFn: ({ signal }) => take(api.GET("/api/v1/keys", { signal })),
  staleTime: 60_000,
});

/** What `/health` says, and how far this browser's clock is from the server's. */
export const healthQuery = queryOptions({
  queryKey: ["health"],
  queryFn: async ({ signal }) => {
    const asked = Date.now();
    const response = await fetch("/health", { signal, cache: "no-store" });
    const said = Date.parse(response.headers.get("date") ?? "");
    // A Date header has whole seconds; half of one is the best guess.
    const skew = Number.isFinite(said) ? (asked + Date.now()) / 2 - (said + 500) : null;
    return { health: (await response.json()) as Health, skew_ms: skew };
  },
  refetchInterval: 30_000,
  staleTime: 10_000,
});

/** Sensors whose key has `part` in it, or all, asked for again while somebody waits for the first sample. */
export const arrivedQuery = (part: string | undefined, waiting: boolean) =>
  queryOptions({
    queryKey: ["arrived", part ?? "*"],
    queryFn: ({ signal }) =>
      take(api.GET("/api/v1/sensors/sensors", { params: { query: { q: part, limit: 500 } }, signal })),
    enabled: waiting,
    refetchInterval: waiting ? REFRESH_MS : false,
    placeholderData: keepPreviousData,
  });

/** `mqtt/north`, as the two parts of its address. */
function place(id: string): { path: { protocol: string; name: string } } {
  const [protocol = "", ...name] = id.split("/");
  return { path: { protocol, name: name.join("/") } };
}

export const addSource = (wanted: Schema["NewSource"]) => take(api.POST("/api/v1/sources", { body: wanted }));

export const changeSource = (
  id: string,
  settings: Record<string, unknown>,
  version: number | null | undefined,
) =>
  take(
    api.PUT("/api/v1/sources/{protocol}/{name}", {
      params: { ...place(id), header: { "If-Match": version == null ? "*" : `"${version}"` } },
      body: { settings },
    }),
  );

export const startSource = (id: string) =>
  take(api.POST("/api/v1/sources/{protocol}/{name}/start", { params: place(id) }));
export const stopSource = (id: string) =>
  take(api.POST("/api/v1/sources/{protocol}/{name}/stop", { params: place(id) }));
/** The answer is empty. */
export const removeSource = (id: string) =>
  api.DELETE("/api/v1/sources/{protocol}/{name}", { params: place(id) });

export const replayLetter = (id: number) =>
  take(api.POST("/api/v1/dead-letters/{id}/replay", { params: { path: { id } } }));
export const discardLetter = (id: number, reason: string) =>
  take(api.POST("/api/v1/dead-letters/{id}/discard", { params: { path: { id } }, body: { reason } }));

export const makeKey = (name: string, role: Role) => take(api.POST("/api/v1/keys", { body: { name, role } }));
export const revokeKey = (id: string) => take(api.DELETE("/api/v1/keys/{id}", { params: { path: { id } } }));

const sensorPath = (key: string) => `/api/v1/sensors/${key.split("/").map(encodeURIComponent).join("/")}`;

export const readSensor = (key: string) => call<Schema["SensorView"]>("GET", sensorPath(key));
export const setSensor = (key: string, body: SensorBody, etag: string) =>
  call<Schema["SensorView"]>("PUT", sensorPath(key), { body, etag });
