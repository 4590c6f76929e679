import { useQuery } from "@tanstack/react-query";
import { type Metrics, metricsQuery } from "../../api/metrics";
import { type Flow, type Health, healthQuery } from "../../api/sources";
import { bytes, number, plural } from "../../ui/format";
import { Loading, ProblemNote } from "../../ui/Note";
import { Panel } from "../../ui/Panel";
import { PACKED_MOST } from "../telemetry/sources/Flow";

/** `1039 sensors, 14700000 bytes; …`, as the check of the readings says it. */
const CHECK = /(\d+) sensors, (\d+) bytes/;

const whole = (n: number) => Math.round(n).toLocaleString("en-US");

/** `2.8 ms`, `1.4 s` */
function lasts(seconds: number): string {
  return seconds < 1 ? `${number(seconds * 1000)}\u00a0ms` : `${number(seconds)}\u00a0s`;
}

/** How long one of them takes on average; null when there was none. */
function mean(metrics: Metrics, name: string): string | null {
  const count = metrics.get(`${name}_count`) ?? 0;
  return count > 0 ? lasts((metrics.get(`${name}_sum`) ?? 0) / count) : null;
}

interface Fact {
  name: string;
  value: string;
  /** Worth a look. */
  loud?: boolean;
}

/** What is kept, what it takes and whether it is whole. */
export function storeFacts(
  metrics: Metrics | undefined,
  health: Health | undefined,
  flow: Flow | undefined,
): Fact[] {
  const facts: Fact[] = [];
  const [, sensors, size] = CHECK.exec(health?.checks.series?.detail ?? "") ?? [];
  if (sensors && size)
    facts.push({
      name: "Kept",
      value: `${bytes(Number(size))} of ${plural(Number(sensors), "sensor")}`,
    });
  const accepted = metrics?.get("plainview_readings_accepted_total");
  const sealed = metrics?.get("series_sealed_readings_total");
  // A young store has most of its readings in the log, where each takes many times as much.
  const young = (sealed ?? 0) < (accepted ?? 0) / 2;
  if (flow?.bytes_per_reading != null)
    facts.push({
      name: "One reading takes",
      value: `${flow.bytes_per_reading.toFixed(2)} bytes${young && flow.bytes_per_reading > PACKED_MOST ? " until packed" : ""}`,
    });
  if (!metrics) return facts;
  const commit = mean(metrics, "series_commit_seconds");
  if (commit) facts.push({ name: "A batch is on disk after", value: commit });
  if (accepted !== undefined)
    facts.push({ name: "Taken since the start", value: `${whole(accepted)} readings` });
  if (sealed !== undefined) facts.push({ name: "Packed into blocks", value: `${whole(sealed)} readings` });
  const seal = mean(metrics, "series_seal_seconds");
  if (seal)
    facts.push({
      name: "Packing",
      value: `${plural(metrics.get("series_seal_seconds_count") ?? 0, "time")}, ${seal} each`,
    });
  const merge = mean(metrics, "series_compaction_seconds");
  facts.push({
    name: "Merging old blocks",
    value: merge
      ? `${plural(metrics.get("series_compaction_seconds_count") ?? 0, "time")}, ${merge} each`
      : "not needed yet",
  });
  const damaged = metrics.get("plainview_series_quarantined") ?? 0;
  facts.push({
    name: "Damage",
    value: damaged > 0 ? `${plural(damaged, "block")} set aside, not served` : "none found",
    loud: damaged > 0,
  });
  return facts;
}

export function Store({ flow }: { flow: Flow | undefined }) {
  const metrics = useQuery(metricsQuery);
  const health = useQuery(healthQuery).data?.health;
  const facts = storeFacts(metrics.data, health, flow);
  return (
    <Panel title="Store" id="store" meta="readings on disk">
      {metrics.error ? (
        <div className="in">
          <ProblemNote
            error={metrics.error}
            what="What the store measures could not be read"
            retry={() => void metrics.refetch()}
          />
        </div>
      ) : null}
      {metrics.isPending ? <Loading what="Reading figures" /> : null}
      <dl className="kv facts in">
        {facts.map(({ name, value, loud }) => (
          <div key={name} style={{ display: "contents" }}>
            <dt>{name}</dt>
            <dd>{loud ? <b>{value}</b> : value}</dd>
          </div>
        ))}
      </dl>
    </Panel>
  );
}
