import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  retainSearchParams,
} from "@tanstack/react-router";
import { paths } from "./paths";
import { Alarms } from "./places/Alarms";
import { Broken } from "./places/Broken";
import { Decisions } from "./places/Decisions";
import { Incident } from "./places/Incident";
import { Lost } from "./places/Lost";
import { Overview } from "./places/Overview";
import { Shell } from "./shell/Shell";
import { alarmSearch, connectSearch, decisionSearch, rootSearch, workbenchSearch } from "./shell/search";

const root = createRootRoute({
  component: Shell,
  notFoundComponent: Lost,
  validateSearch: rootSearch,
  search: { middlewares: [retainSearchParams(["range", "site"])] },
});

const overview = createRoute({ getParentRoute: () => root, path: paths.overview, component: Overview });

const alarms = createRoute({
  getParentRoute: () => root,
  path: paths.alarms,
  component: Alarms,
  validateSearch: alarmSearch,
});

const incident = createRoute({ getParentRoute: () => root, path: paths.incident, component: Incident });

const decisions = createRoute({
  getParentRoute: () => root,
  path: paths.decisions,
  component: Decisions,
  validateSearch: decisionSearch,
});

const workbench = createRoute({
  getParentRoute: () => root,
  path: paths.workbench,
  component: lazyRouteComponent(() => import("./places/Workbench"), "Workbench"),
  validateSearch: workbenchSearch,
});

const connect = createRoute({
  getParentRoute: () => root,
  path: paths.connect,
  component: lazyRouteComponent(() => import("./places/Connect"), "Connect"),
  validateSearch: connectSearch,
});

export const router = createRouter({
  routeTree: root.addChildren([overview, alarms, incident, decisions, workbench, connect]),
  basepath: "/app",
  defaultPreload: "intent",
  defaultErrorComponent: Broken,
  scrollRestoration: true,
  trailingSlash: "never",
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
