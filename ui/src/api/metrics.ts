/** What the server measures of itself, read from the page that Prometheus reads. */
import { queryOptions } from "@tanstack/react-query";
import { authHeaders, Problem } from "./http";

export type Metrics = ReadonlyMap<string, number>;

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{[^}]*\})? (\S+)/;

/** Each figure by its name, summed over its labels; the buckets of histograms are left out. */
export function parseMetrics(text: string): Metrics {
  const out = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [, name, written] = LINE.exec(line) ?? [];
    const value = Number(written);
    if (!name || name.endsWith("_bucket") || !Number.isFinite(value)) continue;
    out.set(name, (out.get(name) ?? 0) + value);
  }
  return out;
}

const REFRESH_MS = 15_000;

export const metricsQuery = queryOptions({
  queryKey: ["metrics"],
  queryFn: async ({ signal }) => {
    const answer = await fetch("/metrics", { signal, cache: "no-store", headers: authHeaders() });
    if (!answer.ok)
      throw new Problem({ status: answer.status, title: `The server answered ${answer.status}` });
    return parseMetrics(await answer.text());
  },
  refetchInterval: REFRESH_MS,
  staleTime: REFRESH_MS,
});
