import { type ReactNode, useEffect, useId, useRef } from "react";
import { Words } from "./Words";

interface Props {
  title: string;
  meta?: ReactNode;
  children: ReactNode;
  className?: string;
  id?: string;
  /** Hides the title from sight where a segmented control says the same. */
  quietTitle?: boolean;
}

export function Panel({ title, meta, children, className, id, quietTitle }: Props) {
  const heading = useId();
  return (
    <section className={`panel ${className ?? ""}`} aria-labelledby={heading} id={id}>
      <header className={quietTitle && !meta ? "sr" : undefined}>
        <h2 id={heading} className={quietTitle ? "sr" : undefined}>
          <Words>{title}</Words>
        </h2>
        {meta ? <span className="meta">{meta}</span> : null}
      </header>
      {children}
    </section>
  );
}

export interface Head {
  crumb: ReactNode;
  title: ReactNode;
  lead?: ReactNode;
  acts?: ReactNode;
}

/** The crumb asks, the title answers. */
export function PageHead({ crumb, title, lead, acts }: Head) {
  const answer = useRef<HTMLHeadingElement>(null);
  // The answer is the name of the tab, too.
  useEffect(() => {
    const said = answer.current?.textContent?.trim();
    if (said) document.title = `${said} · Plainview`;
  });
  return (
    <div className="head">
      <div>
        <p className="crumb">{crumb}</p>
        <h1 ref={answer}>{typeof title === "string" ? <Words>{title}</Words> : title}</h1>
        {lead ? <p className="sentence">{lead}</p> : null}
      </div>
      {acts ? <div className="acts">{acts}</div> : null}
    </div>
  );
}
