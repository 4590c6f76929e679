import { clockSeconds, duration, moment, sensorName } from "../../ui/format";
import { ProblemNote } from "../../ui/Note";
import { Panel } from "../../ui/Panel";
import { Scroll } from "../../ui/Scroll";
import { type Change, levelWords, movedWords, sureWords } from "./changepoints";

const SHOWN = 8;
const HALF_DAY_MS = 43_200_000;

const TITLE = "Level changes in this window";

interface Props {
  changes: readonly Change[];
  /** Why they may be missing. */
  error: unknown;
  retry: () => void;
  now: number;
  /** Whether the anomaly that stands meanwhile can be shown. */
  known: (anomaly: string) => boolean;
  onOpen: (anomaly: string) => void;
}

/** What the steps in the plots are; each opens the anomaly that stands meanwhile. */
export function ChangepointList({ changes, error, retry, now, known, onOpen }: Props) {
  if (error) {
    return (
      <Panel title={TITLE}>
        <div className="in">
          <ProblemNote error={error} what="The level changes could not be read" retry={retry} />
        </div>
      </Panel>
    );
  }
  if (changes.length === 0) return null;
  const shown = changes.slice(-SHOWN).reverse();
  const at = (ms: number) => (now - ms < HALF_DAY_MS ? clockSeconds(ms) : moment(ms, now));
  return (
    <Panel
      title={TITLE}
      meta={
        shown.length < changes.length ? `${shown.length} of ${changes.length}, newest first` : "newest first"
      }
    >
      <Scroll label="Level changes table">
        <table className="tbl">
          <thead>
            <tr>
              <th scope="col">Where</th>
              <th scope="col" className="r">
                Before
              </th>
              <th scope="col" className="r">
                After
              </th>
              <th scope="col" className="r hide-phone">
                Moved
              </th>
              <th scope="col">Changed</th>
              <th scope="col">Noticed</th>
              <th scope="col" className="r">
                Confidence
              </th>
              <th scope="col" className="hide-phone">
                Detector
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((change) => {
              const { anomaly } = change;
              const [before, after] = levelWords(change.before, change.after, change.unit);
              return (
                <tr key={change.id}>
                  <td className="k nowrap">
                    {anomaly && known(anomaly) ? (
                      <button
                        type="button"
                        className="linky plain"
                        aria-haspopup="dialog"
                        onClick={() => onOpen(anomaly)}
                      >
                        {sensorName(change.sensor)}
                        <span className="sr">, evidence</span>
                      </button>
                    ) : (
                      sensorName(change.sensor)
                    )}
                  </td>
                  <td className="r nowrap">{before}</td>
                  <td className="r nowrap">{after}</td>
                  <td className="r nowrap hide-phone">{movedWords(change)}</td>
                  <td className="nowrap">{at(change.at * 1000)}</td>
                  <td className="nowrap">{duration(change.noticed / 1000 - change.at)} later</td>
                  <td className="r">{sureWords(change.confidence)}</td>
                  <td className="mono nowrap hide-phone">{change.detector}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </Scroll>
    </Panel>
  );
}
