import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { download, FORMATS, type Format } from "../api/actions";
import type { Window } from "../api/queries";
import type { Layout } from "../modules/telemetry/Stack";
import { useKeys } from "../shell/hooks";
import { WORKBENCH_LAYOUTS, WORKBENCH_SCALES } from "../shell/search";
import { CopyButton } from "../ui/CopyButton";
import { CloseButton, Dialog } from "../ui/Dialog";
import { clock, clockSeconds, moment } from "../ui/format";
import { Icon } from "../ui/Icon";
import type { YScale } from "../ui/plotParts";
import { Snippet } from "../ui/Snippet";
import { zoneWords } from "../ui/time";
import { toast } from "../ui/toasts";

const MINUTES_MS = 600_000;

/** `13:40 to 14:26`, with seconds for a short one, with the day when it is another. */
export function stretch({ from, to }: Window): string {
  // Both ends name their day when it is not the same one.
  const now = new Date(from).toDateString() === new Date(to).toDateString() ? Date.now() : Number.NaN;
  const short = to - from < MINUTES_MS;
  const words = (at: number) => {
    const whole = moment(at, now);
    return short ? whole.replace(clock(at), clockSeconds(at)) : whole;
  };
  return `${words(from)} to ${words(to)}`;
}

export function Exports({ keys, window }: { keys: string[]; window: Window }) {
  const file = useMutation({
    mutationFn: (format: Format) => download(format, keys, window.from, window.to),
    onError: (error) => toast({ text: "The file could not be made", detail: error.message }),
  });
  const copy = async () => {
    const url = new URL(location.href);
    url.searchParams.set("s", keys.join(","));
    url.searchParams.set("from", String(Math.round(window.from)));
    url.searchParams.set("to", String(Math.round(window.to)));
    try {
      await navigator.clipboard.writeText(url.href);
      toast({ text: "Link copied", detail: "It shows this window to whoever opens it." });
    } catch {
      toast({ text: "The browser did not allow copying", detail: url.href });
    }
  };
  const none = keys.length === 0;
  const [parquet, setParquet] = useState(false);
  return (
    <>
      <button type="button" className="btn" disabled={none} onClick={() => void copy()}>
        <Icon name="link" /> Copy link
      </button>
      <span className="btns">
        {(Object.keys(FORMATS) as Format[]).map((format) => (
          <button
            key={format}
            type="button"
            className="btn"
            disabled={none || file.isPending}
            title={`Every reading of this window, as ${FORMATS[format]}`}
            onClick={() => file.mutate(format)}
          >
            {format === "csv" ? <Icon name="download" /> : null} {FORMATS[format]}
          </button>
        ))}
        <button
          type="button"
          className="btn"
          disabled={none}
          aria-haspopup="dialog"
          title="The command that writes this window as Parquet"
          onClick={() => setParquet(true)}
        >
          Parquet…
        </button>
      </span>
      {parquet ? <ParquetDialog keys={keys} window={window} onClose={() => setParquet(false)} /> : null}
    </>
  );
}

interface ZoomProps {
  window: Window;
  live: boolean;
  scale: YScale;
  zoom: (from: number, to: number) => void;
  reset: () => void;
  back: () => void;
  onScale: (scale: YScale) => void;
  /** Null while there is nothing to compare. */
  layout: Layout | null;
  onLayout: (layout: Layout) => void;
}

const LAYOUT_NAME: Record<Layout, string> = { strips: "Strips", together: "One plot", share: "Normalised" };
const LAYOUT_SAYS: Record<Layout, string> = {
  strips: "Each sensor in a plot of its own",
  together: "Up to four sensors in one plot, an axis for each unit",
  share: "Up to four sensors in one plot, each in percent of its own range",
};

const SCALE_NAME: Record<YScale, string> = { fit: "Fit", range: "Range", zero: "Zero" };
const SCALE_SAYS: Record<YScale, string> = {
  fit: "The value axes fit the data",
  range: "The value axes hold the expected range as well",
  zero: "The value axes begin at zero",
};

/** Every drag has a button: look closer, look wider, earlier, later. */
export function ZoomBar({ window, live, scale, zoom, reset, back, onScale, layout, onLayout }: ZoomProps) {
  const span = window.to - window.from;
  const middle = (window.from + window.to) / 2;
  const around = (factor: number) =>
    zoom(middle - (span * factor) / 2, Math.min(Date.now(), middle + (span * factor) / 2));
  const shift = (by: number) => {
    const late = Math.max(0, window.to + span * by - Date.now());
    zoom(window.from + span * by - late, window.to + span * by - late);
  };
  useKeys({
    "[": () => shift(-0.5),
    "]": () => {
      if (!live) shift(0.5);
    },
    l: () => {
      if (!live) reset();
    },
  });
  return (
    <div className="rowf wrap zoombar in no-top">
      <button
        type="button"
        className="btn s"
        aria-label="Earlier"
        title="Earlier ( [ )"
        onClick={() => shift(-0.5)}
      >
        <Icon name="left" />
      </button>
      <button
        type="button"
        className="btn s"
        aria-label="Later"
        title="Later ( ] )"
        disabled={live}
        onClick={() => shift(0.5)}
      >
        <Icon name="right" />
      </button>
      <button
        type="button"
        className="btn s"
        aria-label="Look closer"
        title="Look closer"
        onClick={() => around(0.5)}
      >
        <Icon name="zoomIn" />
      </button>
      <button
        type="button"
        className="btn s"
        aria-label="Look wider"
        title="Look wider"
        onClick={() => around(2)}
      >
        <Icon name="zoomOut" />
      </button>
      {live ? (
        <span className="tag">
          <i className="dot" /> follows the clock
        </span>
      ) : (
        <>
          <button type="button" className="btn s" title="To the stretch before" onClick={back}>
            Step back
          </button>
          <button type="button" className="btn s" onClick={reset}>
            Back to live <kbd className="hide-phone">L</kbd>
          </button>
        </>
      )}
      <span className="sm dim grow-in">
        {stretch(window)}, {zoneWords(window.to)}
        <span className="wide-only">. Drag to look closer, Shift and drag to pan.</span>
      </span>
      {layout ? (
        <Choice
          name="Compare"
          all={WORKBENCH_LAYOUTS}
          chosen={layout}
          names={LAYOUT_NAME}
          says={LAYOUT_SAYS}
          onChoose={onLayout}
        />
      ) : null}
      {layout === "share" ? null : (
        <Choice
          name="Value axes"
          all={WORKBENCH_SCALES}
          chosen={scale}
          names={SCALE_NAME}
          says={SCALE_SAYS}
          onChoose={onScale}
        />
      )}
    </div>
  );
}

interface ChoiceProps<T extends string> {
  name: string;
  all: readonly T[];
  chosen: T;
  names: Record<T, string>;
  says: Record<T, string>;
  onChoose: (choice: T) => void;
}

function Choice<T extends string>({ name, all, chosen, names, says, onChoose }: ChoiceProps<T>) {
  return (
    <fieldset className="seg bare">
      <legend className="sr">{name}</legend>
      {all.map((each) => (
        <button
          key={each}
          type="button"
          aria-pressed={each === chosen}
          title={says[each]}
          onClick={() => onChoose(each)}
        >
          {names[each]}
        </button>
      ))}
    </fieldset>
  );
}

/** Parquet is written by the program, day by day and at any length: the command, filled in. */
function ParquetDialog({ keys, window, onClose }: { keys: string[]; window: Window; onClose: () => void }) {
  const iso = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
  const text = [
    "plainview export \\",
    `  --url ${location.origin} \\`,
    `  --from ${iso(window.from)} --to ${iso(window.to)} \\`,
    ...keys.map((key) => `  --sensor '${key}' \\`),
    "  --out readings.parquet",
  ].join("\n");
  return (
    <Dialog
      title="Parquet"
      lead="The program writes it, at any length: run this where it is installed, with a key in PLAINVIEW_KEY."
      onClose={onClose}
      wide
      foot={
        <>
          <CloseButton onClick={onClose} />
          <CopyButton text={text} what="Parquet command" />
        </>
      }
    >
      <Snippet>{text}</Snippet>
    </Dialog>
  );
}
