/** What feeds Plainview: sources, their kinds, and what keeps the flow running. */
import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import type { components } from "./generated/schema";
import { api, call, take } from "./http";
import type { Role } from "./types";

type Schema = components["schemas"];

export type SourceState = "live" | "silent" | "connecting" | "waiting" | "failing" | "stopped";

/** One source as `GET /api/v1/sources` tells it. */
export interface Source {
  /** `mqtt/north` */
  id: string;
  name: string;
  protocol: string;
  address: string;
  /** A connector goes out and reads; an agent calls one of our doors. */
  kind: "connector" | "agent";
  desired: "running" | "stopped" | null;
  state: SourceState;
  reconciled: boolean;
  configured_in: "file" | "api" | null;
  readings: number;
  refused: number;
  rate_per_s: number;
  /** Per minute of the last hour, oldest first. */
  rates: number[];
  lag_ms: number | null;
  backlog: number;
  reconnects: number;
  newest_at: string | null;
  last_heard_at: string | null;
  connected_since: string | null;
  last_error: { at: string; message: string } | null;
  details: { name: string; value: string }[];
  settings: Record<string, unknown> | null;
  version: number | null;
}

export interface FlowReader {
  name: string;
  per_s: number;
  lag_ms: number | null;
  lag_readings: number | null;
}

export interface Flow {
  received_per_s: number;
  refused_per_s: number;
  stored_per_s: number;
  bytes_per_reading: number | null;
  readers: FlowReader[];
}

export interface Sources {
  sources: Source[];
  flow: Flow;
}

export interface KindField {
  name: string;
  label: string;
  kind: "text" | "number" | "secret" | "select" | "json";
  required: boolean;
  default?: unknown;
  options?: string[] | null;
  help?: string | null;
}

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

const ROOT = "/api/v1/sources";
/** Rates are smoothed over ten seconds; asking more often shows nothing new. */
const REFRESH_MS = 2000;
const SLOW_REFRESH_MS = 15_000;
const MANY = 200;
const LIST = { query: { limit: 200 } };

export const sourcesQuery = queryOptions({
  queryKey: ["sources"],
  queryFn: async ({ signal }) => (await call<Sources>("GET", ROOT, { signal })).value,
  // A long list costs more to send than its rates change.
  refetchInterval: (query) => ((query.state.data?.sources.length ?? 0) > MANY ? SLOW_REFRESH_MS : REFRESH_MS),
  staleTime: REFRESH_MS,
});

export const kindsQuery = queryOptions({
  queryKey: ["source-kinds"],
  queryFn: async ({ signal }) => {
    const { value } = await call<SourceKind[] | { kinds: SourceKind[] }>("GET", `${ROOT}/kinds`, { signal });
    return Array.isArray(value) ? value : value.kinds;
  },
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

const address = (id: string) => `${ROOT}/${id.split("/").map(encodeURIComponent).join("/")}`;

export const addSource = async (wanted: {
  name: string;
  protocol: string;
  settings: Record<string, unknown>;
}) => (await call<Source>("POST", ROOT, { body: wanted })).value;

export const changeSource = async (id: string, settings: Record<string, unknown>, version: number | null) =>
  (
    await call<Source>("PUT", address(id), {
      body: { settings },
      etag: version === null ? "*" : `"${version}"`,
    })
  ).value;

export const startSource = (id: string) => call<Source>("POST", `${address(id)}/start`);
export const stopSource = (id: string) => call<Source>("POST", `${address(id)}/stop`);
export const removeSource = (id: string) => call<unknown>("DELETE", address(id));

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
