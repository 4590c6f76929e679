import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Window } from "../../api/queries";
import type { Anomaly, ExplainedAnomaly, SeriesEvidence } from "../../api/types";
import { Picture } from "../../ui/Figure";
import { clockSeconds, moment, percent } from "../../ui/format";
import { Loading, ProblemNote } from "../../ui/Note";
import { linePath, type Pt, TimeGrid } from "../../ui/svg";
import { againWords, expectedWords, measureWords, observedWords, unweighedWords, weightsOf } from "./again";
import { FOOT } from "./EvidenceDrawing";
import { explainQuery, processOf } from "./evidence";

const HALF_DAY_MS = 43_200_000;
/** With its day where that is not clear. */
const momentSeconds = (at: string): string =>
  Date.now() - Date.parse(at) < HALF_DAY_MS ? clockSeconds(at) : moment(at, Date.now());

const SCORE_H = 96;
const SCORE_LIMIT = 0.5;

interface Props {
  anomaly: Anomaly;
  window: Window;
}

/** Judges the stored readings again and says what the answer rests on and whether it is the same. */
export function JudgeAgain({ anomaly, window }: Props) {
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
  if (!explained.data) return <Loading what="Judging it again" height={SCORE_H} />;
  if (processOf(anomaly)) return <RowsAgain explained={explained.data} window={window} />;
  return explained.data.series ? (
    <SeriesAgain explained={explained.data} series={explained.data.series} />
  ) : (
    <p className="cap" role="status">
      Nothing is kept about the readings that this anomaly rests on.
    </p>
  );
}

/** The score of the model of an asset, row by row. */
function RowsAgain({ explained, window }: { explained: ExplainedAnomaly; window: Window }) {
  const { anomaly, same, rows } = explained;
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

/** What a finding about one sensor consists of: its aspects, what was seen and what was expected. */
function SeriesAgain({ explained, series }: { explained: ExplainedAnomaly; series: SeriesEvidence }) {
  const { anomaly } = explained;
  const weights = weightsOf(series);
  return (
    <div className="again">
      <h3>What weighed how much</h3>
      {weights.length === 0 ? (
        <p className="cap">{unweighedWords(anomaly)}</p>
      ) : (
        <ul className="contrib" aria-label="What weighed how much">
          {weights.map(({ words, share }) => (
            <li key={words}>
              <span>{words}</span>
              <span className="meter data">
                <i style={{ width: `${share * 100}%` }} />
              </span>
              <span className="num">{percent(share)}</span>
            </li>
          ))}
        </ul>
      )}
      <AgainstBand series={series} />
      <dl className="kv left">
        <dt>Observed</dt>
        <dd>{observedWords(anomaly, series)}</dd>
        <dt>Expected</dt>
        <dd>{expectedWords(anomaly, series)}</dd>
        <dt>{anomaly.rule === "score" ? "Score" : "Severity"}</dt>
        <dd>{measureWords(anomaly, series)}</dd>
        <dt>Found at</dt>
        <dd>{momentSeconds(series.found_at)}</dd>
        <dt>Detector</dt>
        <dd className="mono">
          {series.detector.name} {series.detector.version}
        </dd>
      </dl>
      <p className="cap" role="status">
        <b>{againWords(explained)}</b>
      </p>
    </div>
  );
}

const BAND_H = 20;
/** Left and right of what is farthest out, of all that is shown. */
const ROOM = 0.08;

/** The expected range as a bar and what was observed as a dot; the words beside it say the same. */
function AgainstBand({ series: { observed, expected } }: { series: SeriesEvidence }) {
  if (!expected || !(expected.high >= expected.low)) return null;
  const low = Math.min(expected.low, observed);
  const high = Math.max(expected.high, observed);
  const room = (high - low || 1) * ROOM;
  const share = (value: number) => (value - low + room) / (high - low + 2 * room);
  const left = share(expected.low) * 100;
  return (
    <svg className="against" width="100%" height={BAND_H} aria-hidden="true">
      <rect className="fsunk" y="4" width="100%" height="12" rx="2" />
      <rect className="fb" x={`${left}%`} y="4" width={`${share(expected.high) * 100 - left}%`} height="12" />
      <circle className="f1" cx={`${share(observed) * 100}%`} cy={BAND_H / 2} r="5" />
    </svg>
  );
}
