import { type ReactNode, useCallback, useId, useLayoutEffect, useRef, useState } from "react";
import { Scroll } from "./Scroll";

export interface TableView {
  columns: { name: string; right?: boolean }[];
  rows: { key: string; cells: ReactNode[] }[];
}

export function DataTable({ view, label }: { view: TableView; label: string }) {
  return (
    <Scroll label={label}>
      <table className="tbl">
        <thead>
          <tr>
            {view.columns.map((column) => (
              <th key={column.name} scope="col" className={column.right ? "r" : undefined}>
                {column.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {view.rows.map((row) => (
            <tr key={row.key}>
              {row.cells.map((cell, index) => (
                <td
                  // biome-ignore lint/suspicious/noArrayIndexKey: cells have no identity but their column
                  key={index}
                  className={view.columns[index]?.right ? "r" : index === 0 ? "k" : undefined}
                >
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

/** The width of the element, 0 until it is known. */
export function useWidth(): [React.RefObject<HTMLDivElement | null>, number] {
  const ref = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return;
    const measure = () => setWidth(Math.round(element.clientWidth));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}

interface PictureProps {
  /** One sentence that says what the picture shows. */
  summary: string;
  height: number | ((width: number) => number);
  children: (width: number, height: number) => ReactNode;
}

/** An SVG drawn at its own width, so that text keeps its size. */
export function Picture({ summary, height, children }: PictureProps) {
  const [ref, width] = useWidth();
  const h = typeof height === "function" ? height(width) : height;
  return (
    <div className="fig" ref={ref} style={{ minHeight: h }}>
      {width > 0 ? (
        <svg viewBox={`0 0 ${width} ${h}`} height={h} className="plot" role="img" aria-label={summary}>
          {children(width, h)}
        </svg>
      ) : null}
    </div>
  );
}

interface FigureProps extends PictureProps {
  name: string;
  meta?: ReactNode;
  table: () => TableView;
  /** Wide pictures scroll sideways on a phone, from the point that this names for a width. */
  sideways?: (width: number) => number;
  /** Shows the summary under the picture as well. */
  say?: boolean;
  foot?: ReactNode;
  className?: string;
}

/** What `.follow` inside the picture moves along with. */
function follow(element: HTMLElement): void {
  element.style.setProperty("--scrolled", `${element.scrollLeft}px`);
}

/** Where in the visible part the point of interest comes to lie. */
const LOOK_AT = 0.4;

/** A picture with its name, its sentence and its table. */
export function Figure({ name, meta, table, sideways, say, foot, className, ...picture }: FigureProps) {
  const heading = useId();
  const [asTable, setAsTable] = useState(false);
  const interest = useRef(sideways);
  interest.current = sideways;
  const lookAt = useCallback((element: HTMLElement | null) => {
    if (!element || !interest.current) return;
    element.scrollLeft = interest.current(element.scrollWidth) - element.clientWidth * LOOK_AT;
    follow(element);
  }, []);
  const drawn = <Picture {...picture} />;
  return (
    <section className={`panel ${className ?? ""}`} aria-labelledby={heading}>
      <header>
        <h2 id={heading}>{name}</h2>
        <span className="meta">
          {meta ? <span className="hide-phone">{meta} · </span> : null}
          <TableToggle on={asTable} set={setAsTable} name={name} />
        </span>
      </header>
      {asTable ? (
        <DataTable view={table()} label={`${name}, as table`} />
      ) : (
        <div className="in" style={{ paddingBottom: 8 }}>
          {sideways ? (
            <section
              className="sideways"
              // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways on a phone
              tabIndex={0}
              aria-label={`${name}, scrolls sideways`}
              ref={lookAt}
              onScroll={(event) => follow(event.currentTarget)}
            >
              {drawn}
            </section>
          ) : (
            drawn
          )}
          {say ? <p className="cap">{picture.summary}</p> : null}
        </div>
      )}
      {foot}
    </section>
  );
}

export function TableToggle({ on, set, name }: { on: boolean; set: (on: boolean) => void; name: string }) {
  return (
    <button type="button" className="linky" aria-pressed={on} onClick={() => set(!on)}>
      {on ? "as picture" : "as table"}
      <span className="sr"> {name}</span>
    </button>
  );
}
