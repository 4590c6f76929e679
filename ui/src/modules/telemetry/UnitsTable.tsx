import { Link } from "@tanstack/react-router";
import type { Window } from "../../api/queries";
import type { Series } from "../../api/types";
import { moment } from "../../ui/format";
import { Glyph } from "../../ui/Glyph";
import { Panel } from "../../ui/Panel";
import { pointsOf } from "../../ui/points";
import { Scroll } from "../../ui/Scroll";
import { Spark } from "../../ui/svg";
import { useNow } from "../../ui/time";
import { calmWords, orderWorst, type Trouble, type UnitHealth } from "./units";

const MOST = 5;

const stateWords = ({ title, backAt }: Trouble, now: number): string =>
  backAt === null ? title : `${title}, back ${moment(backAt, now)}`;

interface Props {
  units: readonly UnitHealth[];
  series: ReadonlyMap<string, Series>;
  window: Window;
  rangeLabel: string;
}

export function UnitsTable({ units, series, window, rangeLabel }: Props) {
  const now = useNow(60_000);
  const shown = orderWorst(units).slice(0, MOST);
  const rest = units.length - shown.length;
  return (
    <Panel title="Units" meta={rest > 0 ? `worst ${shown.length} of ${units.length}` : "worst first"}>
      <Scroll label="Units table">
        <table className="tbl">
          <thead>
            <tr>
              <th scope="col">Unit</th>
              <th scope="col">State</th>
              <th scope="col" className="hide-phone">
                {rangeLabel}
              </th>
              <th scope="col" className="r">
                Since
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((unit) => (
              <tr key={unit.name}>
                <td className="k nowrap">
                  {unit.worst ? <Glyph p={unit.worst.priority} unack={unit.worst.unseen} /> : null}{" "}
                  {unit.name}
                </td>
                <td>{unit.worst ? stateWords(unit.worst, now) : calmWords(unit)}</td>
                <td className="hide-phone">
                  {unit.leading ? (
                    <Link
                      to="/workbench"
                      search={{ s: unit.leading }}
                      aria-label={`Open ${unit.leading} in the workbench`}
                      title={unit.leading}
                    >
                      <Spark points={pointsOf(series.get(unit.leading))} window={window} least={unit.quiet} />
                    </Link>
                  ) : (
                    "–"
                  )}
                </td>
                <td className="r nowrap">{unit.worst ? moment(unit.worst.from, now) : "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Panel>
  );
}
