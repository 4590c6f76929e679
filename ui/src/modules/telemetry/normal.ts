/** Where the inputs of an asset's process model lay in the period that it was learned from. */
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { modelQuery } from "../../api/models";
import { readingsQuery } from "../../api/queries";
import type { Anomaly, Series } from "../../api/types";
import { ownName } from "../../ui/format";
import { filledOf } from "../../ui/points";
import { contributionsOf, type Normal, processOf } from "./evidence";

const BUCKETS = 60;
const NONE: never[] = [];

/** From the lowest to the highest reading; null where none are kept. */
function normalOf(series: Series | undefined): { low: number; high: number } | null {
  const filled = filledOf(series);
  if (filled.length === 0) return null;
  return {
    low: Math.min(...filled.map((bucket) => bucket.min)),
    high: Math.max(...filled.map((bucket) => bucket.max)),
  };
}

/** By sensor; empty for findings about one sensor alone, and until it is known. */
export function useNormals(anomaly: Anomaly): ReadonlyMap<string, Normal> {
  const process = processOf(anomaly);
  const model = useQuery({
    ...modelQuery(anomaly.site, ownName(anomaly.asset)),
    enabled: process !== null,
  });
  const fit = model.data?.versions.find((version) => version.version === process?.model_version)?.fit;
  const period = useMemo(
    () => ({ from: Date.parse(fit?.from ?? ""), to: Date.parse(fit?.to ?? "") }),
    [fit?.from, fit?.to],
  );
  const keys = useMemo(
    () =>
      fit ? [...new Set([anomaly.sensor, ...contributionsOf(anomaly).map((part) => part.sensor)])] : NONE,
    [fit, anomaly],
  );
  const readings = useQuery(readingsQuery(keys, period, BUCKETS, false));
  return useMemo(() => {
    const all = (readings.data?.series ?? NONE) as Series[];
    return new Map(
      all.flatMap((series): [string, Normal][] => {
        const band = normalOf(series);
        return band ? [[series.sensor, { ...band, ...period }]] : [];
      }),
    );
  }, [readings.data, period]);
}
