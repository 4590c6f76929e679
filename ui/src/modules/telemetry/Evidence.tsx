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
import { extent, linePath, niceTicks, type Pt, Spark, TimeGrid } from "../../ui/svg";
import { useNow } from "../../ui/time";
import {
  aboutTime,
  contributionsOf,
  detectorName,
  evidenceNumber,
  evidenceSpan,
  evidenceWindow,
  evidenceWords,
  explainQuery,
  processOf,
} from "./evidence";

const BUCKETS = 400;
/** With no more readings than this, each of them is shown. */
const EACH_MOST = 600;
const HEIGHT = 214;
const TOP = 24;
const FOOT = 24;
/** Further apart than this, px, readings are drawn as points as well. */
const POINTS_PX = 6;

interface Sample {
  at: number;
  value: number;
  good: boolean;
}

/** The readings of the window: each of them when they are few, their means else. */
function useSamples(anomaly: Anomaly, window: Window) {
  const keys = useMemo(() => [anomaly.sensor], [anomaly.sensor]);
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

/** What one finding rests on: words, the picture that proves them, and who contributed. */
export function Evidence({ anomaly }: { anomaly: Anomaly }) {
  // A standing one grows; a picture each ten seconds is enough.
  const beat = useNow(10_000);
  const now = anomaly.cleared_at ? Date.parse(anomaly.cleared_at) : beat;
  const window = useMemo(() => evidenceWindow(anomaly, now), [anomaly, now]);
  const { summary, series, samples } = useSamples(anomaly, window);
  const [asTable, setAsTable] = useState(false);
  const words = evidenceWords(anomaly, beat);
  const points = samples ? lineOf(samples) : pointsOf(series);
  const name = `Evidence, ${sensorName(anomaly.sensor)}`;
  const shown = points.some(([, value]) => Number.isFinite(value));
  return (
    <figure className="evidence" data-evidence={anomaly.anomaly_id}>
      <div className="rowf between">
        <span className="sm">
          <b>{sensorName(anomaly.sensor)}</b>
          {anomaly.unit ? <span className="dim">, {anomaly.unit}</span> : null}{" "}
          <OriginTag origin={anomaly.origin} />
        </span>
        <span className="sm">
          <Link
            to="/workbench"
            search={{ s: anomaly.sensor, from: window.from, to: window.to }}
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
        <EvidenceTable anomaly={anomaly} points={points} />
      ) : summary.isPending ? (
        <Loading what="Reading the evidence" height={HEIGHT} />
      ) : (
        <Picture summary={words} height={HEIGHT}>
          {(width) =>
            shown ? (
              <Drawing
                width={width}
                now={beat}
                anomaly={anomaly}
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
      <Shares anomaly={anomaly} window={window} />
      {processOf(anomaly) ? <JudgeAgain anomaly={anomaly} window={window} /> : null}
      <p className="cap">
        Score <b>{number(anomaly.score)}</b>, by detector{" "}
        <span className="mono">{detectorName(anomaly)}</span>. It rests on the readings of{" "}
        {evidenceSpan(anomaly, beat)}, the bar on the time axis; they give the same answer again.
      </p>
    </figure>
  );
}

const SCORE_H = 96;
const SCORE_LIMIT = 0.5;

/** Judges the stored readings again, row by row, and says whether the answer is the same. */
function JudgeAgain({ anomaly, window }: { anomaly: Anomaly; window: Window }) {
  const [asked, setAsked] = useState(false);
  const explained = useQuery({ ...explainQuery(anomaly.anomaly_id), enabled: asked });
  if (!asked) {
    return (
      <div>
        <button type="button" className="btn s" onClick={() => setAsked(true)}>
          Judge it again
        </button>
      </div>
    );
  }
  if (explained.error) {
    return (
      <ProblemNote
        error={explained.error}
        what="It could not be judged again"
        retry={() => void explained.refetch()}
      />
    );
  }
  if (!explained.data) return <Loading what="Judging every row again" height={SCORE_H} />;
  const { same, rows } = explained.data;
  const words = same
    ? `Judged again, ${rows.length} rows gave the same answer.`
    : "Judged again it came out differently: readings came late or were corrected since.";
  const points = rows
    .filter((row) => !row.held)
    .map((row): Pt => [Date.parse(row.row_at), row.score])
    .filter(([at]) => at >= window.from && at <= window.to);
  return (
    <div>
      <Picture
        summary={`Score of the model of ${anomaly.asset}, limit ${SCORE_LIMIT}. ${words}`}
        height={SCORE_H}
      >
        {(width) => {
          const bottom = SCORE_H - FOOT;
          const x = (t: number) => 48 + ((t - window.from) / (window.to - window.from)) * (width - 62);
          const y = (v: number) => bottom - v * (bottom - 8);
          return (
            <>
              <TimeGrid from={window.from} to={window.to} x={x} top={8} bottom={bottom} gap={84} />
              <text x={42} y={y(1) + 8} textAnchor="end">
                score
              </text>
              <text x={42} y={y(SCORE_LIMIT) + 4} textAnchor="end">
                {SCORE_LIMIT}
              </text>
              <path className="limit" d={`M48 ${Math.round(y(SCORE_LIMIT)) + 0.5}H${width - 14}`} />
              <path className="l l1" d={linePath(points, x, y)} />
            </>
          );
        }}
      </Picture>
      <p className="cap" role="status">
        <b>{words}</b>
      </p>
    </div>
  );
}

const SHARES_MOST = 6;
const SPARK_BUCKETS = 120;

/** Who contributed, each with its share and its own course over the same stretch. */
function Shares({ anomaly, window }: { anomaly: Anomaly; window: Window }) {
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
          <Spark points={pointsOf(seriesOf(part.sensor))} window={window} />
          <span className="meter data">
            <i style={{ width: `${part.share * 100}%` }} />
          </span>
          <span className="num">{percent(part.share)}</span>
        </li>
      ))}
    </ul>
  );
}

interface DrawingProps {
  width: number;
  now: number;
  anomaly: Anomaly;
  window: Window;
  points: readonly Pt[];
  samples: readonly Sample[] | null;
}

/** Spreads on each side of the mean that the baseline band covers. */
const BAND_SPREADS = 3;
const LETTER_PX = 6.4;

function Drawing({ width, now, anomaly, window, points, samples }: DrawingProps) {
  const { evidence, unit } = anomaly;
  const expected = aboutTime(anomaly) ? null : anomaly.expected;
  const values = points.map(([, value]) => value).filter(Number.isFinite);
  const learned = evidence.samples > 0;
  const half = evidence.baseline_spread * BAND_SPREADS;
  const band: [number, number] = [evidence.baseline_mean - half, evidence.baseline_mean + half];
  const [least, most] = extent([
    ...values,
    ...(aboutTime(anomaly) ? [] : [anomaly.value]),
    ...(learned ? [evidence.baseline_mean] : []),
  ]);
  // A limit far away would press the readings flat; the words name it all the same.
  const near = (limit: number) => limit > least - (most - least) * 1.5 && limit < most + (most - least) * 1.5;
  const limits = expected ? [expected.low, expected.high].filter(near) : [];
  const [bottomMost, topMost] = extent([least, most, ...limits]);
  const pad = Math.max((topMost - bottomMost) * 0.1, Math.abs(topMost) * 1e-4, 1e-6);
  const [low, high] = [bottomMost - pad, topMost + pad];
  const left = 48;
  const right = width - 14;
  const bottom = HEIGHT - FOOT;
  const x = (t: number) => left + ((t - window.from) / (window.to - window.from)) * (right - left);
  const y = (v: number) =>
    bottom - ((Math.min(high, Math.max(low, v)) - low) / (high - low)) * (bottom - TOP);
  const began = Date.parse(anomaly.started_at);
  const end = Math.min(window.to, anomaly.cleared_at ? Date.parse(anomaly.cleared_at) : now);
  const found = Date.parse(anomaly.detected_at);
  const apart = samples !== null && (right - left) / Math.max(1, samples.length) > POINTS_PX;
  const ticks = niceTicks(low, high, 4);
  return (
    <>
      <TimeGrid from={window.from} to={window.to} x={x} top={TOP} bottom={bottom} gap={84} />
      {ticks.map((tick) => (
        <g key={tick}>
          <path className="grid-l" d={`M${left} ${Math.round(y(tick)) + 0.5}H${right}`} />
          <text x={left - 6} y={y(tick) + 4} textAnchor="end">
            {tick.toLocaleString("en-US").replace("-", "\u2212")}
          </text>
        </g>
      ))}
      {learned ? (
        <>
          <rect
            className="fbase"
            x={left}
            y={y(band[1])}
            width={right - left}
            height={Math.max(1, y(band[0]) - y(band[1]))}
          />
          <path className="l lg" d={`M${left} ${y(evidence.baseline_mean)}H${right}`} />
        </>
      ) : null}
      <rect
        className="fb"
        x={x(began)}
        y={TOP}
        width={Math.max(2, x(end) - x(began))}
        height={bottom - TOP}
      />
      {limits.map((limit) => (
        <path key={limit} className="limit" d={`M${left} ${Math.round(y(limit)) + 0.5}H${right}`} />
      ))}
      <path className="l l1" d={linePath(points, x, y)} />
      {(samples ?? [])
        .filter((sample) => apart || !sample.good)
        .map((sample) =>
          sample.good ? (
            <circle key={sample.at} className="f1" cx={x(sample.at)} cy={y(sample.value)} r="2" />
          ) : (
            <circle
              key={sample.at}
              cx={x(sample.at)}
              cy={y(sample.value)}
              r="3"
              fill="var(--surface)"
              stroke="var(--d1)"
            />
          ),
        )}
      <Labels anomaly={anomaly} learned={learned} limits={limits} left={left} right={right} x={x} y={y} />
      <rect
        className="fls"
        x={Math.max(left, x(Date.parse(evidence.from)))}
        y={bottom - 1.5}
        width={Math.max(
          3,
          Math.min(right, x(Date.parse(evidence.to))) - Math.max(left, x(Date.parse(evidence.from))),
        )}
        height="3"
      />
      <path className="limit" d={`M${Math.round(x(began)) + 0.5} ${TOP - 6}V${bottom}`} />
      <Moment at={began} words="began" x={x} left={left} right={right} />
      {found <= window.to && found > began ? (
        <path className="cursor" d={`M${Math.round(x(found)) + 0.5} ${TOP - 6}V${bottom}`} />
      ) : null}
      {aboutTime(anomaly) ? null : (
        <Point anomaly={anomaly} x={x} y={y} left={left} right={right} unit={unit} />
      )}
    </>
  );
}

type Scale = (value: number) => number;

function Moment({
  at,
  words,
  x,
  left,
  right,
}: {
  at: number;
  words: string;
  x: Scale;
  left: number;
  right: number;
}) {
  const text = `${words} ${clockSeconds(at)}`;
  const wide = text.length * LETTER_PX;
  const middle = Math.min(right - wide / 2, Math.max(left + wide / 2, x(at)));
  return (
    <text className="lab" x={middle} y={TOP - 10} textAnchor="middle">
      {text}
    </text>
  );
}

interface LabelsProps {
  anomaly: Anomaly;
  learned: boolean;
  limits: readonly number[];
  left: number;
  right: number;
  x: Scale;
  y: Scale;
}

/** The words of band and limits, at the left where the readings are still usual. */
function Labels({ anomaly, learned, limits, left, right, x, y }: LabelsProps) {
  const { evidence } = anomaly;
  const expected = aboutTime(anomaly) ? null : anomaly.expected;
  const room = x(Date.parse(anomaly.started_at)) - left;
  const words: { key: string; at: number; text: string; above: boolean }[] = [];
  if (expected) {
    words.push(
      {
        key: "high",
        at: expected.high,
        text: `expected to ${evidenceNumber(anomaly, expected.high)}`,
        above: true,
      },
      {
        key: "low",
        at: expected.low,
        text: `expected from ${evidenceNumber(anomaly, expected.low)}`,
        above: false,
      },
    );
  }
  words.splice(0, words.length, ...words.filter((word) => limits.includes(word.at)));
  const usual = `usual ${evidenceNumber(anomaly, evidence.baseline_mean)} ± ${evidenceNumber(anomaly, evidence.baseline_spread)}`;
  const clear = words.every((word) => Math.abs(y(word.at) - y(evidence.baseline_mean)) > 26);
  if (learned && (clear || words.length === 0))
    words.push({
      key: "usual",
      at: evidence.baseline_mean - evidence.baseline_spread * BAND_SPREADS,
      text: usual,
      above: false,
    });
  return words
    .filter((word) => word.text.length * LETTER_PX + 12 < Math.max(room, right - left))
    .map((word) => (
      <text
        key={word.key}
        className="lab halo"
        x={left + 6}
        y={Math.min(HEIGHT - FOOT - 5, y(word.at) + (word.above ? -5 : 13))}
      >
        {word.text}
      </text>
    ));
}

/** Where it was detected: the reading that the finding names. */
function Point({
  anomaly,
  x,
  y,
  left,
  right,
  unit,
}: Omit<LabelsProps, "learned" | "limits"> & { unit: string | null | undefined }) {
  const found = Date.parse(anomaly.detected_at);
  const began = Date.parse(anomaly.started_at);
  // Found long after, by data that came late: the point is where it began.
  const at = x(found) <= right ? Math.max(found, began) : began;
  const px = Math.min(right, Math.max(left, x(at)));
  const py = y(anomaly.value);
  const words = `${evidenceNumber(anomaly, anomaly.value)}${unit ? `\u00a0${unit}` : ""}`;
  const before = px + words.length * 7 + 12 > right;
  return (
    <g>
      <circle cx={px} cy={py} r="5.5" fill="none" stroke="var(--ink)" strokeWidth="1.5" />
      <circle className="fink" cx={px} cy={py} r="2.2" />
      <text
        className="b halo"
        x={before ? px - 10 : px + 10}
        y={py - 8}
        textAnchor={before ? "end" : "start"}
      >
        {words}
      </text>
    </g>
  );
}

const ROWS_MOST = 120;

function EvidenceTable({ anomaly, points }: { anomaly: Anomaly; points: readonly Pt[] }) {
  const filled = points.filter(([, value]) => Number.isFinite(value));
  const every = Math.max(1, Math.ceil(filled.length / ROWS_MOST));
  const { evidence } = anomaly;
  return (
    <div className="moments">
      <DataTable
        label={`Evidence of ${sensorName(anomaly.sensor)}, ${anomaly.rule} at ${clockSeconds(anomaly.started_at)}, as table`}
        view={{
          columns: [
            { name: "At" },
            { name: anomaly.unit ? `Value, ${anomaly.unit}` : "Value", right: true },
            { name: "From usual", right: true },
            { name: "Part" },
          ],
          rows: filled
            .filter((_, index) => index % every === 0)
            .map(([at, value]) => ({
              key: String(at),
              cells: [
                moment(at, Date.now()).length > 5 ? `${moment(at, Date.now())}` : clockSeconds(at),
                number(value, anomaly.unit),
                evidence.baseline_spread > 0
                  ? `${number((value - evidence.baseline_mean) / evidence.baseline_spread)}\u00a0×`
                  : "–",
                at >= Date.parse(anomaly.started_at) ? "finding" : "before",
              ],
            })),
        }}
      />
    </div>
  );
}
