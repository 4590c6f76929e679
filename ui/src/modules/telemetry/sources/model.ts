import type { Flow, Source, SourceState } from "../../../api/sources";
import { duration, plural, sentence } from "../../../ui/format";

const PROTOCOLS: Record<string, string> = {
  json: "JSON",
  line_protocol: "Line protocol",
  remote_write: "Prometheus",
  otlp: "OTLP",
  file: "File",
  mqtt: "MQTT",
  broker: "Built-in broker",
  sparkplug_b: "Sparkplug B",
  modbus_tcp: "Modbus TCP",
  opc_ua: "OPC UA",
  simulation: "Simulation",
};

export const protocolName = (protocol: string): string =>
  PROTOCOLS[protocol] ?? sentence(protocol.replaceAll("_", " "));

/** `cathodic-protection` → `Cathodic protection`; a name with capitals is left as it was written. */
export const sourceName = ({ name }: Pick<Source, "name">): string =>
  name === name.toLowerCase() ? sentence(name.replaceAll(/[-_]/g, " ")) : name;

const WORST_FIRST: readonly SourceState[] = ["failing", "silent", "waiting", "connecting", "stopped", "live"];

/** An agent that sent fewer readings has no rhythm yet that it could fall out of: somebody tried a door. */
const RHYTHM_LEAST = 3;

/** Files come when somebody hands one in: between them nobody is silent. */
export const isIdle = (source: Source): boolean => source.protocol === "file" && source.state === "silent";

/** It is as somebody wants it to be. */
export const isCalm = (source: Source): boolean =>
  source.reconciled &&
  (source.state === "live" ||
    source.state === "stopped" ||
    isIdle(source) ||
    (source.kind === "agent" && source.readings < RHYTHM_LEAST));

export function worstFirst(a: Source, b: Source): number {
  return (
    Number(isCalm(a)) - Number(isCalm(b)) ||
    WORST_FIRST.indexOf(a.state) - WORST_FIRST.indexOf(b.state) ||
    b.rate_per_s - a.rate_per_s ||
    a.id.localeCompare(b.id)
  );
}

/** Readings per second, as short as it stays true: `3,902`, `0.4`. */
export function rate(perS: number): string {
  if (!Number.isFinite(perS)) return "–";
  if (perS === 0) return "0";
  if (perS < 0.05) return "< 0.1";
  return perS < 10
    ? perS.toLocaleString("en-US", { maximumFractionDigits: 1 })
    : Math.round(perS).toLocaleString("en-US");
}

const since = (at: string | null | undefined, now: number): string =>
  at == null ? "" : ` for ${duration((now - Date.parse(at)) / 1000)}`;

/** What is wrong with one source, as the end of its sentence. */
function trouble(source: Source, now: number): string | null {
  if (isCalm(source)) return null;
  const name = sourceName(source);
  if (source.desired === "running" && source.state === "stopped") return `${name} should run and is stopped`;
  if (source.desired === "stopped" && source.state !== "stopped") return `${name} is stopping`;
  switch (source.state) {
    case "silent":
      return `${name} silent${since(source.newest_at ?? source.last_heard_at, now)}`;
    case "failing":
      return source.newest_at ? `${name} failing, nothing${since(source.newest_at, now)}` : `${name} failing`;
    case "waiting":
      return `${name} waits to connect again`;
    case "connecting":
      return `${name} is connecting`;
    default:
      return null;
  }
}

/** The answer to "Is it fed?": `4,846 readings a second. Cathodic protection silent for 4 min.` */
export function headline(sources: readonly Source[], flow: Flow, now: number): string {
  if (sources.length === 0) return "Nothing feeds Plainview yet.";
  const amount = `${rate(flow.received_per_s)} readings a second`;
  const wrong = [...sources].sort(worstFirst).flatMap((source) => trouble(source, now) ?? []);
  const first = wrong[0];
  if (!first) return `${amount} from ${plural(sources.length, "source")}, nothing is silent.`;
  const more = wrong.length > 1 ? `, ${wrong.length - 1} more in trouble` : "";
  return `${amount}. ${first}${more}.`;
}

/** Desired against actual, when they disagree. That one which fails should run needs no words. */
export function disagreement(source: Source): string | null {
  if (source.reconciled || source.desired == null) return null;
  if (source.desired === "stopped") return "should be stopped";
  return source.state === "stopped" ? "should run" : null;
}

export function summary(sources: readonly Source[], flow: Flow): string {
  const fed = [...sources]
    .sort((a, b) => b.rate_per_s - a.rate_per_s)
    .slice(0, 6)
    .map((s) => `${sourceName(s)} ${s.state === "live" ? rate(s.rate_per_s) : s.state}`);
  const read = flow.readers.map((r) => readerName(r.name));
  return [
    `Data flow, readings a second: ${fed.join(", ") || "no source"}.`,
    `${rate(flow.stored_per_s)} stored, ${rate(flow.refused_per_s)} refused.`,
    read.length > 0 ? `Read by ${read.join(", ")}.` : "Nothing reads them.",
  ].join(" ");
}

const READERS: Record<string, string> = {
  "anomaly-detection": "Detectors",
  "leak-guard": "Leak guard",
  "process-detection": "Process detectors",
  screens: "Screens",
  "prometheus-api": "Grafana",
};

export const readerName = (name: string): string => READERS[name] ?? sentence(name.replaceAll(/[-_]/g, " "));
