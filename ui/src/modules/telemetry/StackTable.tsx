import { DataTable } from "../../ui/Figure";
import { clockSeconds, moment, number, ownName } from "../../ui/format";
import type { PlotData } from "../../ui/plotParts";
import { extent } from "../../ui/svg";
import { EMPTY, within } from "./plotData";
import type { StackProps } from "./Stack";

/** So many moments of the window are listed. */
const MOMENTS = 60;

/** The figures of the window, what happened in it, and the values over time. */
export function StackTable(props: StackProps & { data: ReadonlyMap<string, PlotData> }) {
  const { sensors, data, window, marksOf, events } = props;
  const now = Date.now();
  const [from, to] = [window.from / 1000, window.to / 1000];
  const rows = sensors.map((sensor) => {
    const d = data.get(sensor.key) ?? EMPTY;
    const mean = [...within(d, 1, from, to), ...within(d, 4, from, to)];
    const cell = (v: number | undefined) =>
      number(v !== undefined && Number.isFinite(v) ? v : null, sensor.unit);
    const none = mean.length === 0;
    return {
      key: sensor.key,
      cells: [
        sensor.key,
        sensor.unit ?? "–",
        cell(none ? undefined : extent(within(d, 2, from, to))[0]),
        cell(mean.reduce((a, b) => a + b, 0) / mean.length),
        cell(none ? undefined : extent(within(d, 3, from, to))[1]),
        cell(mean[mean.length - 1]),
        String(marksOf(sensor.key).shades.length),
      ],
    };
  });
  const happened = [
    ...sensors.flatMap((sensor) =>
      marksOf(sensor.key).shades.map((shade) => ({
        at: Math.max(shade.from, from),
        label: shade.label,
        where: sensor.key,
      })),
    ),
    ...sensors.flatMap((sensor) => marksOf(sensor.key).marks.map((mark) => ({ ...mark, where: sensor.key }))),
    ...sensors.flatMap((sensor) => marksOf(sensor.key).steps.map((step) => ({ ...step, where: sensor.key }))),
    ...events.map((event) => ({ ...event, where: "–" })),
  ].filter((mark) => mark.at * 1000 >= window.from && mark.at * 1000 <= window.to);
  return (
    <>
      <DataTable
        label="Readings, as table"
        view={{
          columns: [
            { name: "Sensor" },
            { name: "Unit" },
            { name: "Min", right: true },
            { name: "Mean", right: true },
            { name: "Max", right: true },
            { name: "Last", right: true },
            { name: "Anomalies", right: true },
          ],
          rows,
        }}
      />
      {happened.length > 0 ? (
        <>
          <h3 className="over-table">Events</h3>
          <DataTable
            label="Events in the window"
            view={{
              columns: [{ name: "At" }, { name: "Where" }, { name: "What" }],
              rows: happened
                .sort((a, b) => a.at - b.at)
                .map((mark, index) => ({
                  key: `${mark.at}-${index}`,
                  cells: [moment(mark.at * 1000, now), mark.where, mark.label],
                })),
            }}
          />
        </>
      ) : null}
      <h3 className="over-table">Values over time</h3>
      <Moments {...props} />
    </>
  );
}

/** The values at evenly spaced moments, newest first: each is the last one at or before its moment. */
function Moments({ sensors, data, window }: StackProps & { data: ReadonlyMap<string, PlotData> }) {
  const now = Date.now();
  const step = (window.to - window.from) / MOMENTS;
  const rows = Array.from({ length: MOMENTS }, (_, i) => window.to - i * step).map((at) => ({
    key: String(at),
    cells: [
      step < 60_000 ? clockSeconds(at) : moment(at, now),
      ...sensors.map((sensor) => number(valueAt(data.get(sensor.key) ?? EMPTY, at / 1000), sensor.unit)),
    ],
  }));
  return (
    <div className="moments">
      <DataTable
        label="Values over time"
        view={{
          columns: [
            { name: "At" },
            ...sensors.map((sensor) => ({
              name: `${ownName(sensor.asset)}/${sensor.measure}${sensor.unit ? `, ${sensor.unit}` : ""}`,
              right: true,
            })),
          ],
          rows,
        }}
      />
    </div>
  );
}

function valueAt(data: PlotData, at: number): number | null {
  let low = 0;
  let high = data[0].length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((data[0][middle] ?? 0) <= at) low = middle;
    else high = middle - 1;
  }
  const time = data[0][low];
  return time === undefined || time > at ? null : (data[1][low] ?? data[4][low] ?? null);
}
