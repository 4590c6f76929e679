import { type ReactNode, useEffect, useState } from "react";
import { Problem } from "../api/http";

/** An error stands beside what failed: title, what to do, codes folded away. */
export function ProblemNote({ error, retry, what }: { error: unknown; retry?: () => void; what?: string }) {
  const problem = error instanceof Problem ? error : null;
  const title = what ?? problem?.title ?? "This did not work";
  return (
    <div className="note" role="alert">
      <div className="t">
        <b>{title}</b>
        {what && problem ? <span>{problem.title}.</span> : null}
        {problem?.detail ? <span>{problem.detail}</span> : null}
        {problem?.errors.map((each) => (
          <span key={each.field + each.reason}>
            <code>{each.field}</code> {each.reason}
          </span>
        ))}
        {problem?.retryAfterS ? <span>Try again in {problem.retryAfterS} s.</span> : null}
        {problem && !problem.silent ? (
          <details>
            <summary>Details</summary>
            <dl className="kv left">
              <dt>Status</dt>
              <dd>{problem.status}</dd>
              <dt>Kind</dt>
              <dd className="mono">{problem.kind.replace("/docs/errors/", "")}</dd>
              {problem.requestId ? (
                <>
                  <dt>Request</dt>
                  <dd className="mono">{problem.requestId}</dd>
                </>
              ) : null}
            </dl>
          </details>
        ) : null}
      </div>
      {retry ? (
        <button type="button" className="btn s" onClick={retry}>
          Try again
        </button>
      ) : null}
    </div>
  );
}

interface EmptyProps {
  title: string;
  children: ReactNode;
  action?: ReactNode;
  curl?: string;
  /** A faint picture of how it looks when filled. */
  picture?: "line" | "bars" | "rows";
}

export function Empty({ title, children, action, curl, picture = "line" }: EmptyProps) {
  return (
    <div className="empty">
      <svg width="240" height="56" viewBox="0 0 240 56" aria-hidden="true">
        {picture === "line" ? (
          <>
            <path className="l lg" d="M0 40 28 34 52 38 80 26 108 30 136 20 164 24 196 10 240 14" />
            <path className="axis-l" d="M0 52.5h240" />
          </>
        ) : picture === "bars" ? (
          <>
            {[16, 8, 26, 12, 34, 20, 10].map((h, i) => (
              <rect key={h} className="fline" x={8 + i * 33} y={52 - h} width="20" height={h} rx="2" />
            ))}
            <path className="axis-l" d="M0 52.5h240" />
          </>
        ) : (
          [6, 24, 42].map((y) => (
            <g key={y}>
              <rect className="fline" x="0" y={y} width="10" height="10" rx="2" />
              <rect className="fsunk" x="20" y={y} width={220 - y} height="10" rx="2" />
            </g>
          ))
        )}
      </svg>
      <h3>{title}</h3>
      <p>{children}</p>
      {action}
      {curl ? (
        <pre>
          <code>{curl}</code>
        </pre>
      ) : null}
    </div>
  );
}

/** Shown after 300 ms only; a quick answer never flickers. */
export function Loading({ what, height }: { what: string; height?: number }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 300);
    return () => clearTimeout(timer);
  }, []);
  // The room of what comes is kept from the first, so that nothing jumps.
  if (!late) return height ? <div style={{ minHeight: height }} /> : null;
  return (
    <div className="loading" role="status" style={height ? { minHeight: height } : undefined}>
      <p>{what}…</p>
      <div className="skel big" />
      <div className="skel" />
      <div className="skel short" />
    </div>
  );
}

export function OriginTag({ origin }: { origin: string | undefined | null }) {
  if (!origin || origin === "real") return null;
  return <span className="tag">{origin}</span>;
}
