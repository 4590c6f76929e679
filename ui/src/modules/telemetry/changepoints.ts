/** Levels that changed and stayed changed. */
import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { api, take } from "../../api/http";
import { boundsOf, keyOf, type Window } from "../../api/queries";
import type { Changepoint, Sensor } from "../../api/types";
import { clockSeconds, moment, number, numberWithin, percent } from "../../ui/format";
import type { Step } from "../../ui/plotParts";

/** Of one asset; a level that changes more often is none. */
const CHANGES_MAX = 200;

/** The changes of these assets in the window: of their sensors, and of each as a whole. */
export const changepointsQuery = (assets: readonly string[], window: Window, live: boolean) =>
  queryOptions({
    queryKey: ["changepoints", assets.join(" "), ...keyOf(window, live)],
    queryFn: async ({ signal }) => {
      const { from, to } = boundsOf(window, live);
      const span = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
      const pages = await Promise.all(
        assets.map((asset) =>
          take(
            api.GET("/api/v1/changepoints", {
              params: { query: { asset, ...span, limit: CHANGES_MAX } },
              signal,
            }),
          ),
        ),
      );
      return pages.flatMap((page) => page.items);
    },
    enabled: assets.length > 0,
    staleTime: 60_000,
    placeholderData: keepPreviousData,
  });

/** A change as it shows in one sensor. */
export interface Change extends Step {
  id: string;
  sensor: string;
  unit: string | null | undefined;
  confidence: number;
  noticed: number;
  detector: string;
  anomaly: string | null;
}

/** Levels that lie close together keep the digits that tell them apart. */
export function levelWords(before: number, after: number, unit: string | null | undefined): [string, string] {
  const digits = (value: number) => numberWithin(value, unit, Math.abs(after - before) * 10);
  return [digits(before), unit ? `${digits(after)}\u00a0${unit}` : digits(after)];
}

/** `94 %`, and never certain when it is not. */
export const sureWords = (confidence: number): string => percent(confidence).replace(/^100/, "over 99");

/** `level changed from 720.0 to 705.6 m³/h at 14:03:20, confidence 94 %` */
function changeWords(change: Omit<Change, "label">, now: number): string {
  const [before, after] = levelWords(change.before, change.after, change.unit);
  const ms = change.at * 1000;
  const at = now - ms < 43_200_000 ? clockSeconds(ms) : moment(ms, now);
  return `level changed from ${before} to ${after} at ${at}, confidence ${sureWords(change.confidence)}`;
}

/** Each change in the plotted sensors it shows in, oldest first: its own, or those that moved most in its asset. */
export function changesIn(
  found: readonly Changepoint[],
  sensors: readonly Sensor[],
  window: Window,
  now: number,
): Change[] {
  const changes = found.flatMap((point) => {
    const at = Date.parse(point.changed_at);
    if (at < window.from || at > window.to) return [];
    const moved = point.sensor ? [{ ...point, sensor: point.sensor }] : point.inputs;
    return moved.flatMap(({ sensor, before, after }): Change[] => {
      const plotted = sensors.find((each) => each.key === sensor);
      if (!plotted || before == null || after == null) return [];
      const change = {
        id: `${point.changepoint_id} ${sensor}`,
        at: at / 1000,
        before,
        after,
        sensor,
        unit: point.sensor ? (point.unit ?? plotted.unit) : plotted.unit,
        confidence: point.confidence,
        noticed: Date.parse(point.noticed_at),
        detector: `${point.detector.name} ${point.detector.version}`,
        anomaly: point.anomaly_id ?? null,
      };
      return [{ ...change, label: changeWords(change, now) }];
    });
  });
  return changes.sort((a, b) => a.at - b.at);
}

/** How far the level moved, with its sign. */
export function movedWords({ before, after, unit }: Change): string {
  const moved = after - before;
  return `${moved > 0 ? "+" : ""}${number(moved, unit)}${unit ? `\u00a0${unit}` : ""}`;
}
