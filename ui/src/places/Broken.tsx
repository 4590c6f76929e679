import { PageHead } from "../ui/Panel";

/** A page that failed to draw: the others still work. */
export function Broken({ error }: { error: unknown }) {
  return (
    <>
      <PageHead crumb="What happened?" title="This page could not be drawn" />
      <div className="note" role="alert">
        <div className="t">
          <b>A fault in the page itself stopped it.</b>
          <span>
            Nothing in the plant or in the records has changed. Load it again, or go to another page.
          </span>
          <details>
            <summary>Details</summary>
            <p className="mono breaks">{error instanceof Error ? error.message : String(error)}</p>
          </details>
        </div>
        <button type="button" className="btn s" onClick={() => location.reload()}>
          Load it again
        </button>
      </div>
    </>
  );
}
