import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Problem } from "../../../api/http";
import {
  addSource,
  changeSource,
  type KindField,
  kindsQuery,
  type Source,
  type SourceKind,
} from "../../../api/sources";
import { CancelButton, Dialog } from "../../../ui/Dialog";
import { Loading, ProblemNote } from "../../../ui/Note";
import { toast } from "../../../ui/toasts";
import { protocolName, sourceName } from "./model";

/** What stands in the settings for a secret that is kept and not shown. */
const HIDDEN = "***";

type Values = Record<string, string>;

const shown = (field: KindField, value: unknown): string =>
  value === undefined || value === null
    ? ""
    : field.kind === "json"
      ? JSON.stringify(value, null, 2)
      : String(value);

function firstValues(kind: SourceKind, settings: Record<string, unknown> | null): Values {
  return Object.fromEntries(
    kind.fields.map((field) => {
      if (field.kind === "secret") return [field.name, ""];
      return [field.name, shown(field, settings ? settings[field.name] : field.default)];
    }),
  );
}

/** The settings as they are sent, or what is wrong with each field. */
export function readSettings(
  fields: readonly KindField[],
  values: Values,
  before: Record<string, unknown> | null,
): { settings: Record<string, unknown>; wrong: Record<string, string> } {
  const settings: Record<string, unknown> = {};
  const wrong: Record<string, string> = {};
  for (const field of fields) {
    const text = (values[field.name] ?? "").trim();
    if (text === "") {
      if (field.kind === "secret" && before?.[field.name] === HIDDEN) settings[field.name] = HIDDEN;
      else if (field.required) wrong[field.name] = "This is needed.";
      continue;
    }
    if (field.kind === "number") {
      const value = Number(text);
      if (Number.isFinite(value)) settings[field.name] = value;
      else wrong[field.name] = "Must be a number.";
    } else if (field.kind === "json") {
      try {
        settings[field.name] = JSON.parse(text);
      } catch {
        wrong[field.name] = 'Must be JSON, such as [1, 2] or {"a": 1}.';
      }
    } else {
      settings[field.name] = text;
    }
  }
  return { settings, wrong };
}

/** What the server says about single fields, by their names. */
function refusedFields(error: unknown): Record<string, string> {
  if (!(error instanceof Problem)) return {};
  return Object.fromEntries(
    error.errors.map((each) => [each.field.replace(/^settings[./]/, ""), `${each.reason}.`]),
  );
}

interface Props {
  /** The source that is changed; none for a new one. */
  source?: Source;
  onClose: () => void;
  onDone: (source: Source) => void;
}

export function SourceDialog({ source, onClose, onDone }: Props) {
  const kinds = useQuery(kindsQuery);
  const title = source ? `Edit ${sourceName(source)}` : "Add a source";
  if (!kinds.data) {
    return (
      <Dialog title={title} onClose={onClose} foot={<CancelButton onClick={onClose} />} wide>
        {kinds.error ? (
          <ProblemNote
            error={kinds.error}
            what="The kinds of sources could not be read"
            retry={() => void kinds.refetch()}
          />
        ) : (
          <Loading what="Reading the kinds of sources" />
        )}
      </Dialog>
    );
  }
  const own = source ? kinds.data.filter((kind) => kind.protocol === source.protocol) : kinds.data;
  if (own.length === 0) {
    return (
      <Dialog title={title} onClose={onClose} foot={<CancelButton onClick={onClose} />}>
        <p>This Plainview has no connector to choose from. Send to one of its doors instead.</p>
      </Dialog>
    );
  }
  return <Form title={title} kinds={own} source={source} onClose={onClose} onDone={onDone} />;
}

interface FormProps extends Props {
  title: string;
  kinds: readonly SourceKind[];
}

function Form({ title, kinds, source, onClose, onDone }: FormProps) {
  const client = useQueryClient();
  const [protocol, setProtocol] = useState(kinds[0]?.protocol ?? "");
  const kind = kinds.find((each) => each.protocol === protocol);
  const [name, setName] = useState("");
  const [values, setValues] = useState<Values>(() =>
    kind ? firstValues(kind, source?.settings ?? null) : {},
  );
  const [wrong, setWrong] = useState<Record<string, string>>({});
  const save = useMutation({
    mutationFn: (settings: Record<string, unknown>) =>
      source
        ? changeSource(source.id, settings, source.version)
        : addSource({ name: name.trim(), protocol, settings }),
    onSuccess: (made) => {
      void client.invalidateQueries({ queryKey: ["sources"] });
      toast({
        text: source ? `${sourceName(made)} changed` : `${sourceName(made)} added`,
        detail: source ? "It connects again with the new settings." : "It connects now.",
      });
      onDone(made);
    },
    onError: (error) => setWrong(refusedFields(error)),
  });

  const choose = (next: string) => {
    setProtocol(next);
    const chosen = kinds.find((each) => each.protocol === next);
    if (chosen) setValues(firstValues(chosen, null));
    setWrong({});
  };
  const submit = () => {
    if (!kind) return;
    const read = readSettings(kind.fields, values, source?.settings ?? null);
    if (!source && !name.trim()) read.wrong.name = "This is needed.";
    setWrong(read.wrong);
    if (Object.keys(read.wrong).length === 0) save.mutate(read.settings);
  };
  const known = new Set(["name", ...(kind?.fields ?? []).map((field) => field.name)]);
  const loose =
    save.error &&
    !(
      save.error instanceof Problem &&
      save.error.errors.every((e) => known.has(e.field.replace(/^settings[./]/, ""))) &&
      save.error.errors.length > 0
    );

  return (
    <Dialog
      title={title}
      lead={source ? protocolName(source.protocol) : "Plainview goes out to it and reads. It starts at once."}
      onClose={onClose}
      onSubmit={submit}
      wide
      foot={
        <>
          <CancelButton onClick={onClose} />
          <button type="submit" className="btn pri" disabled={save.isPending}>
            {source ? `Save ${sourceName(source)}` : `Add ${name.trim() || "the source"}`}
          </button>
        </>
      }
    >
      {loose ? (
        <ProblemNote error={save.error} what={source ? "It was not changed" : "The source was not added"} />
      ) : null}
      {source ? null : (
        <>
          <fieldset className="bare">
            <legend className="label">Kind</legend>
            <div className="seg wraps">
              {kinds.map((each) => (
                <button
                  key={each.protocol}
                  type="button"
                  aria-pressed={each.protocol === protocol}
                  onClick={() => choose(each.protocol)}
                >
                  {each.title}
                </button>
              ))}
            </div>
          </fieldset>
          <TextField
            field={{
              name: "name",
              label: "Name",
              kind: "text",
              required: true,
              help: "Short, such as pump-station. It stays for good.",
            }}
            value={name}
            wrong={wrong.name}
            onChange={setName}
          />
        </>
      )}
      <div className="form2">
        {kind?.fields.map((field) => (
          <TextField
            key={`${protocol} ${field.name}`}
            field={field}
            value={values[field.name] ?? ""}
            kept={field.kind === "secret" && source?.settings?.[field.name] === HIDDEN}
            wrong={wrong[field.name]}
            onChange={(text) => setValues((old) => ({ ...old, [field.name]: text }))}
          />
        ))}
      </div>
    </Dialog>
  );
}

interface FieldProps {
  field: KindField;
  value: string;
  /** A secret is stored already; leaving the field empty keeps it. */
  kept?: boolean;
  wrong: string | undefined;
  onChange: (text: string) => void;
}

function TextField({ field, value, kept, wrong, onChange }: FieldProps) {
  const id = `source-${field.name}`;
  const hint = wrong ?? field.help ?? "";
  const common = {
    id,
    className: field.kind === "json" ? "input mono" : "input",
    value,
    "aria-invalid": wrong !== undefined,
    "aria-describedby": hint ? `${id}-hint` : undefined,
    "aria-required": field.required,
  };
  return (
    <div className={field.kind === "json" ? "field full" : "field"}>
      <label htmlFor={id}>
        {field.label}
        {field.required ? null : <span className="dim"> (optional)</span>}
      </label>
      {field.kind === "select" ? (
        <select {...common} onChange={(event) => onChange(event.target.value)}>
          {field.required ? null : <option value="">–</option>}
          {(field.options ?? []).map((option) => (
            <option key={option}>{option}</option>
          ))}
        </select>
      ) : field.kind === "json" ? (
        <textarea
          {...common}
          rows={Math.min(12, Math.max(3, value.split("\n").length))}
          spellCheck={false}
          onChange={(event) => onChange(event.target.value)}
        />
      ) : (
        <input
          {...common}
          type={field.kind === "secret" ? "password" : "text"}
          inputMode={field.kind === "number" ? "decimal" : undefined}
          autoComplete={field.kind === "secret" ? "new-password" : "off"}
          spellCheck={false}
          placeholder={kept ? "kept as it is" : undefined}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
      {hint ? (
        <p className={wrong ? "hint ink" : "hint"} id={`${id}-hint`}>
          {wrong ? <b>{wrong}</b> : hint}
        </p>
      ) : null}
    </div>
  );
}
