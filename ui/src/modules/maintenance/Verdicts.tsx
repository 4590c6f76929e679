import type { Verdict, WorkOrder } from "../../api/types";
import { Figure } from "../../ui/Figure";
import { plural, workNo } from "../../ui/format";
import { Empty } from "../../ui/Note";
import { Panel } from "../../ui/Panel";
import { VERDICTS } from "./words";

const ORDER: Verdict[] = ["confirmed", "false_alarm", "not_found"];
const ROW = 34;

/** Were we right? Counted from what people found, not from what the model says of itself. */
export function Verdicts({ works }: { works: readonly WorkOrder[] }) {
  const done = works.filter((work) => work.completion);
  const counts = ORDER.map((verdict) => ({
    verdict,
    n: done.filter((work) => work.completion?.verdict === verdict).length,
  }));
  if (done.length === 0) {
    return (
      <Panel title="Were we right?">
        <Empty title="No verdict yet" picture="bars">
          When work is closed, the person who did it says whether the prediction was right. The tally stands
          here.
        </Empty>
      </Panel>
    );
  }
  const right = counts[0]?.n ?? 0;
  const most = Math.max(...counts.map((each) => each.n));
  return (
    <Figure
      name="Were we right?"
      meta={plural(done.length, "verdict")}
      say
      summary={`${right} of ${done.length} predictions that led to work were confirmed.`}
      height={ORDER.length * ROW + 6}
      table={() => ({
        columns: [{ name: "Work" }, { name: "Verdict" }, { name: "Found" }],
        rows: done.map((work) => ({
          key: work.work_id,
          cells: [
            `${workNo(work.number)} ${work.title}`,
            work.completion ? VERDICTS[work.completion.verdict] : "–",
            work.completion?.notes ?? "–",
          ],
        })),
      })}
    >
      {(width) =>
        counts.map(({ verdict, n }, index) => {
          const left = 138;
          const w = ((width - left - 36) * n) / most;
          const y = index * ROW + 6;
          return (
            <g key={verdict}>
              <text className="lab" x={0} y={y + 15}>
                {VERDICTS[verdict]}
              </text>
              <rect
                className={index === 0 ? "f1" : "fls"}
                x={left}
                y={y + 2}
                width={Math.max(1, w)}
                height="18"
                rx="2"
              />
              <text className="m" x={left + w + 8} y={y + 15}>
                {n}
              </text>
            </g>
          );
        })
      }
    </Figure>
  );
}
