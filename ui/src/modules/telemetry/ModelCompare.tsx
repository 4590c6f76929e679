import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { acceptModel, type ModelVersion, modelQuery, rejectModel } from "../../api/models";
import { useMay } from "../../shell/hooks";
import { CloseButton, Dialog } from "../../ui/Dialog";
import { assetName, duration, moment, number, percent, sensorName } from "../../ui/format";
import { Loading, ProblemNote } from "../../ui/Note";
import { Scroll } from "../../ui/Scroll";
import { useNow } from "../../ui/time";
import { toast } from "../../ui/toasts";
import { inForce, placeOf } from "./models";

interface Props {
  asset: string;
  /** The candidate. */
  version: number;
  onClose: () => void;
}

/** A version beside the one in force, figure by figure, for somebody to accept or reject. */
export function ModelCompare({ asset, version, onClose }: Props) {
  const status = useQuery(modelQuery(...placeOf(asset)));
  const candidate = status.data?.versions.find((each) => each.version === version);
  if (!status.data || !candidate) {
    return (
      <Dialog
        title={`Version ${version} of ${assetName(asset)}`}
        onClose={onClose}
        foot={<CloseButton onClick={onClose} />}
      >
        {status.error ? (
          <ProblemNote
            error={status.error}
            what="The versions of this model could not be read"
            retry={() => void status.refetch()}
          />
        ) : status.isFetching ? (
          <Loading what="Reading the model" />
        ) : (
          <p>This version is not there any more.</p>
        )}
      </Dialog>
    );
  }
  const present = inForce(status.data);
  return (
    <Compared
      asset={asset}
      candidate={candidate}
      present={present?.version === version ? undefined : present}
      onClose={onClose}
    />
  );
}

interface ComparedProps {
  asset: string;
  candidate: ModelVersion;
  present: ModelVersion | undefined;
  onClose: () => void;
}

function Compared({ asset, candidate, present, onClose }: ComparedProps) {
  const may = useMay("engineer");
  const client = useQueryClient();
  const [rejecting, setRejecting] = useState(false);
  const [reason, setReason] = useState("");
  const [missing, setMissing] = useState(false);
  const name = `version ${candidate.version}`;
  const proposed = candidate.state === "proposed";
  const settled = () => client.invalidateQueries({ queryKey: ["process-models"] });
  const answer = useMutation({
    mutationFn: (accepted: boolean) =>
      accepted
        ? acceptModel(...placeOf(asset), candidate.version)
        : rejectModel(...placeOf(asset), candidate.version, reason.trim()),
    onSuccess: (_made, accepted) => {
      toast({
        text: accepted
          ? `${assetName(asset)} is judged by ${name}`
          : `${assetName(asset)}: ${name} is rejected`,
        detail: accepted || !present ? undefined : `Version ${present.version} goes on judging.`,
      });
      onClose();
    },
    onSettled: settled,
  });
  const reject = () => {
    if (!reason.trim()) setMissing(true);
    else answer.mutate(false);
  };
  const off = !may.ok || answer.isPending;
  const lead = proposed
    ? `It judges nothing until somebody accepts it.${present ? ` Version ${present.version} judges meanwhile.` : ""}`
    : candidate.state === "accepted"
      ? "It is in force: the rows that come are judged by it."
      : (candidate.rejection?.reason ?? "It was in force before.");
  return (
    <Dialog
      title={`${assetName(asset)}: ${name}${present ? ` beside version ${present.version}` : ""}`}
      lead={lead}
      onClose={onClose}
      onSubmit={() => (rejecting ? reject() : proposed ? answer.mutate(true) : onClose())}
      wide
      foot={
        <>
          {proposed ? null : <CloseButton onClick={onClose} />}
          {proposed && !rejecting ? (
            <>
              <button type="button" className="btn quiet" onClick={onClose}>
                Decide later <kbd className="hide-phone">Esc</kbd>
              </button>
              <button type="button" className="btn" disabled={off} onClick={() => setRejecting(true)}>
                Reject…
              </button>
              <button type="submit" className="btn pri" disabled={off} title={may.why ?? undefined}>
                Accept {name}
              </button>
            </>
          ) : null}
          {rejecting ? (
            <>
              <button type="button" className="btn quiet" onClick={() => setRejecting(false)}>
                Back
              </button>
              <button type="submit" className="btn pri" disabled={off}>
                Reject {name}
              </button>
            </>
          ) : null}
        </>
      }
    >
      {answer.error ? (
        <ProblemNote error={answer.error} what={rejecting ? "It was not rejected" : "It was not accepted"} />
      ) : null}
      {may.why && proposed ? <p className="hint">Answering {may.why}.</p> : null}
      <Figures candidate={candidate} present={present} />
      {rejecting ? (
        <div className="field">
          <label htmlFor="model-reason">Reason</label>
          <textarea
            className="input"
            id="model-reason"
            rows={2}
            value={reason}
            placeholder="Kept with the version and your name"
            aria-invalid={missing && !reason.trim()}
            aria-describedby={missing && !reason.trim() ? "model-reason-hint" : undefined}
            autoFocus
            onChange={(event) => setReason(event.target.value)}
          />
          {missing && !reason.trim() ? (
            <p className="hint ink" id="model-reason-hint">
              <b>Say in a few words why.</b>
            </p>
          ) : null}
        </div>
      ) : null}
    </Dialog>
  );
}

/** From this share of slow movement on a sensor counts noticeably less. */
const WANDERS = 0.5;

type Told = (version: ModelVersion, now: number) => ReactNode;

const rows = (n: number, { interval_s }: ModelVersion) =>
  `${n.toLocaleString("en-US")} of ${interval_s}\u00a0s`;

const stretch = (period: { from: string; to: string }, now: number) =>
  `${moment(period.from, now)}, ${duration((Date.parse(period.to) - Date.parse(period.from)) / 1000)}`;

/** What tells two versions apart. */
const FIGURES: [string, Told][] = [
  ["Learned from", ({ fit }, now) => stretch(fit, now)],
  ["Limits from", ({ calibrate }, now) => (calibrate ? stretch(calibrate, now) : "the last quarter of it")],
  ["Rows to learn from", (version) => rows(version.fit_rows, version)],
  ["Rows for the limits", (version) => rows(version.calibrate_rows, version)],
  ["False alarms", ({ calibration_alarm_share: share }) => percent(share)],
  ["Sensors", ({ inputs }) => inputs.length],
  ["Main directions", ({ components }) => components],
  ["Made by", ({ created_by, created_at }, now) => `${created_by}, ${moment(created_at, now)}`],
];

function Figures({ candidate, present }: Omit<ComparedProps, "asset" | "onClose">) {
  const now = useNow(60_000);
  const versions = present ? [present, candidate] : [candidate];
  const measures = [
    ...new Set(
      versions.flatMap(({ inputs, left_out }) => [...inputs, ...left_out].map((each) => each.sensor)),
    ),
  ].sort();
  return (
    <Scroll label="Versions side by side">
      <table className="tbl versions">
        <thead>
          <tr>
            <th scope="col">
              <span className="sr">Figure</span>
            </th>
            {versions.map(({ version, state }) => (
              <th scope="col" key={version}>
                Version {version}, {state === "accepted" ? "in force" : state}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {FIGURES.map(([what, told]) => (
            <tr key={what}>
              <th scope="row">{what}</th>
              {versions.map((version) => (
                <td key={version.version}>{told(version, now)}</td>
              ))}
            </tr>
          ))}
          {measures.map((sensor) => (
            <tr key={sensor}>
              <th scope="row">{sensorName(sensor)}</th>
              {versions.map((version) => (
                <td key={version.version}>{inputWords(version, sensor)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

/** Where it lies in normal operation, or why it is no input. */
function inputWords({ inputs, left_out }: ModelVersion, sensor: string): ReactNode {
  const input = inputs.find((each) => each.sensor === sensor);
  // Its spread has room for wandering in it and is no band that anybody could use.
  if (input) return `around ${number(input.centre)}${input.wander >= WANDERS ? ", wanders" : ""}`;
  const out = left_out.find((each) => each.sensor === sensor);
  return <span className="dim">{out ? `left out: ${out.reason}` : "not asked for"}</span>;
}
