import { useQuery } from "@tanstack/react-query";
import {
  type Agent,
  agentsQuery,
  type Health,
  healthQuery,
  lettersQuery,
  type Source,
  sourcesQuery,
} from "../../api/sources";
import { age, bytes, duration, plural, sentence } from "../../ui/format";
import { Tick } from "../../ui/Icon";
import { Loading, ProblemNote } from "../../ui/Note";
import { Panel } from "../../ui/Panel";
import { isCalm } from "../telemetry/sources/model";

type Standing = Health["status"];

interface Finding {
  name: string;
  standing: Standing;
  detail: string;
}

/** A Date header is this exact; more is a clock that is wrong. */
const SKEW_FINE_MS = 2000;
const SKEW_BAD_MS = 60_000;

const WORST: readonly Standing[] = ["failing", "degraded", "ok"];

const NAMES: Record<string, string> = {
  event_bus: "Events",
  series: "Readings",
  database: "Records",
  cache: "Cache",
  mqtt: "MQTT",
};

const BYTES = /\b(\d{4,}) bytes\b/;

/** What the checks say, as people say it. */
const readable = (detail: string): string =>
  detail
    .replace(BYTES, (_all, n) => bytes(Number(n)))
    .replace(
      /\b(\d{4,}) (sensors|readings|events)\b/g,
      (_all, n, what) => `${Number(n).toLocaleString("en-US")} ${what}`,
    )
    .replace(/^log at (\d+)$/, (_all, n) => `${Number(n).toLocaleString("en-US")} events written`)
    .replace(/^sqlite answers$/, "SQLite answers")
    .replace(/^not configured$/, "not used here");

function clockFinding(skew: number | null): Finding[] {
  if (skew === null) return [];
  const size = Math.abs(skew);
  return [
    {
      name: "Clock",
      standing: size > SKEW_BAD_MS ? "failing" : size > SKEW_FINE_MS ? "degraded" : "ok",
      detail:
        size > SKEW_FINE_MS
          ? `this screen is ${age(size)} ${skew > 0 ? "ahead of" : "behind"} the server`
          : "this screen and the server agree",
    },
  ];
}

/** What the server says of itself, and what the lists of this page add to it. Worst first. */
export function findings(
  said: { health: Health; skew_ms: number | null },
  sources: readonly Source[] | undefined,
  agents: readonly Agent[] | undefined,
  letters: number | undefined,
): Finding[] {
  // Of the sources, those of MQTT among them, this page knows more than one line of the server.
  const known = new Set(sources?.length ? ["sources", "mqtt"] : []);
  const told = Object.entries(said.health.checks).filter(([name]) => !known.has(name));
  const out: Finding[] = told.map(([name, check]) => ({
    name: NAMES[name] ?? sentence(name.replaceAll("_", " ")),
    standing: check.status,
    detail: readable(check.detail),
  }));
  out.push(...clockFinding(said.skew_ms));
  if (sources && sources.length > 0) {
    const wrong = sources.filter((source) => !isCalm(source));
    out.push({
      name: "Sources",
      standing: wrong.some((s) => s.state === "failing") ? "failing" : wrong.length > 0 ? "degraded" : "ok",
      detail:
        wrong.length === 0
          ? sources.length === 1
            ? "the one is as it should be"
            : `all ${sources.length} as they should be`
          : `${wrong.length} of ${sources.length} not as they should be`,
    });
  }
  if (agents && agents.length > 0) {
    const down = agents.filter((agent) => agent.state !== "running");
    out.push({
      name: "Agents",
      standing: down.length > 0 ? "degraded" : "ok",
      detail:
        down.length === 0
          ? `all ${agents.length} run`
          : down.map((agent) => `${agent.title} ${agent.state}`).join(", "),
    });
  }
  if (letters !== undefined) {
    out.push({
      name: "Dead letters",
      standing: letters > 0 ? "degraded" : "ok",
      detail: letters === 0 ? "none" : plural(letters, "waits", "wait"),
    });
  }
  return out.sort((a, b) => WORST.indexOf(a.standing) - WORST.indexOf(b.standing));
}

export function Doctor() {
  const said = useQuery(healthQuery);
  const sources = useQuery(sourcesQuery).data?.sources;
  const agents = useQuery(agentsQuery).data?.items;
  const letters = useQuery(lettersQuery).data?.items.filter((letter) => letter.state === "waiting").length;
  const all = said.data ? findings(said.data, sources, agents, letters) : [];
  const wrong = all.filter((each) => each.standing !== "ok").length;
  return (
    <Panel
      title="Doctor"
      id="doctor"
      meta={
        said.data
          ? wrong === 0
            ? `${all.length} checks, all well`
            : `${wrong} of ${all.length} need a look`
          : undefined
      }
    >
      {said.error ? (
        <div className="in">
          <ProblemNote
            error={said.error}
            what="The health could not be read"
            retry={() => void said.refetch()}
          />
        </div>
      ) : null}
      {said.isPending ? <Loading what="Asking each part" /> : null}
      <ul className="checks in">
        {all.map((each) => (
          <li key={each.name} className={each.standing === "ok" ? undefined : "wrong"}>
            <span className="box">{each.standing === "ok" ? <Tick /> : "!"}</span>
            <span className="k">{each.name}</span>
            <span className="dim two-lines" title={each.detail}>
              {each.detail}
            </span>
            {each.standing === "ok" ? <span className="sr">ok</span> : <b>{each.standing}</b>}
          </li>
        ))}
      </ul>
      {said.data ? (
        <p className="in cap no-line">
          Plainview {said.data.health.version}, up {duration(said.data.health.uptime_sec)}.{" "}
          <span className="hide-phone">
            <code>plainview doctor</code> on the server also checks settings, ports and disk.
          </span>
        </p>
      ) : null}
    </Panel>
  );
}
