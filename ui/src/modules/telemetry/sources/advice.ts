/** What is wrong with a source in plain words, and what to do about it. */
import type { Source } from "../../../api/sources";
import { age, plural } from "../../../ui/format";
import { isCalm } from "./model";

interface Advice {
  what: string;
  /** What somebody can do; empty where nothing is to be done. */
  fix: string;
}

/** An error of a live source that is older than this is history. */
const RECENT_MS = 10 * 60_000;

interface Known {
  sign: RegExp;
  what: (source: Source) => string;
  fix: string;
}

const at = ({ address }: Source): string => (address ? ` at ${address}` : "");

/** Read from the top: the first sign that the message bears counts. */
const KNOWN: readonly Known[] = [
  {
    sign: /not ?authorized|bad ?user ?name|wrong user|user ?access ?denied|identity ?token|\b401\b|login/i,
    what: () => "The login was refused",
    fix: "Edit it and set user and password again, or give that user the right to read.",
  },
  {
    sign: /no endpoint|bad ?security|security ?(policy|mode|checks)/i,
    what: () => "The server does not offer this security",
    fix: "Choose a policy and mode that the server offers, and trust our certificate there.",
  },
  {
    sign: /certificate|unknown ?issuer|handshake|\btls\b/i,
    what: () => "The certificate is not trusted",
    fix: "Name the authority or the thumbprint of the server's certificate, or correct the host name.",
  },
  {
    sign: /failed to lookup|name or service not known|no such host|dns|resolve/i,
    what: () => "The host name is not known here",
    fix: "Check how it is written, or use an address.",
  },
  {
    sign: /connection ?refused|os error 111/i,
    what: (source) => `Nobody answers${at(source)}`,
    fix: "Check host and port, and that the program there runs.",
  },
  {
    sign: /unreachable|no route|os error 1(01|13)/i,
    what: (source) => `No way leads to the host${at(source)}`,
    fix: "Check the network between this machine and the host.",
  },
  {
    sign: /illegal ?(data ?address|data ?value|function)|exception/i,
    what: () => "The device refuses a register",
    fix: "Check addresses, kinds and the unit id of the register map.",
  },
  {
    sign: /bad ?node|node ?id/i,
    what: () => "The server does not know a node",
    fix: "Check the node ids; they may change when the server is set up anew.",
  },
  {
    sign: /payload|is no number|is no topic|no place|template|json/i,
    what: ({ refused }) => `${plural(refused, "message", "messages")} could not be read`,
    fix: "Compare what is sent with the topics and the payload that this source expects.",
  },
  {
    sign: /connected anew|client ?id|taken over/i,
    what: () => "Somebody else connects with the same client id",
    fix: "Give this source a client id of its own.",
  },
  {
    sign: /no answer|timed? ?out|deadline|keep alive/i,
    what: (source) => `No answer in time${at(source)}`,
    fix: "Check the network and a firewall between; a slow device needs a longer timeout.",
  },
  {
    sign: /reset|closed|broken pipe|end of file|\beof\b|connection lost/i,
    what: () => "The other end closed the connection",
    fix: "Its own log says why. Plainview connects again by itself.",
  },
];

/** Connected, and nothing comes. */
function silence(source: Source, now: number): Advice {
  if (source.kind === "agent") {
    const since = source.newest_at ? `, for ${age(now - Date.parse(source.newest_at))}` : "";
    return {
      what: `It no longer sends${since}`,
      fix: "Check that the agent runs and reaches this address; its own log says what it was answered.",
    };
  }
  if (source.newest_at)
    return {
      what: `Connected, and nothing came for ${age(now - Date.parse(source.newest_at))}`,
      fix: "Check whether the plant stands still or whoever publishes has stopped.",
    };
  if (source.protocol === "mqtt")
    return {
      what: "Connected, and nothing came yet",
      fix: "Check that somebody publishes, and that the topics fit what is published.",
    };
  if (source.protocol === "sparkplug_b")
    return {
      what: "Connected, and no edge node has announced itself yet",
      fix: "Check the groups, and that the nodes use this broker.",
    };
  return { what: "Connected, and nothing came yet", fix: "Check what it is told to read." };
}

/** Null while all is as it should be. */
export function adviceFor(source: Source, now: number): Advice | null {
  const error = source.last_error;
  const calm = isCalm(source);
  if (calm && (!error || source.state === "stopped" || now - Date.parse(error.at) > RECENT_MS)) return null;
  if (source.state === "silent" && !calm) return silence(source, now);
  if (!error) return null;
  const known = KNOWN.find(({ sign }) => sign.test(error.message));
  return known
    ? { what: known.what(source), fix: known.fix }
    : { what: error.message.charAt(0).toUpperCase() + error.message.slice(1), fix: "" };
}
