import { useQueries, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { pointsQuery, readingsQuery, searchQuery, type Window } from "../../api/queries";
import type { Sensor, Series } from "../../api/types";

const NONE: never[] = [];
const BUCKETS_PHONE = 300;
/** With no more readings than this of each sensor, and so many in a bucket, all of them are drawn. */
const RAW_MOST = 2000;
const RAW_IN_BUCKET = 3;

/** The chosen sensors; one that the list is too short for is asked for by its name. `lost` are those that
 *  nobody knows. */
export function useChosen(
  keys: readonly string[],
  sensors: readonly Sensor[],
  known: boolean,
): { shown: Sensor[]; lost: string[] } {
  const missing = known ? keys.filter((key) => !sensors.some((sensor) => sensor.key === key)) : NONE;
  const asked = useQueries({ queries: missing.map((key) => searchQuery(key, true)) });
  const extra = asked.flatMap((query) => query.data?.items ?? NONE);
  const all = keys.flatMap(
    (key) => sensors.find((s) => s.key === key) ?? extra.find((s) => s.key === key) ?? NONE,
  );
  // Its latest value changes each second; the plots only need to know what it is.
  const what = all.map((s) => `${s.key} ${s.trust} ${s.expected_low} ${s.expected_high}`).join();
  const lost = missing.filter(
    (key, index) => asked[index]?.isSuccess && !extra.some((sensor) => sensor.key === key),
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: see above
  const shown = useMemo(() => all, [what]);
  return { shown, lost };
}

interface Picked {
  series: ReadonlyMap<string, Series>;
  query: ReturnType<typeof useQuery>;
  there: boolean;
}

/** Whether the readings themselves would be no denser than the plot can show. */
function isThin({ buckets }: Series): boolean {
  let sum = 0;
  for (const { count } of buckets ?? []) {
    if (count > RAW_IN_BUCKET) return false;
    sum += count;
  }
  return sum <= RAW_MOST;
}

/** Summaries for about each pixel; every reading once the stretch is short enough for that. */
export function useReadings(keys: readonly string[], window: Window, live: boolean): Picked {
  const px = globalThis.innerWidth < 640 ? BUCKETS_PHONE : bucketsFor(globalThis.innerWidth);
  const wide = useMemo(() => (live ? window : withMargin(window)), [window, live]);
  const share = (wide.to - wide.from) / (window.to - window.from);
  const summaries = useQuery(readingsQuery(keys, wide, Math.round(px * share), live));
  const few = useMemo(
    () => (summaries.data?.series as Series[] | undefined)?.every(isThin) ?? false,
    [summaries.data],
  );
  const plain = few && !summaries.isPlaceholderData;
  const points = useQuery({
    ...pointsQuery(keys, wide, live, RAW_MOST * 2),
    enabled: plain && keys.length > 0,
  });
  const raw = plain && points.data !== undefined && !points.isPlaceholderData ? points.data : undefined;
  const series = useMemo(
    () => new Map((raw ?? summaries.data)?.series.map((s) => [s.sensor as string, s as Series]) ?? NONE),
    [raw, summaries.data],
  );
  return { series, query: summaries, there: summaries.data !== undefined };
}

/** What lies beside the window is there before somebody pans to it. */
const MARGIN = 0.5;
const withMargin = ({ from, to }: Window): Window => {
  const by = (to - from) * MARGIN;
  return { from: Math.max(0, Math.round(from - by)), to: Math.round(to + by) };
};

/** One bucket a pixel, in steps, so that a changed window size does not ask for everything again. */
const bucketsFor = (width: number): number =>
  Math.max(300, Math.min(2000, Math.round((width - 640) / 100) * 100));
