import { post, postIfMatch, send, withQuery } from "./http";
import type {
  Alert,
  Completion,
  Decision,
  DecisionAnswer,
  GoldenStart,
  Incident,
  IncidentUpdate,
  WorkOrder,
} from "./types";

const alertPath = (id: string, verb: string) => `/alerts/${encodeURIComponent(id)}/${verb}`;

export const acknowledge = (id: string, note?: string) =>
  post<Alert>(alertPath(id, "acknowledge"), note ? { note } : {});
export const shelve = (id: string, reason: string, until: string) =>
  post<Alert>(alertPath(id, "shelve"), { reason, until });
export const unshelve = (id: string) => post<Alert>(alertPath(id, "unshelve"));
export const resolveAlert = (id: string, resolution: string) =>
  post<Alert>(alertPath(id, "resolve"), { resolution });

export const updateIncident = (id: string, change: IncidentUpdate, etag: string | null) =>
  postIfMatch<Incident>(`/incidents/${encodeURIComponent(id)}/update`, change, etag);

export const submitDecision = (answer: DecisionAnswer) => post<Decision>("/decisions/submit", answer);

export const completeWork = (id: string, completion: Completion) =>
  post<WorkOrder>(`/maintenance/${encodeURIComponent(id)}/complete`, completion);

export const startGoldenPath = (targetAnomalyRate: number) =>
  post<GoldenStart>("/demo/golden-path", {}, { target_anomaly_rate: targetAnomalyRate });

export const readNotification = (id: string) =>
  post<unknown>(`/notifications/${encodeURIComponent(id)}/read`);

/** What the server gives out of one sensor in one answer. */
const POINTS_MAX = 100_000;

/** Fetched with the key and handed over as a file: a plain link could not carry the header. */
export async function downloadCsv(sensors: readonly string[], from: number, to: number): Promise<void> {
  const response = await send(
    withQuery("/sensors/readings", {
      sensor: sensors,
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
      limit: POINTS_MAX,
      format: "csv",
    }),
  );
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = `plainview-${new Date(from).toISOString().slice(0, 16).replaceAll(":", "")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
