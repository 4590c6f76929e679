import type { Priority } from "../api/types";

const SHAPE: Record<Priority, string> = {
  1: "M2.5 2.5h13v13h-13z",
  2: "M9 1.2 17.2 16H.8z",
  3: "M.8 2h16.4L9 16.8z",
  4: "M9 .6 17.4 9 9 17.4.6 9z",
};
const RING: Record<Priority, string> = {
  1: "M.2.2h17.6v17.6H.2z",
  2: "M9-2.2 20 17.6H-2z",
  3: "M-2 .4h22L9 20.2z",
  4: "M9-2.6 20.6 9 9 20.6-2.6 9z",
};
const TEXT_Y: Record<Priority, number> = { 1: 12.8, 2: 14, 3: 11.2, 4: 12.8 };
export const PRIORITY_NAME: Record<Priority, string> = {
  1: "critical",
  2: "high",
  3: "medium",
  4: "diagnostic",
};

interface Props {
  p: Priority;
  unack?: boolean;
  /** Set when words beside it say the same. */
  silent?: boolean;
  /** Inside a plot: the middle of the glyph and its size. */
  at?: { x: number; y: number; size?: number };
}

/** Shape, number and colour together; only an unacknowledged one flashes. */
export function Glyph({ p, unack, silent, at }: Props) {
  const label = `Priority ${p}, ${PRIORITY_NAME[p]}${unack ? ", not acknowledged" : ""}`;
  const size = at?.size ?? 17;
  const place = at ? { x: at.x - size / 2, y: at.y - size / 2, width: size, height: size } : {};
  const says = silent || at ? { "aria-hidden": true } : { role: "img", "aria-label": label };
  return (
    <svg
      className={`gl g${p}${unack ? " unack" : ""}`}
      viewBox="0 0 18 18"
      overflow="visible"
      {...place}
      {...says}
    >
      {unack ? <path className="ring" d={RING[p]} /> : null}
      <path d={SHAPE[p]} />
      <text x="9" y={TEXT_Y[p]}>
        {p}
      </text>
    </svg>
  );
}
