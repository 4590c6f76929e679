import { expect, it } from "vitest";
import { parseMetrics } from "../../api/metrics";
import type { Health } from "../../api/sources";
import { storeFacts } from "./Store";

const TEXT = `# TYPE series_commit_seconds histogram
series_commit_seconds_bucket{le="0.005"} 7
series_commit_seconds_sum 0.028
series_commit_seconds_count 10
series_sealed_readings_total 369625
series_seal_seconds_sum 0.344
series_seal_seconds_count 1
plainview_series_quarantined 3
http_requests_total{route="/a"} 2
http_requests_total{route="/b"} 3
`;

const health = { checks: { series: { status: "ok", detail: "1039 sensors, 14700000 bytes" } } };

it("the figures of the store are told with their units, damage loudly", () => {
  const metrics = parseMetrics(TEXT);
  expect(metrics.get("http_requests_total")).toBe(5);
  const facts = storeFacts(metrics, health as unknown as Health, undefined);
  expect(Object.fromEntries(facts.map((fact) => [fact.name, fact.value]))).toEqual({
    Kept: "14.7 MB of 1,039 sensors",
    "A batch is on disk after": "2.80\u00a0ms",
    "Packed into blocks": "369,625 readings",
    Packing: "1 time, 344.0\u00a0ms each",
    "Merging old blocks": "not needed yet",
    Damage: "3 blocks set aside, not served",
  });
  expect(facts.find((fact) => fact.loud)?.name).toBe("Damage");
});
