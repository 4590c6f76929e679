import { useState } from "react";

const STEP = 100;

/** Long lists come in steps: what is drawn stays quick, what is not is said. */
export function useSteps<T>(all: readonly T[]): { shown: readonly T[]; more: React.ReactNode } {
  const [most, setMost] = useState(STEP);
  const rest = all.length - most;
  return {
    shown: rest > 0 ? all.slice(0, most) : all,
    more:
      rest > 0 ? (
        <p className="in cap rowf">
          <span role="status">
            {most} of {all.length} are shown.
          </span>
          <button type="button" className="btn s" onClick={() => setMost(most + STEP)}>
            Show {Math.min(STEP, rest)} more
          </button>
        </p>
      ) : null,
  };
}
