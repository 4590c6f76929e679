import type { Priority } from "../api/types";

interface Props {
  label: string;
  value: number | null;
  low: number | null | undefined;
  high: number | null | undefined;
  priority?: Priority | null;
  stale?: boolean;
}

const W = 176;
/** What lies beyond a limit must show, but the range is where the pointer lives. */
const MARGIN = 0.28;

/** A moving analog indicator: track, desired range, limit ticks, pointer. */
export function Mai({ label, value, low, high, priority, stale }: Props) {
  if (low == null || high == null || high <= low) return <div className="mai-none" />;
  const span = high - low;
  let from = low - span * MARGIN;
  let to = high + span * MARGIN;
  if (low >= 0 && from < 0) from = 0;
  if (value !== null) {
    from = Math.min(from, value - span * 0.1);
    to = Math.max(to, value + span * 0.1);
  }
  const x = (v: number) => 1 + ((v - from) / (to - from)) * (W - 2);
  const at = value === null ? null : Math.max(6, Math.min(W - 6, x(value)));
  return (
    <svg className="mai" viewBox={`0 0 ${W} 22`} role="img" aria-label={label}>
      <rect className="track" x="1" y="9" width={W - 2} height="8" rx="2" />
      <rect className="want" x={x(low)} y="9" width={x(high) - x(low)} height="8" />
      <path className="lim" d={`M${x(low)} 6v14`} />
      <path className="lim" d={`M${x(high)} 6v14`} />
      {at === null ? null : (
        <path
          className={stale ? "ptr hollow" : priority ? `ptr a${priority} out` : "ptr"}
          style={priority && !stale ? { fill: `var(--p${priority})` } : undefined}
          d={`M${at} 16l-5-9.5h10z`}
        />
      )}
    </svg>
  );
}
