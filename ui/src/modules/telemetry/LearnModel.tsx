import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { learnModel, type ModelBody, type ModelVersion, modelsQuery } from "../../api/models";
import { anomaliesQuery, readingsQuery, searchQuery, sensorsQuery, type Window } from "../../api/queries";
import type { Sensor, Series } from "../../api/types";
import { CancelButton, Dialog } from "../../ui/Dialog";
import { assetName, count, duration, measureName, plural } from "../../ui/format";
import { ProblemNote } from "../../ui/Note";
import { pointsOf } from "../../ui/points";
import { Spark } from "../../ui/svg";
import { localInput } from "../../ui/time";
import {
  bodyOf,
  CALIBRATE_ROWS_MIN,
  FIT_ROWS_MIN,
  type Input,
  intervalOf,
  type Preview,
  periodOf,
  previewOf,
  refusedFields,
  rowsWords,
  stoodIn,
  type Wish,
  type Wrong,
  wrongIn,
} from "./learning";
import { inForce, placeOf } from "./models";

const HOUR_MS = 3_600_000;
const BUCKETS = 400;
const NONE: never[] = [];
const NOWHERE: Window = { from: 0, to: 0 };

/** The day that ended with the last full hour: a proposal, not a declaration. */
function lastDay(): { from: string; to: string } {
  const to = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
  return { from: localInput(to - 24 * HOUR_MS), to: localInput(to) };
}

/** The sensors of an asset, also when the list of all is too short for them. */
function useOwn(asset: string): { assets: string[]; own: Sensor[] } {
  const list = useQuery(sensorsQuery).data;
  const more = list?.next != null;
  const asked = useQuery(searchQuery(`${asset}/`, more && asset.includes("/"))).data?.items ?? NONE;
  return useMemo(() => {
    const all = new Map([...(list?.items ?? NONE), ...asked].map((sensor) => [sensor.key, sensor]));
    return {
      assets: [...new Set([...all.values()].map((sensor) => sensor.asset))].sort(),
      own: [...all.values()].filter((sensor) => sensor.asset === asset),
    };
  }, [list, asked, asset]);
}

/** Readings of a period; nothing while they are read. */
function useSeries(sensors: readonly string[], window: Window | null) {
  const query = useQuery({
    ...readingsQuery(sensors, window ?? NOWHERE, BUCKETS, false),
    enabled: window !== null && sensors.length > 0,
  });
  const series =
    window && !query.isPlaceholderData ? (query.data?.series as Series[] | undefined) : undefined;
  return { series: series ?? NONE, query };
}

/** What those of `sensors` would make; null while it is not known. */
function usePreview(
  series: readonly Series[],
  sensors: readonly string[],
  window: Window | null,
  intervalS: number | null,
): Preview | null {
  return useMemo(() => {
    const chosen = series.filter((each) => sensors.includes(each.sensor));
    if (!window || chosen.length === 0 || Number.isNaN(intervalS)) return null;
    return previewOf(chosen, intervalS, (window.to - window.from) / 1000);
  }, [series, sensors, window, intervalS]);
}

interface Props {
  onClose: () => void;
  onLearned: (version: ModelVersion) => void;
}

/** Learns how the sensors of an asset go together in a period that somebody calls normal. */
export function LearnModel({ onClose, onLearned }: Props) {
  const client = useQueryClient();
  const [wish, setWish] = useState<Wish>(() => ({
    asset: "",
    sensors: NONE,
    fit: lastDay(),
    calibrate: null,
    interval: "",
  }));
  const [wrong, setWrong] = useState<Wrong>({});
  const { assets, own } = useOwn(wish.asset);
  const known = useQuery(modelsQuery).data?.models.find((model) => model.asset === wish.asset);
  const present = known && inForce(known);
  const change = (part: Partial<Wish>) => {
    setWish((old) => ({ ...old, ...part }));
    // What is being put right is not called wrong any longer.
    setWrong((old) => {
      const changed = Object.keys(part).map((name) => (name === "interval" ? "interval_s" : name));
      return Object.fromEntries(Object.entries(old).filter(([field]) => !changed.includes(field)));
    });
  };
  const ownKeys = own.map((sensor) => sensor.key).join(" ");
  // All of the asset's sensors are meant until somebody says otherwise.
  useEffect(() => setWish((old) => ({ ...old, sensors: ownKeys ? ownKeys.split(" ") : NONE })), [ownKeys]);

  const fit = useMemo(() => periodOf(wish.fit), [wish.fit]);
  const calibrate = useMemo(() => wish.calibrate && periodOf(wish.calibrate), [wish.calibrate]);
  const all = useMemo(() => (ownKeys ? ownKeys.split(" ") : NONE), [ownKeys]);
  const asked = intervalOf(wish.interval);
  const material = useSeries(all, fit);
  const preview = usePreview(material.series, wish.sensors, fit, asked);
  const limits = useSeries(wish.sensors, calibrate);
  const kept = useMemo(
    () => (preview?.inputs ?? NONE).filter(({ why }) => why === null).map(({ sensor }) => sensor),
    [preview],
  );
  const further = usePreview(limits.series, kept, calibrate, asked ?? preview?.intervalS ?? null);
  const learn = useMutation({
    mutationFn: (body: ModelBody) => learnModel(...placeOf(wish.asset), body),
    onSuccess: (made) => {
      void client.invalidateQueries({ queryKey: ["process-models"] });
      onLearned(made);
    },
    onError: (error) => setWrong(refusedFields(error) ?? {}),
  });
  const submit = () => {
    const found = wrongIn(wish);
    setWrong(found);
    const body = bodyOf(wish, preview);
    if (body) learn.mutate(body);
  };
  const loose = learn.error && !refusedFields(learn.error);

  return (
    <Dialog
      title="Learn a process model"
      lead="How the sensors of one asset go together while all is well. When they no longer do, an anomaly says so and names the sensors."
      onClose={onClose}
      onSubmit={submit}
      wide
      foot={
        <>
          {learn.isPending ? <Busy rows={preview?.rows ?? 0} sensors={wish.sensors.length} /> : null}
          <CancelButton onClick={onClose} />
          <button type="submit" className="btn pri" disabled={learn.isPending}>
            {wish.asset ? `Learn ${assetName(wish.asset)}` : "Learn the model"}
          </button>
        </>
      }
    >
      {loose ? <ProblemNote error={learn.error} what="The model was not learned" /> : null}
      <Field id="model-asset" label="Asset" wrong={wrong.asset} hint={assetHint(wish.asset, present)}>
        <select
          id="model-asset"
          className="input"
          value={wish.asset}
          aria-invalid={wrong.asset !== undefined}
          aria-describedby="model-asset-hint"
          onChange={(event) => change({ asset: event.target.value })}
        >
          <option value="">Choose…</option>
          {assets.map((asset) => (
            <option key={asset}>{asset}</option>
          ))}
        </select>
      </Field>
      <PeriodField
        id="model-fit"
        label="Normal period"
        period={wish.fit}
        wrong={wrong.fit}
        hint={<FitHint wish={wish} window={fit} preview={preview} loading={material.query.isFetching} />}
        onChange={(part) => change({ fit: { ...wish.fit, ...part } })}
      />
      {material.query.error ? (
        <ProblemNote
          error={material.query.error}
          what="The readings of this period could not be read"
          retry={() => void material.query.refetch()}
        />
      ) : null}
      {own.length > 0 ? (
        <Sensors
          own={own}
          chosen={wish.sensors}
          series={material.series}
          window={fit}
          inputs={preview?.inputs ?? NONE}
          wrong={wrong.sensors}
          onChange={(sensors) => change({ sensors })}
        />
      ) : null}
      <fieldset className="bare">
        <legend className="label">Limits from</legend>
        <div className="seg wraps">
          <button
            type="button"
            aria-pressed={wish.calibrate === null}
            onClick={() => change({ calibrate: null })}
          >
            the last quarter of it
          </button>
          <button
            type="button"
            aria-pressed={wish.calibrate !== null}
            onClick={() => change({ calibrate: wish.calibrate ?? after(wish.fit.to) })}
          >
            another normal period
          </button>
        </div>
      </fieldset>
      {wish.calibrate ? (
        <PeriodField
          id="model-calibrate"
          label="Calibration period"
          period={wish.calibrate}
          wrong={wrong.calibrate}
          hint={
            limits.query.error ? (
              "Its readings could not be read; they are counted when the model is learned."
            ) : (
              <RowsHint
                preview={further}
                rows={further?.rows ?? 0}
                least={CALIBRATE_ROWS_MIN}
                otherwise="The limits come from what the model did not see: choose a period beside the first."
              />
            )
          }
          onChange={(part) => change({ calibrate: wish.calibrate && { ...wish.calibrate, ...part } })}
        />
      ) : wrong.calibrate ? (
        <p className="hint ink" role="alert">
          <b>{wrong.calibrate} Choose a longer normal period, or another one for the limits.</b>
        </p>
      ) : null}
      <Field
        id="model-interval"
        label="Width of a row, s"
        optional
        wrong={wrong.interval_s}
        hint={
          preview && !wish.interval
            ? `Left empty it is ${preview.intervalS}\u00a0s.`
            : "Left empty it is what most of the sensors report in."
        }
      >
        <input
          id="model-interval"
          className="input"
          inputMode="decimal"
          autoComplete="off"
          value={wish.interval}
          aria-invalid={wrong.interval_s !== undefined}
          aria-describedby="model-interval-hint"
          onChange={(event) => change({ interval: event.target.value })}
        />
      </Field>
    </Dialog>
  );
}

function assetHint(asset: string, present: ModelVersion | undefined): string {
  if (!asset) return "All of its sensors are taken until you leave some out.";
  return present
    ? `Version ${present.version} is in force. The new one waits until somebody accepts it.`
    : "It has no model yet: the first one is in force at once.";
}

/** The hours after the normal period. */
function after(end: string): { from: string; to: string } {
  const from = Number.isNaN(Date.parse(end)) ? Date.now() : Date.parse(end);
  return { from: localInput(from), to: localInput(from + 6 * HOUR_MS) };
}

/** Nothing says how far it is; what it does and for how long is said. */
function Busy({ rows, sensors }: { rows: number; sensors: number }) {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setSeconds((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  return (
    <span className="learns">
      <span role="status" className="sm">
        Learning from {plural(rows, "row")} of {plural(sensors, "sensor")}
        {seconds > 1 ? <span aria-hidden="true">, {duration(seconds)}</span> : null}
      </span>
      <span className="skel" aria-hidden="true" />
    </span>
  );
}

interface FieldProps {
  id: string;
  label: string;
  optional?: boolean;
  wrong: string | undefined;
  hint: ReactNode;
  children: ReactNode;
}

function Field({ id, label, optional, wrong, hint, children }: FieldProps) {
  return (
    <div className="field">
      <label htmlFor={id}>
        {label}
        {optional ? <span className="dim"> (optional)</span> : null}
      </label>
      {children}
      <p className={wrong ? "hint ink" : "hint"} id={`${id}-hint`}>
        {wrong ? <b>{wrong}</b> : hint}
      </p>
    </div>
  );
}

interface PeriodProps {
  id: string;
  label: string;
  period: { from: string; to: string };
  wrong: string | undefined;
  hint: ReactNode;
  onChange: (part: { from?: string; to?: string }) => void;
}

function PeriodField({ id, label, period, wrong, hint, onChange }: PeriodProps) {
  const end = (name: "from" | "to", words: string) => (
    <div className="field">
      <label htmlFor={`${id}-${name}`}>
        {label} {words}
      </label>
      <input
        id={`${id}-${name}`}
        className="input"
        type="datetime-local"
        value={period[name]}
        aria-invalid={wrong !== undefined}
        aria-describedby={`${id}-hint`}
        onChange={(event) => onChange({ [name]: event.target.value })}
      />
    </div>
  );
  return (
    <div className="field">
      <div className="form2">
        {end("from", "from")}
        {end("to", "to")}
      </div>
      <div className={wrong ? "hint ink" : "hint"} id={`${id}-hint`}>
        {wrong ? <b>{wrong}</b> : hint}
      </div>
    </div>
  );
}

interface RowsProps {
  preview: Preview | null;
  rows: number;
  least: number;
  otherwise: string;
}

/** How many rows there are, and what to do when they are too few. */
function RowsHint({ preview, rows, least, otherwise }: RowsProps) {
  if (!preview) return otherwise;
  if (rows >= least) return `It holds ${rowsWords(rows, preview.intervalS)}. ${otherwise}`;
  return (
    <b>
      {rows === 0 ? "No complete row lies in it" : `It holds ${rowsWords(rows, preview.intervalS)} only`}; at
      least {least} are needed. Choose a longer period or fewer sensors.
    </b>
  );
}

interface FitProps {
  wish: Wish;
  window: Window | null;
  preview: Preview | null;
  loading: boolean;
}

/** What the period holds, and what speaks against calling it normal. */
function FitHint({ wish, window, preview, loading }: FitProps) {
  const anomalies = useQuery({
    ...anomaliesQuery(window ?? NOWHERE, false),
    enabled: window !== null && wish.asset !== "",
  });
  const stood = window ? stoodIn(anomalies.data?.items ?? NONE, wish.asset, window) : NONE;
  const least = wish.calibrate ? FIT_ROWS_MIN : Math.max(FIT_ROWS_MIN, 4 * CALIBRATE_ROWS_MIN);
  if (!wish.asset) return "In which the asset ran as it should, with everything that is usual for it.";
  return (
    <>
      <p role="status">
        {loading && !preview ? (
          "Counting rows…"
        ) : (
          <RowsHint
            preview={preview}
            rows={preview?.rows ?? 0}
            least={least}
            otherwise="What happens in it is taken for normal."
          />
        )}
      </p>
      {stood.length > 0 ? (
        <p className="ink">
          <b>
            {count(stood.length, "anomaly", "anomalies")} of this asset stood in this period
            {anomalies.data?.next ? ", or more" : ""}.
          </b>{" "}
          What is learned as normal is not noticed again: choose another period, unless it was.
        </p>
      ) : null}
    </>
  );
}

interface SensorsProps {
  own: readonly Sensor[];
  chosen: readonly string[];
  series: readonly Series[];
  window: Window | null;
  inputs: readonly Input[];
  wrong: string | undefined;
  onChange: (sensors: string[]) => void;
}

/** Each with its course over the period: whether it was normal is seen, not counted. */
function Sensors({ own, chosen, series, window, inputs, wrong, onChange }: SensorsProps) {
  return (
    <fieldset className="bare" aria-describedby={wrong ? "model-sensors-hint" : undefined}>
      <legend className="label">
        Sensors, {chosen.length} of {own.length}
      </legend>
      <ul className="learn-from">
        {own.map(({ key, measure }) => {
          const on = chosen.includes(key);
          const input = inputs.find((each) => each.sensor === key);
          return (
            <li key={key}>
              <label className="check" title={key}>
                <input
                  type="checkbox"
                  checked={on}
                  onChange={() => onChange(on ? chosen.filter((each) => each !== key) : [...chosen, key])}
                />
                <span className="breaks">{measureName(measure)}</span>
              </label>
              <Spark
                points={pointsOf(series.find((each) => each.sensor === key))}
                window={window ?? undefined}
                width={160}
                height={24}
              />
              <span className="sm dim">{inputHint(on, input)}</span>
            </li>
          );
        })}
      </ul>
      {wrong ? (
        <p className="hint ink" id="model-sensors-hint">
          <b>{wrong}</b>
        </p>
      ) : null}
    </fieldset>
  );
}

function inputHint(on: boolean, input: Input | undefined): ReactNode {
  if (!on) return "not taken";
  if (!input) return "–";
  if (input.why === null) return plural(input.readings, "reading");
  return <span className="ink">left out: {input.why}</span>;
}
