import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { keysQuery, makeKey, type NewKey } from "../../../api/sources";
import { useMay, useSite } from "../../../shell/hooks";
import { CopyButton } from "../../../ui/CopyButton";
import { ProblemNote } from "../../../ui/Note";
import { Panel } from "../../../ui/Panel";
import { SnippetBox } from "./SnippetBox";
import { freshName, READERS, type Reader, readSnippet } from "./snippets";

const PLACE_OF_KEY = "$PLAINVIEW_KEY";

/** The way out: the same readings in the tools that people have already. */
export function ReadElsewhere() {
  const client = useQueryClient();
  const may = useMay("admin");
  const { sensors } = useSite();
  const keys = useQuery({ ...keysQuery, enabled: may.ok });
  const [reader, setReader] = useState<Reader>("Grafana");
  const [made, setMade] = useState<NewKey | null>(null);
  const taken = (keys.data?.items ?? []).map((key) => key.name);
  const name = made?.name ?? freshName(taken, "reader");
  const make = useMutation({
    mutationFn: () => makeKey(name, "viewer"),
    onSuccess: setMade,
    onSettled: () => client.invalidateQueries({ queryKey: ["keys"] }),
  });
  const text = readSnippet(reader, {
    origin: location.origin,
    key: made?.secret ?? PLACE_OF_KEY,
    sensor: sensors[0]?.key ?? "site/asset/measure",
  });
  return (
    <Panel title="Read it elsewhere" id="read-elsewhere">
      <div className="in">
        <SnippetBox
          legend="Kind of reader"
          choices={READERS}
          chosen={reader}
          onChoose={setReader}
          text={text}
        />
        <div className="rowf between wrap snippet-foot">
          <span className="hint">
            {made ? (
              <>
                Key <b>{made.name}</b>, may read only. Shown once.
              </>
            ) : (
              `A key of the role viewer may read and nothing else.${may.why ? ` Making one ${may.why}.` : ""}`
            )}
          </span>
          <span className="rowf nw">
            {made ? null : (
              <button
                type="button"
                className="btn s"
                disabled={!may.ok || make.isPending}
                onClick={() => make.mutate()}
              >
                Make key {name}
              </button>
            )}
            <CopyButton text={text} what={`${reader} example`} />
          </span>
        </div>
        {make.error ? <ProblemNote error={make.error} what="The key was not made" /> : null}
      </div>
    </Panel>
  );
}
