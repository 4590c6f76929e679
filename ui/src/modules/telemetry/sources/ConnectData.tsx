import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { arrivedQuery, keysQuery, makeKey, type NewKey, type Source } from "../../../api/sources";
import { since } from "../../../api/tail";
import type { Sensor } from "../../../api/types";
import { useMay, useSite } from "../../../shell/hooks";
import { CopyButton } from "../../../ui/CopyButton";
import { clock, number, sensorName } from "../../../ui/format";
import { Tick } from "../../../ui/Icon";
import { ProblemNote } from "../../../ui/Note";
import { Panel } from "../../../ui/Panel";
import { useNow } from "../../../ui/time";
import { protocolName } from "./model";
import { SensorDialog } from "./SensorDialog";
import { SnippetBox } from "./SnippetBox";
import { CLIENTS, type Client, freshAsset, freshName, HINTS, sampleSensor, snippet } from "./snippets";

const PLACE_OF_KEY = "$PLAINVIEW_KEY";

interface Arrival {
  at: string;
  /** Through which door, when a source says so. */
  door: string | null;
  sensor: Sensor | null;
  value: number | null;
}

/** The first sample since the key was made: a source of the key's name, the sensor of the snippet, or any
 *  sensor that was not there before. */
function useArrival(made: NewKey | null, sources: readonly Source[], expected: string): Arrival | null {
  const [arrived, setArrived] = useState<Arrival | null>(null);
  const waiting = made !== null && arrived?.sensor == null;
  const beat = useNow();
  // Heard, but not under the name we proposed: then any new sensor is the one.
  const part = arrived ? undefined : expected;
  const sensors = useQuery(arrivedQuery(part, waiting)).data?.items;
  useEffect(() => {
    void beat;
    if (!made || (arrived?.sensor && arrived.door)) return;
    const after = Date.parse(made.created_at);
    const own = sources.find((source) => source.name === made.name && source.readings > 0);
    const sensor = (sensors ?? []).find(
      (each) =>
        Date.parse(each.created_at) >= after ||
        (each.key === expected && Date.parse(each.latest?.received_at ?? "") >= after),
    );
    // The stream is a moment ahead of the lists.
    const [ticked] = since(expected, after - 1000);
    if (!own && !sensor && !ticked) return;
    const next: Arrival = {
      at: arrived?.at ?? new Date().toISOString(),
      door: own ? protocolName(own.protocol) : (arrived?.door ?? null),
      sensor: sensor ?? arrived?.sensor ?? null,
      value: sensor?.latest?.value ?? ticked?.[1] ?? null,
    };
    if (next.sensor?.key !== arrived?.sensor?.key || next.door !== arrived?.door || !arrived)
      setArrived(next);
  }, [beat, made, arrived, sources, sensors, expected]);
  return made ? arrived : null;
}

/** The site with the most sensors. */
function largest(sites: readonly string[], sensors: readonly Sensor[]): string | undefined {
  const size = (site: string) => sensors.filter((sensor) => sensor.site === site).length;
  return [...sites].sort((a, b) => size(b) - size(a))[0];
}

/** The broker inside Plainview, else one that we read from. */
function brokerOf(sources: readonly Source[]): { address: string; own: boolean } | null {
  for (const protocol of ["broker", "mqtt"]) {
    const address = sources
      .filter((source) => source.protocol === protocol)
      .flatMap((source) => /([\w.-]+:\d+)/.exec(source.address)?.[1] ?? [])[0];
    if (address) return { address, own: protocol === "broker" };
  }
  return null;
}

export function ConnectData({ sources }: { sources: readonly Source[] }) {
  const may = useMay("admin");
  const { sensors, sites, site } = useSite();
  const keys = useQuery({ ...keysQuery, enabled: may.ok });
  const [client, setClient] = useState<Client>("curl");
  const [made, setMade] = useState<NewKey | null>(null);
  const [naming, setNaming] = useState(false);
  const [named, setNamed] = useState<string | null>(null);
  const ownSite = site ?? largest(sites, sensors) ?? "site-1";
  // The asset is chosen once: the snippet must not change under the hands of whoever copies it.
  const known = sensors.length > 0;
  // biome-ignore lint/correctness/useExhaustiveDependencies: see above
  const asset = useMemo(
    () =>
      freshAsset(
        sensors.map((s) => s.key),
        ownSite,
      ),
    [ownSite, known],
  );
  const expected = sampleSensor({ site: ownSite, asset });
  const arrived = useArrival(made, sources, expected);
  const taken = (keys.data?.items ?? []).map((key) => key.name);
  const name = made?.name ?? freshName(taken);
  const broker = brokerOf(sources);
  const facts = {
    origin: location.origin,
    key: made?.secret ?? PLACE_OF_KEY,
    keyName: name,
    site: ownSite,
    asset,
    broker,
  };
  const text = snippet(client, facts);

  return (
    <Panel
      title="Connect data"
      id="connect-data"
      meta={
        <span className="tag" role="status">
          <i className={arrived ? "dot" : "dot hollow"} />
          {arrived ? "live" : made ? "waiting for the first sample" : "no key yet"}
        </span>
      }
    >
      <div className="in">
        <SnippetBox
          legend="Kind of client"
          choices={CLIENTS}
          chosen={client}
          onChoose={setClient}
          text={text}
        />
        <div className="rowf between nw snippet-foot">
          <span className="hint">
            {made ? (
              <>
                Key <b>{made.name}</b>, may write only. Shown once.
              </>
            ) : client === "MQTT" && !broker ? (
              "Add the built-in broker, or one of yours, as a source first."
            ) : (
              HINTS[client]
            )}
          </span>
          <CopyButton text={text} what={`${client} example`} />
        </div>
      </div>
      <div className="in">
        <ol className="steps connect-steps">
          <KeyStep made={made} name={name} may={may} onMade={setMade} />
          <SampleStep made={made} arrived={arrived} />
          <NameStep arrived={arrived} named={named} onName={() => setNaming(true)} />
        </ol>
      </div>
      {naming && arrived?.sensor ? (
        <SensorDialog
          sensorKey={arrived.sensor.key}
          onClose={() => setNaming(false)}
          onDone={() => {
            setNaming(false);
            setNamed(arrived.sensor?.key ?? null);
          }}
        />
      ) : null}
    </Panel>
  );
}

interface KeyStepProps {
  made: NewKey | null;
  name: string;
  may: { ok: boolean; why: string | null };
  onMade: (key: NewKey) => void;
}

function KeyStep({ made, name, may, onMade }: KeyStepProps) {
  const client = useQueryClient();
  const make = useMutation({
    mutationFn: () => makeKey(name, "ingest"),
    onSuccess: (key) => {
      onMade(key);
      void client.invalidateQueries({ queryKey: ["keys"] });
    },
    // The name may have been taken meanwhile: the list says which are free.
    onError: () => void client.invalidateQueries({ queryKey: ["keys"] }),
  });
  if (made) {
    return (
      <li className="done">
        <span className="step-i">
          <Tick />
        </span>
        <h3>Key made</h3>
        <span className="when">{clock(made.created_at)}</span>
      </li>
    );
  }
  return (
    <li className="now" aria-current="step">
      <span className="step-i">1</span>
      <div>
        <h3>Make a key</h3>
        <p className="d">
          It may hand in readings and nothing else, and is filled in above.
          {may.why ? ` Making one ${may.why}.` : ""}
        </p>
        {may.why ? <p className="d mono">plainview keys create --name {name} --role ingest</p> : null}
        {make.error ? <ProblemNote error={make.error} what="The key was not made" /> : null}
      </div>
      <button
        type="button"
        className="btn s"
        disabled={!may.ok || make.isPending}
        onClick={() => make.mutate()}
      >
        Make key {name}
      </button>
    </li>
  );
}

function SampleStep({ made, arrived }: { made: NewKey | null; arrived: Arrival | null }) {
  if (arrived) {
    const { sensor, value, door } = arrived;
    return (
      <li className="done" data-arrived={sensor?.key ?? ""}>
        <span className="step-i">
          <Tick />
        </span>
        <div>
          <h3>First sample is here</h3>
          <p className="d">
            {sensor ? (
              <>
                <Link to="/workbench" search={{ s: sensor.key, range: "15m" }}>
                  {sensor.key}
                </Link>
                {value === null
                  ? ""
                  : ` reads ${number(value, sensor.unit)}${sensor.unit ? ` ${sensor.unit}` : ""}`}
              </>
            ) : (
              "It is stored"
            )}
            {door ? `, through ${door}.` : "."}
          </p>
        </div>
        <span className="when">{clock(arrived.at)}</span>
      </li>
    );
  }
  return (
    <li className={made ? "now" : "wait"} aria-current={made ? "step" : undefined}>
      <span className="step-i">2</span>
      <div>
        <h3>Send one sample</h3>
        {made ? <p className="d">This turns to live by itself.</p> : null}
      </div>
    </li>
  );
}

function NameStep({
  arrived,
  named,
  onName,
}: {
  arrived: Arrival | null;
  named: string | null;
  onName: () => void;
}) {
  const may = useMay("engineer");
  const ready = arrived?.sensor != null;
  if (named) {
    return (
      <li className="done">
        <span className="step-i">
          <Tick />
        </span>
        <h3>{sensorName(named)} is described</h3>
      </li>
    );
  }
  return (
    <li className={ready ? "now" : "wait"} aria-current={ready ? "step" : undefined}>
      <span className="step-i">3</span>
      <div>
        <h3>Name the sensor, set its range</h3>
        {ready && may.why ? <p className="d">Setting it {may.why}.</p> : null}
      </div>
      {ready ? (
        <button type="button" className="btn s" aria-haspopup="dialog" disabled={!may.ok} onClick={onName}>
          Describe it…
        </button>
      ) : null}
    </li>
  );
}
