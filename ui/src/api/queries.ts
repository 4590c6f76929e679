import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { api, take, takeTagged } from "./http";
import type { GoldenRun, Series } from "./types";

/** Long enough for a plant, short enough for a browser; every list says when there is more. */
const LIST_MAX = 500;
export const QUALITY_WINDOW_S = 4 * 3600;

export interface Window {
  /** ms since the epoch */
  from: number;
  to: number;
}

const LIST = { query: { limit: LIST_MAX } };

const iso = (ms: number) => new Date(ms).toISOString();

export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: ({ signal }) => take(api.GET("/api/v1/me", { signal })),
  staleTime: 60_000,
});

export const sensorsQuery = queryOptions({
  queryKey: ["sensors"],
  queryFn: ({ signal }) => take(api.GET("/api/v1/sensors/sensors", { params: LIST, signal })),
  staleTime: 60_000,
});

export const alertsQuery = queryOptions({
  queryKey: ["alerts"],
  queryFn: ({ signal }) => take(api.GET("/api/v1/alerts", { params: LIST, signal })),
  staleTime: 60_000,
});

export const qualityQuery = queryOptions({
  queryKey: ["alert-quality"],
  queryFn: ({ signal }) =>
    take(api.GET("/api/v1/alerts/quality", { params: { query: { window_s: QUALITY_WINDOW_S } }, signal })),
  staleTime: 30_000,
  refetchInterval: 60_000,
});

export const incidentsQuery = queryOptions({
  queryKey: ["incidents"],
  queryFn: ({ signal }) => take(api.GET("/api/v1/incidents", { params: LIST, signal })),
  staleTime: 60_000,
});

export const incidentQuery = (id: string) =>
  queryOptions({
    queryKey: ["incident", id],
    queryFn: ({ signal }) =>
      takeTagged(api.GET("/api/v1/incidents/{id}", { params: { path: { id } }, signal })),
    staleTime: 30_000,
  });

export const decisionsQuery = queryOptions({
  queryKey: ["decisions"],
  queryFn: ({ signal }) => take(api.GET("/api/v1/decisions", { params: LIST, signal })),
  staleTime: 60_000,
});

export const workQuery = queryOptions({
  queryKey: ["work"],
  queryFn: ({ signal }) =>
    take(
      api.GET("/api/v1/maintenance/scheduled", {
        params: { query: { state: "all", limit: LIST_MAX } },
        signal,
      }),
    ),
  staleTime: 60_000,
});

export const notificationsQuery = queryOptions({
  queryKey: ["notifications"],
  queryFn: ({ signal }) =>
    take(api.GET("/api/v1/notifications", { params: { query: { limit: 100 } }, signal })),
  staleTime: 60_000,
});

export const runsQuery = queryOptions({
  queryKey: ["golden-runs"],
  queryFn: ({ signal }) => take(api.GET("/api/v1/demo/golden-path", { signal })),
  staleTime: 30_000,
});

const isOver = (run: GoldenRun | undefined) =>
  run?.overall_status === "completed" || run?.overall_status === "failed";

/** Polled while it runs: steps move faster than anybody publishes them. */
export const runQuery = (correlationId: string) =>
  queryOptions({
    queryKey: ["golden-run", correlationId],
    queryFn: ({ signal }) =>
      take(
        api.GET("/api/v1/demo/golden-path/status/{correlation_id}", {
          params: { path: { correlation_id: correlationId } },
          signal,
        }),
      ),
    refetchInterval: (query) => {
      const run = query.state.data;
      if (isOver(run)) return false;
      return run?.overall_status === "waiting" ? 5000 : 1500;
    },
  });

/** A live window keeps one entry in the cache and moves its ends at each fetch: the old picture stays until
 *  the new one is whole, also when the new one never comes. */
export function keyOf(window: Window, live: boolean): readonly (string | number)[] {
  return live ? ["live", Math.round(window.to - window.from)] : [window.from, window.to];
}

export function boundsOf(window: Window, live: boolean): Window {
  if (!live) return window;
  const to = Date.now();
  return { from: to - (window.to - window.from), to };
}

/** Anomalies that touch the window. */
export const anomaliesQuery = (window: Window, live: boolean) =>
  queryOptions({
    queryKey: ["anomalies", ...keyOf(window, live)],
    queryFn: ({ signal }) => {
      const { from, to } = boundsOf(window, live);
      return take(
        api.GET("/api/v1/anomalies", {
          params: { query: { from: iso(from), to: iso(to), limit: LIST_MAX } },
          signal,
        }),
      );
    },
    staleTime: 60_000,
    placeholderData: keepPreviousData,
  });

/** How long before its alarm an anomaly may have begun. */
const FOUND_WITHIN_MS = 7 * 86_400_000;

/** The anomaly that an alarm of `sensor` rests on; null when it is kept no more. */
export const anomalyQuery = (sensor: string, id: string, raisedAt: string) =>
  queryOptions({
    queryKey: ["anomalies", "one", id],
    queryFn: async ({ signal }) => {
      const at = Date.parse(raisedAt);
      const query = {
        sensor,
        from: iso(at - FOUND_WITHIN_MS),
        to: iso(Math.max(Date.now(), at) + 1000),
        limit: LIST_MAX,
      };
      const page = await take(api.GET("/api/v1/anomalies", { params: { query }, signal }));
      return page.items.find((anomaly) => anomaly.anomaly_id === id) ?? null;
    },
    staleTime: 30_000,
  });

/** The server bounds the number of sensors of one call; so do we. */
const SENSORS_PER_CALL = 50;
const REFRESH_LEAST_MS = 10_000;
const REFRESH_MOST_MS = 60_000;

/** Without a `format` readings come as JSON, and as nothing else. */
const inJson = (answer: unknown): { series: Series[] } => answer as { series: Series[] };

/** Readings themselves instead of summaries, with their quality: for a stretch that holds at most `most` of
 *  each sensor. */
export const pointsQuery = (sensors: readonly string[], window: Window, live: boolean, most: number) =>
  queryOptions({
    queryKey: ["points", sensors.join(" "), most, ...keyOf(window, live)],
    queryFn: async ({ signal }) => {
      const { from, to } = boundsOf(window, live);
      const query = { sensor: sensors.slice(0, SENSORS_PER_CALL), from: iso(from), to: iso(to), limit: most };
      return inJson(await take(api.GET("/api/v1/sensors/readings", { params: { query }, signal })));
    },
    enabled: sensors.length > 0,
    staleTime: live ? REFRESH_MOST_MS : 300_000,
    refetchInterval: live ? REFRESH_MOST_MS : false,
    gcTime: 120_000,
    placeholderData: keepPreviousData,
  });

/** Sensors whose keys have `words` in them: what the list of all is too short for. */
export const searchQuery = (words: string, wanted: boolean) =>
  queryOptions({
    queryKey: ["sensor-search", words],
    queryFn: ({ signal }) =>
      take(api.GET("/api/v1/sensors/sensors", { params: { query: { q: words, limit: 100 } }, signal })),
    enabled: wanted && words !== "",
    staleTime: 30_000,
    placeholderData: keepPreviousData,
  });

export const readingsQuery = (sensors: readonly string[], window: Window, buckets: number, live: boolean) => {
  const width = (window.to - window.from) / buckets;
  const refresh = Math.min(REFRESH_MOST_MS, Math.max(REFRESH_LEAST_MS, width));
  return queryOptions({
    queryKey: ["readings", sensors.join(" "), buckets, ...keyOf(window, live)],
    queryFn: async ({ signal }) => {
      const { from, to } = boundsOf(window, live);
      const all: Series[] = [];
      for (let start = 0; start < sensors.length; start += SENSORS_PER_CALL) {
        const part = inJson(
          await take(
            api.GET("/api/v1/sensors/readings", {
              params: {
                query: {
                  sensor: sensors.slice(start, start + SENSORS_PER_CALL),
                  from: iso(from),
                  to: iso(to),
                  buckets,
                },
              },
              signal,
            }),
          ),
        );
        all.push(...part.series);
      }
      return { series: all, from, to };
    },
    enabled: sensors.length > 0,
    staleTime: live ? refresh : 300_000,
    refetchInterval: live ? refresh : false,
    gcTime: 120_000,
    placeholderData: keepPreviousData,
  });
};
