import type { QueryClient } from "@tanstack/react-query";
import { applySourceTick, type SourceTick, sourcesQuery } from "./sources";
import { keep } from "./tail";
import type {
  Alert,
  Anomaly,
  Decision,
  Envelope,
  Incident,
  Notification,
  Page,
  Sensor,
  Tick,
  WorkOrder,
} from "./types";

/** A burst of events asks for a list once, not once per event. */
const INVALIDATE_EVERY_MS = 2000;

export type Announce = (event: Envelope) => void;

/** Replaces the entity with the same id, or puts a new one first. */
export function upsert<T>(
  page: Page<T> | undefined,
  entity: T,
  idOf: (entity: T) => string,
): Page<T> | undefined {
  if (!page) return page;
  const id = idOf(entity);
  const index = page.items.findIndex((item) => idOf(item) === id);
  if (index < 0) return { ...page, items: [entity, ...page.items] };
  const items = page.items.slice();
  items[index] = { ...page.items[index], ...entity };
  return { ...page, items };
}

/** The newest value of each sensor, from a frame's worth of ticks. */
export function applyTicks(page: Page<Sensor> | undefined, ticks: Tick[]): Page<Sensor> | undefined {
  if (!page) return page;
  const newest = new Map<string, Tick["values"][number]>();
  for (const tick of ticks) for (const value of tick.values) newest.set(value.sensor, value);
  if (newest.size === 0) return page;
  return {
    ...page,
    items: page.items.map((sensor) => {
      const value = newest.get(sensor.key);
      if (!value) return sensor;
      return { ...sensor, latest: { at: value.at, value: value.value, quality: value.quality } };
    }),
  };
}

function applyAnomaly(page: Page<Sensor> | undefined, anomaly: Anomaly): Page<Sensor> | undefined {
  if (!page) return page;
  return {
    ...page,
    items: page.items.map((sensor) =>
      sensor.key === anomaly.sensor
        ? {
            ...sensor,
            anomaly:
              anomaly.state === "active"
                ? {
                    score: anomaly.score,
                    severity: anomaly.severity,
                    since: anomaly.started_at,
                    rule: anomaly.rule,
                  }
                : null,
          }
        : sensor,
    ),
  };
}

/** Turns events into changes of the query cache. Events only update or invalidate, never more. */
export class LiveCache {
  private readonly client: QueryClient;
  private readonly announce: Announce;
  private readonly due = new Map<string, number>();

  constructor(client: QueryClient, announce: Announce) {
    this.client = client;
    this.announce = announce;
  }

  apply = (events: Envelope[]): void => {
    const ticks: Tick[] = [];
    for (const event of events) {
      if (event.type === "telemetry.tick") {
        const tick = event.data as Tick;
        keep(tick);
        ticks.push(tick);
      } else if (event.type === "source.tick") {
        const tick = event.data as SourceTick;
        this.client.setQueryData(sourcesQuery.queryKey, (list) => applySourceTick(list, tick));
      } else {
        this.one(event);
      }
    }
    if (ticks.length > 0) {
      this.client.setQueryData<Page<Sensor>>(["sensors"], (page) => applyTicks(page, ticks));
    }
  };

  /** After a gap nothing is certain: ask for everything that is on the screen again. */
  refresh = (): void => {
    void this.client.invalidateQueries();
  };

  private one(event: Envelope): void {
    const family = event.type.split(".")[0];
    if (family === "alert") this.alert(event.data as Alert);
    else if (family === "incident") this.incident(event.data as Incident);
    else if (family === "decision") this.decision(event.data as Decision);
    else if (family === "maintenance") this.maintenance(event);
    else if (family === "notification") this.notification(event.data as Notification);
    else if (event.type === "anomaly.detected") this.anomaly(event.data as Anomaly);
    else if (event.type === "changepoint.detected") this.soon("changepoints");
    else if (event.type === "sensor.trust.changed") this.soon("sensors");
    else if (event.type === "source.changed") this.soon("sources");
    else if (event.type === "dead_letter.added") this.soon("dead-letters");
    else if (event.type === "agent.failed") this.soon("agents");
    this.announce(event);
  }

  private alert(alert: Alert): void {
    this.put("alerts", alert, (a) => a.alert_id);
    this.soon("alert-quality");
    this.soon("incident");
  }

  private incident(incident: Incident): void {
    this.put("incidents", incident, (i) => i.incident_id);
    this.soon("incident");
  }

  private decision(decision: Decision): void {
    this.put("decisions", decision, (d) => d.decision_id);
    this.soon("incident");
    this.soon("golden-run");
  }

  private maintenance(event: Envelope): void {
    if (event.type === "maintenance.predicted") {
      this.soon("predictions");
    } else {
      this.put("work", event.data as WorkOrder, (w) => w.work_id);
    }
    this.soon("incident");
    this.soon("golden-run");
  }

  private notification(notification: Notification): void {
    this.put("notifications", notification, (n) => n.notification_id);
    this.soon("golden-run");
  }

  private anomaly(anomaly: Anomaly): void {
    this.client.setQueryData<Page<Sensor>>(["sensors"], (page) => applyAnomaly(page, anomaly));
    this.soon("anomalies");
    this.soon("golden-run");
  }

  /** A list that is being fetched may come back older than this event: it is asked for once more. */
  private put<T>(key: string, entity: T, idOf: (entity: T) => string): void {
    this.client.setQueryData<Page<T>>([key], (page) => upsert(page, entity, idOf));
    if (this.client.isFetching({ queryKey: [key] }) > 0) this.soon(key);
  }

  private soon(key: string): void {
    if (this.due.has(key)) return;
    const timer = window.setTimeout(() => {
      this.due.delete(key);
      void this.client.invalidateQueries({ queryKey: [key] });
    }, INVALIDATE_EVERY_MS);
    this.due.set(key, timer);
  }
}
