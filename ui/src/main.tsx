import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Problem } from "./api/http";
import { LiveCache } from "./api/live";
import { adoptKeyFromFragment } from "./api/session";
import { EventStream } from "./api/stream";
import type { Alert, Envelope } from "./api/types";
import { router } from "./routes";
import { StreamContext } from "./shell/hooks";
import { applyTheme, currentTheme } from "./shell/theme";
import { toast } from "./ui/toasts";
import "./ui/tokens.css";
import "./ui/components.css";
import "./ui/app.css";
import "./ui/explorer.css";
import "./ui/narrow.css";
import "./ui/connect.css";

const RETRIES = 2;
/** After a gap the stream brings old events as well; they are no news. */
const ANNOUNCE_WITHIN_MS = 60_000;

adoptKeyFromFragment(window.location, window.history);
applyTheme(currentTheme());

const client = new QueryClient({
  defaultOptions: {
    queries: {
      // The stream keeps the cache fresh; asking again on every focus would only cost the rate limit.
      refetchOnWindowFocus: false,
      retry: (failures, error) => {
        if (!(error instanceof Problem)) return failures < RETRIES;
        return failures < RETRIES && (error.silent || error.status === 429 || error.status >= 500);
      },
      retryDelay: (failures, error) =>
        error instanceof Problem && error.retryAfterS
          ? Math.min(30, error.retryAfterS) * 1000
          : Math.min(8000, 500 * 2 ** failures),
    },
  },
});

/** Only what cannot wait is announced over the page. */
function announce(event: Envelope): void {
  if (event.type !== "alert.created" || Date.now() - Date.parse(event.time) > ANNOUNCE_WITHIN_MS) return;
  const alert = event.data as Alert;
  if (alert.priority !== 1) return;
  toast({
    text: alert.title,
    detail: "Stays until you close it",
    priority: 1,
    action: { label: "Open", run: () => void router.navigate({ to: "/alarms" }) },
  });
}

const live = new LiveCache(client, announce);
const stream = new EventStream(live.apply, live.refresh);
stream.start();

const host = document.getElementById("root");
if (host) {
  createRoot(host).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <StreamContext value={stream}>
          <RouterProvider router={router} />
        </StreamContext>
      </QueryClientProvider>
    </StrictMode>,
  );
}
