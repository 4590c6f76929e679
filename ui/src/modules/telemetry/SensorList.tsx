import { useMemo, useState } from "react";
import type { Sensor } from "../../api/types";
import { age, ownName, quantity } from "../../ui/format";
import { Glyph } from "../../ui/Glyph";
import { Panel } from "../../ui/Panel";
import { useNow } from "../../ui/time";
import { findSensors, useAllSensors } from "./find";
import { type Trouble, type Unit, unitsOf, worseFirst } from "./units";
import { isStale } from "./ValueStrip";

const MOST = 200;

interface Props {
  sensors: readonly Sensor[];
  troubles: readonly Trouble[];
  chosen: readonly string[];
  most: number;
  onToggle: (key: string) => void;
  /** All of them at once. */
  onAdd: (keys: readonly string[]) => void;
  /** There are more sensors than the list holds: words are asked of the server as well. */
  more?: boolean;
}

export function SensorList({ sensors, troubles, chosen, most, onToggle, onAdd, more }: Props) {
  const [query, setQuery] = useState("");
  const now = useNow();
  const all = useAllSensors(sensors, query, more === true);
  const found = useMemo(() => findSensors(all, query), [all, query]);
  const shown = found.slice(0, MOST);
  const full = chosen.length >= most;
  return (
    <Panel title="Sensors" meta={`${chosen.length} of ${sensors.length}${more ? "+" : ""}`}>
      <div className="in" style={{ paddingBottom: 8 }}>
        <input
          className="input"
          type="search"
          aria-label="Find sensors"
          placeholder="Find, or type asset:p-2"
          value={query}
          onChange={(event) => setQuery(event.target.value)}
        />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard */}
      <section className="sn" tabIndex={0} aria-label="Sensors found">
        {unitsOf(shown).map((unit) => (
          <div key={unit.name}>
            <UnitHead unit={unit} chosen={chosen} room={most - chosen.length} onAdd={onAdd} />
            <ul>
              {unit.sensors.map((sensor) => (
                <Row
                  key={sensor.key}
                  sensor={sensor}
                  now={now}
                  on={chosen.includes(sensor.key)}
                  off={full && !chosen.includes(sensor.key)}
                  trouble={
                    troubles.filter((t) => t.to === null && t.sensor === sensor.key).sort(worseFirst)[0]
                  }
                  onToggle={onToggle}
                />
              ))}
            </ul>
          </div>
        ))}
        {found.length === 0 ? (
          <p className="cap">
            {sensors.length === 0 ? "No sensor has reported yet." : "No sensor fits. Try a part of its name."}
          </p>
        ) : null}
        {found.length > MOST ? (
          <p className="cap">and {found.length - MOST} more, type to narrow down</p>
        ) : null}
        {full ? <p className="cap">At most {most} at a time, so that each can be read.</p> : null}
      </section>
    </Panel>
  );
}

interface HeadProps {
  unit: Unit;
  chosen: readonly string[];
  /** How many more may be chosen. */
  room: number;
  onAdd: (keys: readonly string[]) => void;
}

function UnitHead({ unit, chosen, room, onAdd }: HeadProps) {
  const rest = unit.sensors.map((sensor) => sensor.key).filter((key) => !chosen.includes(key));
  return (
    <div className="rowf between nw">
      <h3>{unit.name}</h3>
      {unit.sensors.length > 1 && rest.length > 0 && rest.length <= room ? (
        <button type="button" className="linky sm" onClick={() => onAdd(rest)}>
          all {unit.sensors.length}
          <span className="sr"> of {unit.name}</span>
        </button>
      ) : null}
    </div>
  );
}

/** The head above the row names its asset, too. */
const LONG_ASSET = 16;

interface RowProps {
  sensor: Sensor;
  now: number;
  on: boolean;
  off: boolean;
  trouble: Trouble | undefined;
  onToggle: (key: string) => void;
}

function Row({ sensor, now, on, off, trouble, onToggle }: RowProps) {
  const stale = isStale(sensor, now);
  const asset = ownName(sensor.asset);
  const words = !sensor.latest
    ? "no reading"
    : stale
      ? `${sensor.trust === "trusted" ? "" : `${sensor.trust} `}${age(now - Date.parse(sensor.latest.at))}`
      : quantity(sensor.latest.value, sensor.unit);
  return (
    <li>
      <label className="check" title={sensor.key}>
        <input type="checkbox" checked={on} disabled={off} onChange={() => onToggle(sensor.key)} />
        <span className="mono">
          {asset.length > LONG_ASSET ? sensor.measure : `${asset}/${sensor.measure}`}
        </span>
      </label>
      {trouble ? <Glyph p={trouble.priority} unack={trouble.unseen} /> : null}
      <span className="sm dim nowrap">{words}</span>
    </li>
  );
}
