import type { ReactNode } from "react";

interface Props {
  label: string;
  className?: string;
  children: ReactNode;
}

/** A wide table scrolls within its panel, also by keyboard. */
export function Scroll({ label, className, children }: Props) {
  return (
    <section
      className={className ? `scroll ${className}` : "scroll"}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
      tabIndex={0}
      aria-label={label}
    >
      {children}
    </section>
  );
}
