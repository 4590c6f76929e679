import { useMutation, useQueries, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { acceptModel, type ModelStatus, type ModelVersion, modelQuery, modelsQuery } from "../../api/models";
import { useMay } from "../../shell/hooks";
import { assetName, moment, number, percent, plural, sensorName } from "../../ui/format";
import { Empty, Loading, ProblemNote } from "../../ui/Note";
import { Panel } from "../../ui/Panel";
import { Scroll } from "../../ui/Scroll";
import { useNow } from "../../ui/time";
import { toast } from "../../ui/toasts";
import { LearnModel } from "./LearnModel";
import { ModelCompare } from "./ModelCompare";
import { inForce, placeOf, proposed } from "./models";

const SCORE_LIMIT = 0.5;

/** `normal, 0.17 of 0.5` */
export function stateWords({ now }: ModelStatus): string {
  if (!now) return "not judged yet";
  if (now.held) return "too much is missing to judge";
  return `${now.alarm ? "not normal" : "normal"}, ${number(now.score)} of ${SCORE_LIMIT}`;
}

const leftOut = (version: ModelVersion): string | undefined =>
  version.left_out.map(({ sensor, reason }) => `${sensorName(sensor)}: ${reason}`).join("\n") || undefined;

/** Of so many assets it is asked what is proposed. */
const ASKED_MOST = 40;
const NONE: never[] = [];

/** The list holds what is in force; what is proposed is asked of each asset. */
function useWithProposals(models: readonly ModelStatus[]): ModelStatus[] {
  const asked = useQueries({
    queries: models.slice(0, ASKED_MOST).map(({ asset }) => modelQuery(...placeOf(asset))),
  });
  return models.map((model, i) => ({ ...model, versions: asked[i]?.data?.versions ?? model.versions }));
}

/** Several sensors judged together: which assets have a model, what it says now, and what waits to be accepted. */
export function ProcessModels() {
  const list = useQuery(modelsQuery);
  const models = useWithProposals(list.data?.models ?? NONE).sort(
    (a, b) => Number(b.now?.alarm ?? false) - Number(a.now?.alarm ?? false) || a.asset.localeCompare(b.asset),
  );
  const waiting = models.filter(proposed).length;
  const may = useMay("engineer");
  const [learning, setLearning] = useState(false);
  const [compared, setCompared] = useState<Candidate | null>(null);
  const learn = (
    <button
      type="button"
      className="btn s"
      aria-haspopup="dialog"
      disabled={!may.ok}
      title={may.why ?? undefined}
      onClick={() => setLearning(true)}
    >
      Learn a model…
    </button>
  );
  return (
    <Panel
      title="Process models"
      id="process-models"
      meta={list.data ? `${models.length}, ${waiting} to accept` : undefined}
    >
      {list.error ? (
        <div className="in">
          <ProblemNote
            error={list.error}
            what="The models could not be read"
            retry={() => void list.refetch()}
          />
        </div>
      ) : null}
      {list.isPending ? <Loading what="Reading models" /> : null}
      {list.isSuccess && models.length === 0 ? (
        <Empty title="No asset has a model yet" picture="line" action={learn}>
          A model learns how the sensors of one asset go together in a period that you call normal, and says
          when they no longer do.
        </Empty>
      ) : null}
      {models.length > 0 ? (
        <Scroll label="Process models table">
          <table className="tbl">
            <thead>
              <tr>
                <th scope="col">Asset</th>
                <th scope="col">Now</th>
                <th scope="col">In force</th>
                <th scope="col">Sensors</th>
                <th scope="col" className="r">
                  False alarms
                </th>
                <th scope="col" className="r">
                  <span className="sr">Do</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {models.map((model) => (
                <Row key={model.asset} model={model} onCompare={setCompared} />
              ))}
            </tbody>
          </table>
        </Scroll>
      ) : null}
      {models.length > 0 ? (
        <div className="in no-line">
          {learn}
          {may.why ? <span className="hint"> Learning {may.why}.</span> : null}
        </div>
      ) : null}
      {learning ? (
        <LearnModel
          onClose={() => setLearning(false)}
          onLearned={({ asset, version }) => {
            setLearning(false);
            setCompared({ asset, version });
          }}
        />
      ) : null}
      {compared ? <ModelCompare {...compared} onClose={() => setCompared(null)} /> : null}
    </Panel>
  );
}

interface Candidate {
  asset: string;
  version: number;
}

interface RowProps {
  model: ModelStatus;
  onCompare: (candidate: Candidate) => void;
}

function Row({ model, onCompare }: RowProps) {
  const now = useNow(60_000);
  const force = inForce(model);
  return (
    <tr>
      <td className="k nowrap" title={model.asset}>
        {assetName(model.asset)}
      </td>
      <td>{model.now?.alarm ? <b>{stateWords(model)}</b> : stateWords(model)}</td>
      <td className="nowrap">
        {force ? (
          <>
            version {force.version}
            <br />
            <span className="sm dim">from {moment(force.fit.from, now)}</span>
          </>
        ) : (
          "none"
        )}
      </td>
      <td className="nowrap" title={force ? leftOut(force) : undefined}>
        {force
          ? `${force.inputs.length}${force.left_out.length > 0 ? `, ${force.left_out.length} left out` : ""}`
          : "–"}
      </td>
      <td className="r" title="Share of further normal operation that it would have raised">
        {force ? percent(force.calibration_alarm_share) : "–"}
      </td>
      <td className="act">
        <Accept model={model} onCompare={onCompare} />
      </td>
    </tr>
  );
}

/** A later version judges nothing until somebody puts it in force; so does going back to the one before. */
function Accept({ model, onCompare }: RowProps) {
  const may = useMay("engineer");
  const client = useQueryClient();
  const next = proposed(model);
  const before = inForce(model)?.version;
  const accept = useMutation({
    mutationFn: (version: number) => acceptModel(...placeOf(model.asset), version),
    onSuccess: (_made, version) =>
      toast({
        text: `${assetName(model.asset)} is judged by version ${version}`,
        action:
          before !== undefined && before !== version
            ? { label: "Undo", run: () => accept.mutate(before) }
            : undefined,
      }),
    onError: (error) => toast({ text: "It was not accepted", detail: error.message }),
    onSettled: () => client.invalidateQueries({ queryKey: ["process-models"] }),
  });
  if (!next) return null;
  const name = assetName(model.asset);
  return (
    <>
      <button
        type="button"
        className="btn s quiet"
        aria-haspopup="dialog"
        onClick={() => onCompare({ asset: model.asset, version: next.version })}
      >
        Compare…
        <span className="sr">
          {" "}
          version {next.version} of {name}
        </span>
      </button>{" "}
      <button
        type="button"
        className="btn s"
        disabled={!may.ok || accept.isPending}
        title={may.why ?? `Learned from ${plural(next.fit_rows, "row")}, made by ${next.created_by}`}
        onClick={() => accept.mutate(next.version)}
      >
        Accept version {next.version}
        <span className="sr"> of {name}</span>
      </button>
    </>
  );
}
