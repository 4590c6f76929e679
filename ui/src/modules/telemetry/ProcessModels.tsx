import { useMutation, useQueries, useQuery, useQueryClient } from "@tanstack/react-query";
import { acceptModel, type ModelStatus, type ModelVersion, modelQuery, modelsQuery } from "../../api/models";
import { useMay } from "../../shell/hooks";
import { assetName, moment, number, ownName, percent, plural, sensorName } from "../../ui/format";
import { Empty, Loading, ProblemNote } from "../../ui/Note";
import { Panel } from "../../ui/Panel";
import { Scroll } from "../../ui/Scroll";
import { useNow } from "../../ui/time";
import { toast } from "../../ui/toasts";

const SCORE_LIMIT = 0.5;

const inForce = ({ versions }: ModelStatus) => versions.find((version) => version.state === "accepted");
const proposed = ({ versions }: ModelStatus) => versions.find((version) => version.state === "proposed");

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

const placeOf = (asset: string): [string, string] => [asset.split("/")[0] ?? "", ownName(asset)];

/** Several sensors judged together: which assets have a model, what it says now, and what waits to be accepted. */
export function ProcessModels() {
  const list = useQuery(modelsQuery);
  const models = useWithProposals(list.data?.models ?? NONE).sort(
    (a, b) => Number(b.now?.alarm ?? false) - Number(a.now?.alarm ?? false) || a.asset.localeCompare(b.asset),
  );
  const waiting = models.filter(proposed).length;
  return (
    <Panel
      title="Process models"
      id="process-models"
      meta={list.data ? `${models.length}, ${waiting} to accept` : undefined}
    >
      {list.error ? (
        <div className="in">
          <ProblemNote error={list.error} retry={() => void list.refetch()} />
        </div>
      ) : null}
      {list.isPending ? <Loading what="Reading models" /> : null}
      {list.isSuccess && models.length === 0 ? (
        <Empty title="No asset has a model yet" picture="line">
          A model learns how the sensors of one asset go together in a period that you declare normal, and
          says when they no longer do: <code>PUT /api/v1/assets/SITE/ASSET/model</code> with the period as{" "}
          <code>fit</code>.
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
                <Row key={model.asset} model={model} />
              ))}
            </tbody>
          </table>
        </Scroll>
      ) : null}
    </Panel>
  );
}

function Row({ model }: { model: ModelStatus }) {
  const now = useNow(60_000);
  const force = inForce(model);
  return (
    <tr>
      <td className="k nowrap" title={model.asset}>
        {assetName(model.asset)}
      </td>
      <td className="nowrap">{model.now?.alarm ? <b>{stateWords(model)}</b> : stateWords(model)}</td>
      <td className="nowrap">
        {force ? `version ${force.version}, learned from ${moment(force.fit.from, now)} on` : "none"}
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
        <Accept model={model} />
      </td>
    </tr>
  );
}

/** A later version judges nothing until somebody puts it in force; so does going back to the one before. */
function Accept({ model }: { model: ModelStatus }) {
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
  return (
    <button
      type="button"
      className="btn s"
      disabled={!may.ok || accept.isPending}
      title={may.why ?? `Learned from ${plural(next.fit_rows, "row")}, made by ${next.created_by}`}
      onClick={() => accept.mutate(next.version)}
    >
      Accept version {next.version}
      <span className="sr"> of {assetName(model.asset)}</span>
    </button>
  );
}
