import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import { decisionsQuery, incidentsQuery, sensorsQuery } from "../api/queries";
import { useAllSensors } from "../modules/telemetry/find";
import { decisionNo, hasAll, incidentNo, sensorName, wordsOf } from "../ui/format";
import { Icon, type IconName } from "../ui/Icon";
import { RANGES, type RangeName } from "./search";

interface Entry {
  id: string;
  icon: IconName;
  name: string;
  hint: string;
  run: () => void;
}

const MOST = 12;

interface Props {
  onClose: () => void;
  onTheme: () => void;
  onKey: () => void;
  onKeys: () => void;
  onMessages: () => void;
}

const NONE: never[] = [];

function useEntries({ onClose, onTheme, onKey, onKeys, onMessages }: Props, query: string): Entry[] {
  const navigate = useNavigate();
  const list = useQuery(sensorsQuery).data;
  const sensors = useAllSensors(list?.items ?? NONE, query, list?.next != null);
  const incidents = useQuery(incidentsQuery).data?.items;
  const decisions = useQuery(decisionsQuery).data?.items;
  return useMemo(() => {
    const go = (run: () => unknown) => () => {
      onClose();
      run();
    };
    const entries: Entry[] = [
      { id: "o", icon: "overview", name: "Overview", hint: "G O", run: go(() => navigate({ to: "/" })) },
      {
        id: "a",
        icon: "alarms",
        name: "Alarms & incidents",
        hint: "G A",
        run: go(() => navigate({ to: "/alarms" })),
      },
      {
        id: "d",
        icon: "decisions",
        name: "Decisions",
        hint: "G D",
        run: go(() => navigate({ to: "/decisions" })),
      },
      {
        id: "w",
        icon: "workbench",
        name: "Workbench",
        hint: "G W",
        run: go(() => navigate({ to: "/workbench" })),
      },
      {
        id: "c",
        icon: "connect",
        name: "Connect & admin",
        hint: "G C",
        run: go(() => navigate({ to: "/connect" })),
      },
      {
        id: "add-source",
        icon: "connect",
        name: "Add a source",
        hint: "MQTT, Modbus, OPC UA",
        run: go(() => navigate({ to: "/connect", search: { add: "1" } })),
      },
      {
        id: "g",
        icon: "go",
        name: "Golden path",
        hint: "send a test fault through every stage",
        run: go(() => navigate({ to: "/workbench", search: { tab: "golden" } })),
      },
    ];
    for (const decision of decisions ?? []) {
      entries.push({
        id: decision.decision_id,
        icon: "decisions",
        name: `${decisionNo(decision.number)} ${decision.title}`,
        hint: decision.state,
        run: go(() => navigate({ to: "/decisions", search: { decision: decision.decision_id } })),
      });
    }
    for (const incident of incidents ?? []) {
      entries.push({
        id: incident.incident_id,
        icon: "alarms",
        name: `${incidentNo(incident.number)} ${incident.title}`,
        hint: incident.state,
        run: go(() =>
          navigate({ to: "/incidents/$incidentId", params: { incidentId: incident.incident_id } }),
        ),
      });
    }
    for (const sensor of sensors) {
      entries.push({
        id: sensor.key,
        icon: "workbench",
        name: sensor.key,
        hint: `${sensorName(sensor.key)}, open in Workbench`,
        run: go(() => navigate({ to: "/workbench", search: { s: sensor.key } })),
      });
    }
    for (const [name, range] of Object.entries(RANGES)) {
      entries.push({
        id: `range-${name}`,
        icon: "clock",
        name: range.name,
        hint: "time range",
        run: go(() => navigate({ to: ".", search: (old) => ({ ...old, range: name as RangeName }) })),
      });
    }
    entries.push(
      {
        id: "messages",
        icon: "message",
        name: "Messages",
        hint: "what people were told",
        run: go(onMessages),
      },
      { id: "theme", icon: "theme", name: "Change the theme", hint: "system, light, dark", run: go(onTheme) },
      { id: "key", icon: "key", name: "Enter a key", hint: "account", run: go(onKey) },
      { id: "keys", icon: "more", name: "All keys", hint: "?", run: go(onKeys) },
    );
    return entries;
  }, [navigate, sensors, incidents, decisions, onClose, onTheme, onKey, onKeys, onMessages]);
}

/** Every word must occur; a hit at the start of the name comes first. */
export function match<T extends { name: string; hint: string }>(entries: readonly T[], query: string): T[] {
  const words = wordsOf(query);
  if (words.length === 0) return entries.slice(0, MOST);
  const first = words[0] ?? "";
  return entries
    .filter((entry) => hasAll(`${entry.name} ${entry.hint}`, words))
    .sort((a, b) => rank(a.name, first) - rank(b.name, first))
    .slice(0, MOST);
}

const rank = (name: string, word: string) => {
  const at = name.toLowerCase().indexOf(word);
  return at < 0 ? 1000 : at;
};

export function Palette(props: Props) {
  const { onClose } = props;
  const [query, setQuery] = useState("");
  const entries = useEntries(props, query);
  const [index, setIndex] = useState(0);
  const list = useId();
  const ref = useRef<HTMLDialogElement>(null);
  const found = useMemo(() => match(entries, query), [entries, query]);
  const active = Math.min(index, found.length - 1);

  useEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);

  useEffect(() => {
    document.getElementById(`${list}-${active}`)?.scrollIntoView?.({ block: "nearest" });
  }, [active, list]);

  const press = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setIndex((active + 1) % Math.max(1, found.length));
    else if (event.key === "ArrowUp") setIndex((active - 1 + found.length) % Math.max(1, found.length));
    else if (event.key === "Enter") found[active]?.run();
    else return;
    event.preventDefault();
  };

  return (
    <dialog
      ref={ref}
      className="dialog palette"
      aria-label="Find or do"
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onMouseDown={(event) => {
        if (event.target === ref.current) onClose();
      }}
    >
      <div className="find">
        <Icon name="search" />
        <input
          role="combobox"
          aria-label="Find or do"
          aria-expanded="true"
          aria-controls={list}
          aria-activedescendant={found.length > 0 ? `${list}-${active}` : undefined}
          placeholder="A sensor, an incident, a place, something to do"
          value={query}
          autoComplete="off"
          spellCheck={false}
          onKeyDown={press}
          onChange={(event) => {
            setQuery(event.target.value);
            setIndex(0);
          }}
        />
        <kbd className="hide-phone">Esc</kbd>
      </div>
      <div role="listbox" id={list} aria-label="Found" className="found" tabIndex={-1}>
        {found.map((entry, at) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: keys are handled by the field that keeps the focus
          // biome-ignore lint/a11y/useFocusableInteractive: the field keeps the focus
          <div
            key={entry.id}
            id={`${list}-${at}`}
            role="option"
            className="opt"
            aria-selected={at === active}
            onClick={entry.run}
            onMouseMove={() => setIndex(at)}
          >
            <Icon name={entry.icon} />
            <span className="grow">
              <b>{entry.name}</b> <span className="dim">{entry.hint}</span>
            </span>
            {at === active ? <kbd>Enter</kbd> : null}
          </div>
        ))}
      </div>
      {found.length === 0 ? <p className="none">Nothing fits. Try a sensor such as p-2/vibration.</p> : null}
    </dialog>
  );
}
