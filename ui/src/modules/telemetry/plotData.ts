import { since } from "../../api/tail";
import type { Series } from "../../api/types";
import { gapsBefore, usualStep } from "../../ui/gaps";
import type { PlotData } from "../../ui/plotParts";
import { filledOf } from "../../ui/points";

/** No reading at all. */
export const EMPTY: PlotData = [[], [], [], [], []];

interface Row {
  /** Seconds. */
  at: number;
  mean: number;
  min: number;
  max: number;
  doubtful: boolean;
}

function rowsOf(series: Series | undefined): Row[] {
  if (series?.points) {
    return series.points.map(({ at, value, quality }) => ({
      at: Date.parse(at) / 1000,
      mean: value,
      min: value,
      max: value,
      doubtful: quality !== "good",
    }));
  }
  return filledOf(series).map(({ at, mean, min, max }) => ({
    at: Date.parse(at) / 1000,
    mean,
    min,
    max,
    doubtful: false,
  }));
}

/** What the stream brought since the last bucket, which is still filling, or since the last reading. */
function addTail(rows: Row[], series: Series): void {
  const last = rows[rows.length - 1];
  if (!last) return;
  const width = series.points ? 0 : (series.width_s ?? 1);
  const after = (last.at + width) * 1000;
  let next = after;
  for (const [at, value, quality] of since(series.sensor, after)) {
    if (at < next) continue;
    rows.push({ at: at / 1000, mean: value, min: value, max: value, doubtful: quality !== "good" });
    next = at + width * 500;
  }
}

/** Buckets or readings, then what the stream brought since, with the pen lifted over gaps. From
 *  `doubtedSince`, in seconds, the sensor itself is not believed. */
export function plotData(
  series: Series | undefined,
  live: boolean,
  doubtedSince: number | null = null,
): PlotData {
  const rows = rowsOf(series);
  if (live && series) addTail(rows, series);
  const times = rows.map((row) => row.at);
  const width = series?.points ? 0 : (series?.width_s ?? 0);
  const gaps = gapsBefore(times, width);
  const out: PlotData = [[], [], [], [], []];
  const doubted = (index: number): boolean => {
    const row = rows[index];
    return row !== undefined && (row.doubtful || (doubtedSince !== null && row.at >= doubtedSince));
  };
  for (const [i, row] of rows.entries()) {
    if (gaps[i]) {
      out[0].push((times[i - 1] ?? row.at) + usualStep(times, i, width));
      for (const column of [out[1], out[2], out[3], out[4]]) column.push(null);
    }
    const bad = doubted(i);
    // The dashed line begins and ends where the sound one does, so that no hole is seen between them.
    const joins = !bad && ((doubted(i - 1) && !gaps[i]) || (doubted(i + 1) && !gaps[i + 1]));
    out[0].push(row.at);
    out[1].push(bad ? null : row.mean);
    out[2].push(row.min);
    out[3].push(row.max);
    out[4].push(bad || joins ? row.mean : null);
  }
  return out;
}

/** The values of one column, holes left out, within a stretch of seconds. */
export function within(data: PlotData, column: 1 | 2 | 3 | 4, from: number, to: number): number[] {
  const out: number[] = [];
  for (const [i, at] of data[0].entries()) {
    if (at < from || at > to) continue;
    const value = data[column][i];
    if (value !== null && value !== undefined) out.push(value);
  }
  return out;
}
