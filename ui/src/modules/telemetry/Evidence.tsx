import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { pointsQuery, readingsQuery, type Window } from "../../api/queries";
import type { Anomaly, Series } from "../../api/types";
import { DataTable, Picture, TableToggle } from "../../ui/Figure";
import { clockSeconds, moment, number, percent, sensorName } from "../../ui/format";
import { gapsBefore, usualStep } from "../../ui/gaps";
import { Loading, OriginTag, ProblemNote } from "../../ui/Note";
import { pointsOf } from "../../ui/points";
import { type Pt, Spark } from "../../ui/svg";
import { useNow } from "../../ui/time";
import { EvidenceDrawing, HEIGHT, type Sample } from "./EvidenceDrawing";
import {
  aboutTime,
  bandOf,
  contributionsOf,
  detectorName,
  evidenceSpan,
  evidenceWindow,
  evidenceWords,
  mainSensor,
  type Normal,
  type Subject,
} from "./evidence";
import { JudgeAgain } from "./JudgeAgain";
import { useNormals } from "./normal";
import { TakeForNormal } from "./TakeForNormal";

const BUCKETS = 400;
/** With no more readings than this, each of them is shown. */
const EACH_MOST = 600;

/** The readings of the window: each of them when they are few, their means else. */
function useSamples(sensor: string, window: Window) {
  const keys = useMemo(() => [sensor], [sensor]);
  const summary = useQuery(readingsQuery(keys, window, BUCKETS, false));
  const series = summary.data?.series[0] as Series | undefined;
  const count = (series?.buckets ?? []).reduce((n, bucket) => n + bucket.count, 0);
  const few = summary.data !== undefined && !summary.isPlaceholderData && count <= EACH_MOST;
  const each = useQuery({ ...pointsQuery(keys, window, false, EACH_MOST), enabled: few });
  const own = few && !each.isPlaceholderData ? each.data?.series[0]?.points : undefined;
  const samples: Sample[] | null = own
    ? own.map((point) => ({ at: Date.parse(point.at), value: point.value, good: point.quality === "good" }))
    : null;
  return { summary, series, samples };
}

/** A line through the samples, with the pen lifted over gaps. */
function lineOf(samples: readonly Sample[]): Pt[] {
  const times = samples.map((sample) => sample.at);
  const gaps = gapsBefore(times);
  return samples.flatMap((sample, i): Pt[] => {
    const point: Pt = [sample.at, sample.value];
    return gaps[i] ? [[(times[i - 1] ?? 0) + usualStep(times, i, 0), Number.NaN], point] : [point];
  });
}

const MOST_TOGETHER = 4;

/** The sensors that a finding is about, the shown one first, as the Workbench takes them. */
const sensorsOf = (anomaly: Anomaly, first: string): string =>
  [...new Set([first, anomaly.sensor, ...contributionsOf(anomaly).map((part) => part.sensor)])]
    .filter((key) => key.includes("/"))
    .slice(0, MOST_TOGETHER)
    .join(",");

/** The finding names the value of its own sensor; another one's is what it read then. */
function subjectOf(
  anomaly: Anomaly,
  sensor: string,
  series: Series | undefined,
  points: readonly Pt[],
  normal: Normal | undefined,
): Subject {
  const own = sensor === anomaly.sensor;
  const unit = own ? anomaly.unit : series?.unit;
  const found = Date.parse(anomaly.detected_at);
  const read = own
    ? anomaly.value
    : (points.findLast(([at, value]) => at <= found && Number.isFinite(value))?.[1] ?? null);
  return { sensor, unit, value: aboutTime(anomaly) ? null : read, band: bandOf(anomaly, unit, normal) };
}

/** What one finding rests on: words, the picture that proves them, and who contributed. */
export function Evidence({ anomaly }: { anomaly: Anomaly }) {
  // A standing one grows; a picture each ten seconds is enough.
  const beat = useNow(10_000);
  const now = anomaly.cleared_at ? Date.parse(anomaly.cleared_at) : beat;
  const window = useMemo(() => evidenceWindow(anomaly, now), [anomaly, now]);
  const sensor = mainSensor(anomaly);
  const normals = useNormals(anomaly);
  const normal = normals.get(sensor);
  const { summary, series, samples } = useSamples(sensor, window);
  const [asTable, setAsTable] = useState(false);
  const points = samples ? lineOf(samples) : pointsOf(series);
  const subject = subjectOf(anomaly, sensor, series, points, normal);
  const words = evidenceWords(anomaly, beat, subject, normal);
  const name = `Evidence, ${sensorName(sensor)}`;
  const shown = points.some(([, value]) => Number.isFinite(value));
  return (
    <figure className="evidence" data-evidence={anomaly.anomaly_id}>
      <div className="rowf between">
        <span className="sm">
          <b>{sensorName(sensor)}</b>
          {subject.unit ? <span className="dim">, {subject.unit}</span> : null}{" "}
          <OriginTag origin={anomaly.origin} />
        </span>
        <span className="sm">
          <Link
            to="/workbench"
            search={{ s: sensorsOf(anomaly, sensor), from: window.from, to: window.to }}
            className="nowrap"
          >
            in Workbench
          </Link>{" "}
          · <TableToggle on={asTable} set={setAsTable} name={name} />
        </span>
      </div>
      {summary.error ? (
        <ProblemNote
          error={summary.error}
          what="The readings could not be fetched"
          retry={() => void summary.refetch()}
        />
      ) : null}
      {asTable ? (
        <EvidenceTable anomaly={anomaly} subject={subject} points={points} />
      ) : summary.isPending ? (
        <Loading what="Reading the evidence" height={HEIGHT} />
      ) : (
        <Picture summary={words} height={HEIGHT}>
          {(width) =>
            shown ? (
              <EvidenceDrawing
                width={width}
                now={beat}
                anomaly={anomaly}
                subject={subject}
                window={window}
                points={points}
                samples={samples}
              />
            ) : (
              <text x={8} y={HEIGHT / 2}>
                No readings are kept for this stretch.
              </text>
            )
          }
        </Picture>
      )}
      <figcaption className="cap">{words}</figcaption>
      <Shares anomaly={anomaly} window={window} normals={normals} />
      <JudgeAgain anomaly={anomaly} window={window} />
      {anomaly.rule === "score" && anomaly.state === "active" ? <TakeForNormal anomaly={anomaly} /> : null}
      <p className="cap">
        Score <b>{number(anomaly.score)}</b>, by detector{" "}
        <span className="mono">{detectorName(anomaly)}</span>. It rests on the readings of{" "}
        {evidenceSpan(anomaly, beat)}, the bar on the time axis.
      </p>
    </figure>
  );
}

const SHARES_MOST = 6;
const SPARK_BUCKETS = 120;

/** Who contributed, each with its share and its own course over the same stretch. */
function Shares({
  anomaly,
  window,
  normals,
}: {
  anomaly: Anomaly;
  window: Window;
  normals: ReadonlyMap<string, Normal>;
}) {
  const parts = contributionsOf(anomaly).slice(0, SHARES_MOST);
  const keys = parts.map((part) => part.sensor).filter((key) => key.includes("/"));
  const readings = useQuery(readingsQuery(keys, window, SPARK_BUCKETS, false));
  // A finding about one sensor is that sensor's alone.
  if (parts.length === 0 || (parts.length === 1 && parts[0]?.sensor === anomaly.sensor)) return null;
  const seriesOf = (key: string) =>
    readings.data?.series.find((each) => each.sensor === key) as Series | undefined;
  return (
    <ul className="contrib" aria-label="Contributing sensors">
      {parts.map((part) => (
        <li key={part.sensor}>
          <Link to="/workbench" search={{ s: part.sensor, from: window.from, to: window.to }}>
            {part.sensor.includes("/") ? sensorName(part.sensor) : part.sensor}
          </Link>
          <Spark
            points={pointsOf(seriesOf(part.sensor))}
            window={window}
            band={normals.get(part.sensor)}
            height={28}
          />
          <span className="meter data">
            <i style={{ width: `${part.share * 100}%` }} />
          </span>
          <span className="num">{percent(part.share)}</span>
        </li>
      ))}
    </ul>
  );
}

const ROWS_MOST = 120;

/** `inside`, `1.2 above`. */
function againstBand(value: number, { band, unit }: Subject): string {
  if (!band) return "–";
  const away = value > band.high ? value - band.high : value < band.low ? band.low - value : 0;
  return away === 0 ? "inside" : `${number(away, unit)} ${value > band.high ? "above" : "below"}`;
}

function EvidenceTable({
  anomaly,
  subject,
  points,
}: {
  anomaly: Anomaly;
  subject: Subject;
  points: readonly Pt[];
}) {
  const filled = points.filter(([, value]) => Number.isFinite(value));
  const every = Math.max(1, Math.ceil(filled.length / ROWS_MOST));
  return (
    <div className="moments">
      <DataTable
        label={`Evidence of ${sensorName(subject.sensor)}, ${anomaly.rule} at ${clockSeconds(anomaly.started_at)}, as table`}
        view={{
          columns: [
            { name: "At" },
            { name: subject.unit ? `Value, ${subject.unit}` : "Value", right: true },
            { name: "Band", right: true },
            { name: "Part" },
          ],
          rows: filled
            .filter((_, index) => index % every === 0)
            .map(([at, value]) => ({
              key: String(at),
              cells: [
                moment(at, Date.now()).length > 5 ? `${moment(at, Date.now())}` : clockSeconds(at),
                number(value, subject.unit),
                againstBand(value, subject),
                at >= Date.parse(anomaly.started_at) ? "finding" : "before",
              ],
            })),
        }}
      />
    </div>
  );
}
