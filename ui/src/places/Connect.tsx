import { useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useCallback, useState } from "react";
import { type Source, sourcesQuery } from "../api/sources";
import { Agents } from "../modules/system/Agents";
import { DeadLetters } from "../modules/system/DeadLetters";
import { Doctor } from "../modules/system/Doctor";
import { Keys } from "../modules/system/Keys";
import { Store } from "../modules/system/Store";
import { ProcessModels } from "../modules/telemetry/ProcessModels";
import { ConnectData } from "../modules/telemetry/sources/ConnectData";
import { FlowFigure } from "../modules/telemetry/sources/Flow";
import { headline } from "../modules/telemetry/sources/model";
import { ReadElsewhere } from "../modules/telemetry/sources/ReadElsewhere";
import { SourceDialog } from "../modules/telemetry/sources/SourceDialog";
import { SourceDrawer } from "../modules/telemetry/sources/SourceDrawer";
import { SourcesTable } from "../modules/telemetry/sources/SourcesTable";
import { useMay } from "../shell/hooks";
import { Empty, Loading, ProblemNote } from "../ui/Note";
import { PageHead, Panel } from "../ui/Panel";
import { useNow } from "../ui/time";

const route = getRouteApi("/connect");
const NONE: never[] = [];
const SIDE = { gridTemplateColumns: "minmax(0,1fr) 420px" };

export function Connect() {
  const { source: openId, add } = route.useSearch();
  const navigate = useNavigate();
  const client = useQueryClient();
  const list = useQuery(sourcesQuery);
  const may = useMay("engineer");
  const now = useNow();
  const [editing, setEditing] = useState<Source | null>(null);
  const sources = list.data?.sources ?? NONE;
  const chosen = sources.find((source) => source.id === openId);

  const open = useCallback(
    (id: string | undefined) =>
      void navigate({ to: "/connect", search: (old) => ({ ...old, source: id }), resetScroll: false }),
    [navigate],
  );
  const setAdding = (on: boolean) =>
    void navigate({
      to: "/connect",
      search: (old) => ({ ...old, add: on ? ("1" as const) : undefined }),
      resetScroll: false,
    });
  const runDoctor = () => {
    for (const queryKey of [["health"], ["agents"], ["dead-letters"], ["sources"]]) {
      void client.invalidateQueries({ queryKey });
    }
    document.getElementById("doctor")?.scrollIntoView({ block: "center" });
  };

  return (
    <>
      <PageHead
        crumb="Is it fed, healthy and shared?"
        title={
          list.data
            ? headline(sources, list.data.flow, now)
            : list.error
              ? "The sources could not be read"
              : "Reading the sources"
        }
        acts={
          <>
            <button type="button" className="btn" onClick={runDoctor}>
              Run doctor
            </button>
            <button
              type="button"
              className="btn pri"
              aria-haspopup="dialog"
              disabled={!may.ok}
              title={may.why ?? undefined}
              onClick={() => setAdding(true)}
            >
              Add a source…
            </button>
          </>
        }
      />
      {may.why ? <p className="cap">Changing sources {may.why}.</p> : null}
      {list.error && !list.data ? (
        <ProblemNote
          error={list.error}
          what="The sources could not be read"
          retry={() => void list.refetch()}
        />
      ) : null}
      <div className="cols connect" style={SIDE}>
        {list.data && sources.length > 0 ? (
          <FlowFigure sources={sources} flow={list.data.flow} />
        ) : (
          <Panel title="Where the data goes">
            {list.isPending ? (
              <Loading what="Reading the flow" height={346} />
            ) : (
              <Empty title={list.data ? "Nothing flows yet" : "The flow is not known"} picture="bars">
                From every source through validation into the store, and on to whoever reads: drawn with the
                rate of each, once the first sample is here.
              </Empty>
            )}
          </Panel>
        )}
        <ConnectData sources={sources} />
      </div>
      {list.data ? (
        <SourcesTable sources={sources} onOpen={open} onAdd={() => setAdding(true)} may={may} />
      ) : null}
      {list.isPending ? null : (
        <>
          <div className="cols" style={{ gridTemplateColumns: "1.05fr 1fr 1fr" }}>
            <DeadLetters />
            <Doctor />
            <Store flow={list.data?.flow} />
          </div>
          <div className="cols connect" style={{ ...SIDE, alignItems: "start" }}>
            <div className="stack">
              <Agents />
              <ProcessModels />
              <Keys />
            </div>
            <ReadElsewhere />
          </div>
        </>
      )}
      {chosen && !editing ? (
        <SourceDrawer
          key={chosen.id}
          source={chosen}
          onClose={() => open(undefined)}
          onEdit={() => setEditing(chosen)}
          onRemoved={() => open(undefined)}
        />
      ) : null}
      {add && may.ok ? (
        <SourceDialog
          onClose={() => setAdding(false)}
          onDone={(made) =>
            void navigate({ to: "/connect", search: (old) => ({ ...old, add: undefined, source: made.id }) })
          }
        />
      ) : null}
      {editing ? (
        <SourceDialog source={editing} onClose={() => setEditing(null)} onDone={() => setEditing(null)} />
      ) : null}
    </>
  );
}
