import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { alertsQuery } from "../api/queries";
import type { Alert, Priority } from "../api/types";
import { stands, unseen } from "../modules/incidents/standing";
import { age, clockSeconds, plural, sentence } from "../ui/format";
import { Glyph } from "../ui/Glyph";
import { Icon } from "../ui/Icon";
import { Menu } from "../ui/Menu";
import { useNow } from "../ui/time";
import { useRange, useSite, useStream } from "./hooks";
import { RANGES, type RangeName } from "./search";
import type { Theme } from "./theme";

const PRIORITIES: readonly Priority[] = [1, 2, 3, 4];

function SitePill() {
  const { sites, site, sensors, known, more } = useSite();
  const navigate = useNavigate();
  const name = site ?? (sites.length === 1 ? sites[0] : undefined);
  const words = (
    <>
      <b>{name ? sentence(name) : sites.length === 0 ? (known ? "No site yet" : "Site") : "All sites"}</b>{" "}
      {known ? (
        <span className="dim hide-phone">{`${plural(sensors.length, "sensor").replace(" ", more ? "+ " : " ")}`}</span>
      ) : null}
    </>
  );
  if (sites.length < 2) return <span className="pill still">{words}</span>;
  return (
    <Menu
      label="Site"
      button={
        <>
          {words}
          <Icon name="down" size={12} />
        </>
      }
    >
      {(close) =>
        [undefined, ...sites].map((each) => (
          <button
            key={each ?? "*"}
            type="button"
            aria-pressed={each === site}
            onClick={() => {
              close();
              void navigate({ to: ".", search: (old) => ({ ...old, site: each }) });
            }}
          >
            {each ? sentence(each) : "All sites"}
          </button>
        ))
      }
    </Menu>
  );
}

function RangePill() {
  const range = useRange();
  const navigate = useNavigate();
  return (
    <Menu
      label="Time range"
      button={
        <>
          <Icon name="clock" />
          <span>{range.label}</span>
          <Icon name="down" size={12} />
        </>
      }
    >
      {(close) =>
        (Object.keys(RANGES) as RangeName[]).map((name) => (
          <button
            key={name}
            type="button"
            aria-pressed={name === range.name}
            onClick={() => {
              close();
              void navigate({
                to: ".",
                search: (old) => ({ ...old, range: name, from: undefined, to: undefined }),
              });
            }}
          >
            {RANGES[name].name}
          </button>
        ))
      }
    </Menu>
  );
}

/** When in the range alarms came: the place where to look. */
function MiniHistory({ alerts }: { alerts: readonly Alert[] }) {
  const range = useRange();
  const x = (at: string) => ((Date.parse(at) - range.from) / (range.to - range.from)) * 128;
  const marks = alerts
    .filter((alert) => Date.parse(alert.raised_at) >= range.from)
    .sort((a, b) => b.priority - a.priority)
    .slice(-40);
  return (
    <span className="tm" aria-hidden="true">
      <svg viewBox="0 0 132 18">
        <path d="M0 9.5h132" stroke="var(--line-strong)" />
        <path d="M22 5.5v8M44 5.5v8M66 5.5v8M88 5.5v8M110 5.5v8" stroke="var(--line)" />
        {marks.map((alert) => (
          <path
            key={alert.alert_id}
            d={`M${x(alert.raised_at).toFixed(1)} ${1 + alert.priority}v${8.5 - alert.priority}`}
            stroke={alert.priority < 3 ? `var(--p${alert.priority})` : "var(--ink-3)"}
            strokeWidth="2"
          />
        ))}
        <circle cx="129.5" cy="9.5" r="2.5" fill="var(--ink)" />
      </svg>
    </span>
  );
}

function LivePill() {
  const stream = useStream();
  const now = useNow();
  const lost = stream.status === "lost";
  const newest = stream.newestAt;
  const words = lost ? "Not connected" : stream.status === "open" ? "Connected" : "Connecting";
  return (
    <span className="pill still live-pill">
      <i className={lost ? "dot hollow" : "live"} />
      <span className="desk">{words}</span>
      {newest !== null ? (
        <span className="dim">
          <span className="sr">newest reading </span>
          {age(now - newest)}
        </span>
      ) : null}
    </span>
  );
}

/** Nobody may read "no alarms" where the alarms could not be read. */
function AlarmCounts({ alerts, known }: { alerts: readonly Alert[]; known: boolean }) {
  if (!known) {
    return (
      <Link to="/alarms" className="pill bell">
        <span className="dim">Alarms not known</span>
      </Link>
    );
  }
  return <KnownCounts alerts={alerts} />;
}

function KnownCounts({ alerts }: { alerts: readonly Alert[] }) {
  const standing = alerts.filter(stands);
  const fresh = standing.filter(unseen).length;
  return (
    <Link to="/alarms" className="pill bell">
      <span className="sr">{standing.length === 0 ? "No alarms" : `Alarms, ${fresh} not acknowledged:`}</span>
      {standing.length === 0 ? <span className="dim">No alarms</span> : null}
      {PRIORITIES.map((p) => {
        const own = standing.filter((alert) => alert.priority === p);
        if (own.length === 0) return null;
        return (
          <span key={p} className={p > 2 ? "c hide-phone" : "c"}>
            <Glyph p={p} unack={own.some(unseen)} />
            <b>{own.length}</b>
          </span>
        );
      })}
    </Link>
  );
}

interface Props {
  theme: Theme;
  onPalette: () => void;
  onTheme: () => void;
  onMessages: () => void;
}

export function TopBar({ theme, onPalette, onTheme, onMessages }: Props) {
  const stream = useStream();
  const lost = stream.status === "lost";
  const list = useQuery(alertsQuery);
  const alerts = list.data?.items ?? [];
  const now = useNow();
  return (
    <header className="top">
      <SitePill />
      <span className="sep desk" />
      <span className="desk-c">
        <RangePill />
      </span>
      <span className="pill still desk clock-pill">
        <MiniHistory alerts={alerts} />
        <b>{lost ? "Last known" : "Live"}</b>
        <span className="dim num">{clockSeconds(lost ? (stream.lostSince ?? now) : now)}</span>
      </span>
      <span className="grow" />
      <button type="button" className="pill desk" aria-haspopup="dialog" onClick={onPalette}>
        <Icon name="search" />
        <span className="dim find-words">Find or do</span>
        <kbd>Ctrl K</kbd>
      </button>
      <LivePill />
      {list.isPending ? null : <AlarmCounts alerts={alerts} known={list.data !== undefined} />}
      <button type="button" className="pill desk" aria-label="Messages" title="Messages" onClick={onMessages}>
        <Icon name="message" />
      </button>
      <button
        type="button"
        className="pill desk"
        aria-label={`Theme: ${theme}. Change it`}
        title={`Theme: ${theme}`}
        onClick={onTheme}
      >
        <Icon name="theme" />
      </button>
    </header>
  );
}
