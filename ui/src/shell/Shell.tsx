import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { alertsQuery, decisionsQuery, meQuery } from "../api/queries";
import { stands } from "../modules/incidents/standing";
import { clockSeconds, sentence } from "../ui/format";
import { Icon, type IconName, Mark } from "../ui/Icon";
import { Toasts } from "../ui/toasts";
import { KeyDialog, KeysDialog, MessagesDialog } from "./dialogs";
import { openPrefix, useKeys, useStream } from "./hooks";
import { MoreDialog } from "./More";
import { Palette } from "./Palette";
import { TopBar } from "./TopBar";
import { currentTheme, nextTheme, onThemeChange, setTheme } from "./theme";

type Open = "palette" | "key" | "keys" | "messages" | "more" | null;

interface Place {
  to: "/" | "/alarms" | "/decisions" | "/workbench" | "/connect";
  icon: IconName;
  name: string;
  short?: string;
  count?: number;
  /** On a phone it is under More. */
  desk?: boolean;
}

/** A count of two digits needs the room of the longer name. */
const MANY = 9;

function Places({ onMore }: { onMore: () => void }) {
  const alerts = useQuery(alertsQuery).data?.items ?? [];
  const decisions = useQuery(decisionsQuery).data?.items ?? [];
  const places: Place[] = [
    { to: "/", icon: "overview", name: "Overview" },
    {
      to: "/alarms",
      icon: "alarms",
      name: "Alarms & incidents",
      short: "Alarms",
      count: alerts.filter(stands).length,
    },
    {
      to: "/decisions",
      icon: "decisions",
      name: "Decisions",
      count: decisions.filter((d) => d.state === "waiting").length,
    },
    { to: "/workbench", icon: "workbench", name: "Workbench" },
    { to: "/connect", icon: "connect", name: "Connect & admin", desk: true },
  ];
  return (
    <ul>
      {places.map((place) => (
        <li key={place.to} className={place.desk ? "desk" : undefined}>
          <Link
            to={place.to}
            activeOptions={{ exact: place.to === "/", includeSearch: false }}
            activeProps={{ "aria-current": "page" }}
            title={place.name}
          >
            <Icon name={place.icon} />
            <span>
              <span className={place.short ? "hide-phone" : undefined}>
                {place.short && (place.count ?? 0) > MANY ? place.short : place.name}
              </span>
              {place.short ? <span className="only-phone">{place.short}</span> : null}
            </span>
            {place.count ? (
              <span className="n">
                {place.count}
                <span className="sr"> open</span>
              </span>
            ) : null}
          </Link>
        </li>
      ))}
      <li className="phone">
        <button type="button" aria-haspopup="dialog" onClick={onMore}>
          <Icon name="more" />
          <span>More</span>
        </button>
      </li>
    </ul>
  );
}

function Account({ onKey }: { onKey: () => void }) {
  const me = useQuery(meQuery).data;
  const name = me?.role ? me.name : "Enter a key";
  return (
    <div className="who">
      <button type="button" aria-haspopup="dialog" onClick={onKey}>
        <span className="icon-only">
          <Icon name="key" />
          <span className="sr">{name}</span>
        </span>
        <b>{name}</b>
        <span className="sm dim">{me?.role ? sentence(me.role) : "You may look, not act"}</span>
      </button>
    </div>
  );
}

/** Across the page, above the title: what is shown is the last known state. */
function ConnectionBar() {
  const stream = useStream();
  if (stream.refused) {
    return (
      <div className="bar-lost" role="alert">
        <Icon name="key" />
        <span>
          <b>Live data needs a key.</b> Enter one in the account corner.
        </span>
      </div>
    );
  }
  if (stream.status !== "lost") return null;
  return (
    <div className="bar-lost" role="alert">
      <Icon name="cut" />
      <span>
        <b>No connection since {clockSeconds(stream.lostSince ?? Date.now())}.</b> You see the last known
        state. Acting is off and nothing is queued. It connects again by itself.
      </span>
    </div>
  );
}

const PREFIX = { g: openPrefix };

function useGoTo(): void {
  const navigate = useNavigate();
  const places = useMemo(() => {
    const go = (to: Place["to"]) => () => void navigate({ to });
    return { o: go("/"), a: go("/alarms"), d: go("/decisions"), w: go("/workbench"), c: go("/connect") };
  }, [navigate]);
  useKeys(PREFIX);
  useKeys(places, { afterPrefix: true });
}

export function Shell() {
  const [open, setOpen] = useState<Open>(null);
  const theme = useSyncExternalStore(onThemeChange, currentTheme);
  const lost = useStream().status === "lost";
  useGoTo();
  useKeys(useMemo(() => ({ "?": () => setOpen("keys") }), []));

  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setOpen((now) => (now === "palette" ? null : "palette"));
      }
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);

  const close = useCallback(() => setOpen(null), []);
  const toggleTheme = useCallback(() => setTheme(nextTheme(currentTheme())), []);
  const openKey = useCallback(() => setOpen("key"), []);
  const openKeys = useCallback(() => setOpen("keys"), []);
  const openMessages = useCallback(() => setOpen("messages"), []);

  return (
    <>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <div className={lost ? "app stale-data" : "app"}>
        <nav className="nav" aria-label="Places">
          <Link className="brand" to="/" aria-label="Plainview, overview">
            <Mark />
            <span>Plainview</span>
          </Link>
          <Places onMore={() => setOpen("more")} />
          <Account onKey={openKey} />
        </nav>
        <TopBar
          theme={theme}
          onPalette={() => setOpen("palette")}
          onTheme={toggleTheme}
          onMessages={openMessages}
        />
        <main className="main" id="main" tabIndex={-1}>
          <ConnectionBar />
          <Outlet />
        </main>
      </div>
      <Toasts />
      {open === "palette" ? (
        <Palette
          onClose={close}
          onTheme={toggleTheme}
          onKey={openKey}
          onKeys={openKeys}
          onMessages={openMessages}
        />
      ) : null}
      {open === "key" ? <KeyDialog onClose={close} /> : null}
      {open === "keys" ? <KeysDialog onClose={close} /> : null}
      {open === "messages" ? <MessagesDialog onClose={close} /> : null}
      {open === "more" ? (
        <MoreDialog
          onClose={close}
          theme={theme}
          onTheme={toggleTheme}
          onKey={openKey}
          onMessages={openMessages}
          onPalette={() => setOpen("palette")}
        />
      ) : null}
    </>
  );
}
