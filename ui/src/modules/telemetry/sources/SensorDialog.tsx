import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Problem, type Tagged } from "../../../api/http";
import { readSensor, type SensorBody, setSensor } from "../../../api/sources";
import type { Sensor } from "../../../api/types";
import { CancelButton, Dialog } from "../../../ui/Dialog";
import { sensorName } from "../../../ui/format";
import { Loading, ProblemNote } from "../../../ui/Note";
import { toast } from "../../../ui/toasts";

const KINDS = [
  "temperature",
  "pressure",
  "flow",
  "vibration",
  "position",
  "torque",
  "level",
  "speed",
  "power",
  "other",
] as const;

interface Props {
  sensorKey: string;
  onClose: () => void;
  onDone: () => void;
}

/** What is known about one sensor: its name, kind, unit and expected range. */
export function SensorDialog({ sensorKey, onClose, onDone }: Props) {
  const sensor = useQuery({
    queryKey: ["sensor", sensorKey],
    queryFn: () => readSensor(sensorKey),
    staleTime: 0,
  });
  if (!sensor.data) {
    return (
      <Dialog title={sensorName(sensorKey)} onClose={onClose} foot={<CancelButton onClick={onClose} />}>
        {sensor.error ? (
          <ProblemNote error={sensor.error} retry={() => void sensor.refetch()} />
        ) : (
          <Loading what="Reading the sensor" />
        )}
      </Dialog>
    );
  }
  return <Form tagged={sensor.data as Tagged<Sensor>} onClose={onClose} onDone={onDone} />;
}

const words = (value: number | null | undefined) => (value == null ? "" : String(value));

/** A number, null for an empty field, NaN for anything else. */
const numeric = (text: string): number | null => (text.trim() === "" ? null : Number(text.replace(",", ".")));

function Form({
  tagged,
  onClose,
  onDone,
}: {
  tagged: Tagged<Sensor>;
  onClose: () => void;
  onDone: () => void;
}) {
  const client = useQueryClient();
  const sensor = tagged.value;
  const metadata = (sensor.metadata ?? {}) as Record<string, unknown>;
  const [name, setName] = useState(
    typeof metadata.name === "string" ? metadata.name : sensorName(sensor.key),
  );
  const [kind, setKind] = useState<string>(sensor.kind);
  const [unit, setUnit] = useState(sensor.unit ?? "");
  const [low, setLow] = useState(words(sensor.expected_low));
  const [high, setHigh] = useState(words(sensor.expected_high));
  const [wrong, setWrong] = useState<string | null>(null);
  const save = useMutation({
    mutationFn: (body: SensorBody) => setSensor(sensor.key, body, tagged.etag),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["sensors"] });
      toast({ text: `${sensorName(sensor.key)} is described` });
      onDone();
    },
  });
  const submit = () => {
    const [a, b] = [numeric(low), numeric(high)];
    if (Number.isNaN(a) || Number.isNaN(b)) return setWrong("The range must be numbers.");
    if (a !== null && b !== null && a >= b) return setWrong("The low end lies above the high end.");
    setWrong(null);
    save.mutate({
      kind: kind as NonNullable<SensorBody["kind"]>,
      unit: unit.trim() || null,
      expected_low: a,
      expected_high: b,
      rate_max_per_s: sensor.rate_max_per_s ?? null,
      interval_s: sensor.interval_s ?? null,
      metadata: { ...metadata, name: name.trim() },
    });
  };
  const error = save.error instanceof Problem && save.error.status === 412 ? null : save.error;
  return (
    <Dialog
      title={`Describe ${sensorName(sensor.key)}`}
      lead={<code>{sensor.key}</code>}
      onClose={onClose}
      onSubmit={submit}
      foot={
        <>
          <CancelButton onClick={onClose} />
          <button type="submit" className="btn pri" disabled={save.isPending}>
            Save {sensorName(sensor.key)}
          </button>
        </>
      }
    >
      {error ? <ProblemNote error={error} what="It was not saved" /> : null}
      {save.error && !error ? (
        <ProblemNote error={new Error("")} what="Somebody changed this sensor meanwhile. Open it again." />
      ) : null}
      <div className="field">
        <label htmlFor="sensor-name">Name</label>
        <input id="sensor-name" className="input" value={name} onChange={(e) => setName(e.target.value)} />
      </div>
      <div className="form2">
        <div className="field">
          <label htmlFor="sensor-kind">Kind</label>
          <select id="sensor-kind" className="input" value={kind} onChange={(e) => setKind(e.target.value)}>
            {KINDS.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </div>
        <div className="field">
          <label htmlFor="sensor-unit">Unit</label>
          <input
            id="sensor-unit"
            className="input"
            value={unit}
            autoComplete="off"
            onChange={(e) => setUnit(e.target.value)}
          />
        </div>
        <div className="field">
          <label htmlFor="sensor-low">Expected from</label>
          <input
            id="sensor-low"
            className="input"
            inputMode="decimal"
            value={low}
            aria-invalid={wrong !== null}
            aria-describedby="sensor-range"
            onChange={(e) => setLow(e.target.value)}
          />
        </div>
        <div className="field">
          <label htmlFor="sensor-high">Expected to</label>
          <input
            id="sensor-high"
            className="input"
            inputMode="decimal"
            value={high}
            aria-invalid={wrong !== null}
            aria-describedby="sensor-range"
            onChange={(e) => setHigh(e.target.value)}
          />
        </div>
      </div>
      <p className={wrong ? "hint ink" : "hint"} id="sensor-range">
        {wrong ? (
          <b>{wrong}</b>
        ) : (
          "Beyond this range an alarm is raised. Leave an end empty to have no limit there."
        )}
      </p>
    </Dialog>
  );
}
