import { type RefObject, useEffect, useRef, useSyncExternalStore } from "react";
import uPlot from "uplot";
import { onThemeChange } from "../shell/theme";
import { scheme } from "./plotParts";
import type { TimeView } from "./view";

interface Plotted {
  options: () => uPlot.Options;
  data: uPlot.AlignedData;
  width: number;
  view: TimeView;
  /** What the plot cannot change: it is built anew with it. */
  shape: string;
  onPlot: (plot: uPlot | null) => void;
}

const LEAST_PX = 60;

/** Keeps one plot in the element for as long as it can, and past React while a hand moves it. */
export function usePlot(props: Plotted): {
  host: RefObject<HTMLDivElement | null>;
  plot: RefObject<uPlot | null>;
} {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const theme = useSyncExternalStore(onThemeChange, scheme);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the plot is built anew only for what it cannot change
  useEffect(() => {
    if (!host.current || props.width < LEAST_PX) return;
    const made = new uPlot(latest.current.options(), latest.current.data, host.current);
    plot.current = made;
    latest.current.onPlot(made);
    return () => {
      latest.current.onPlot(null);
      made.destroy();
      plot.current = null;
    };
  }, [props.width, props.shape, theme]);

  useEffect(() => {
    plot.current?.setData(props.data);
  }, [props.data]);

  // A pan or a zoom goes past React: the plot alone is drawn anew, once a frame.
  useEffect(() => props.view.subscribe(() => plot.current?.redraw(true, false)), [props.view]);

  return { host, plot };
}
