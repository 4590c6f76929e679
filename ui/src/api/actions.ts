import { api, take } from "./http";
import type { Completion, DecisionAnswer, IncidentUpdate } from "./types";

const byId = (id: string) => ({ path: { id } });

export const acknowledge = (id: string, note?: string) =>
  take(api.POST("/api/v1/alerts/{id}/acknowledge", { params: byId(id), body: note ? { note } : {} }));
export const shelve = (id: string, reason: string, until: string) =>
  take(api.POST("/api/v1/alerts/{id}/shelve", { params: byId(id), body: { reason, until } }));
export const unshelve = (id: string) => take(api.POST("/api/v1/alerts/{id}/unshelve", { params: byId(id) }));
export const resolveAlert = (id: string, resolution: string) =>
  take(api.POST("/api/v1/alerts/{id}/resolve", { params: byId(id), body: { resolution } }));

export const updateIncident = (id: string, change: IncidentUpdate, etag: string) =>
  take(
    api.POST("/api/v1/incidents/{id}/update", {
      params: { ...byId(id), header: { "If-Match": etag } },
      body: change,
    }),
  );

export const submitDecision = (answer: DecisionAnswer) =>
  take(api.POST("/api/v1/decisions/submit", { body: answer }));

export const completeWork = (id: string, completion: Completion) =>
  take(api.POST("/api/v1/maintenance/{id}/complete", { params: byId(id), body: completion }));

export const startGoldenPath = (targetAnomalyRate: number) =>
  take(
    api.POST("/api/v1/demo/golden-path", {
      params: { query: { target_anomaly_rate: targetAnomalyRate } },
    }),
  );

export const FORMATS = { csv: "CSV", arrow: "Arrow" } as const;
export type Format = keyof typeof FORMATS;

/** Fetched with the key and handed over as a file: a plain link could not carry the header. */
export async function download(
  format: Format,
  sensors: readonly string[],
  from: number,
  to: number,
): Promise<void> {
  const file = await take(
    api.GET("/api/v1/sensors/readings", {
      params: {
        query: {
          sensor: [...sensors],
          from: new Date(from).toISOString(),
          to: new Date(to).toISOString(),
          format,
        },
      },
      parseAs: "blob",
    }),
  );
  const url = URL.createObjectURL(file);
  const link = document.createElement("a");
  link.href = url;
  link.download = `plainview-${new Date(from).toISOString().slice(0, 16).replaceAll(":", "")}.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
