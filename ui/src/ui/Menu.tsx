import { type ReactNode, useEffect, useId, useRef, useState } from "react";

interface Props {
  /** What is chosen here; stands before the button's own words for those who cannot see the button. */
  label: string;
  button: ReactNode;
  className?: string;
  children: (close: () => void) => ReactNode;
}

/** A button with a popover under it. */
export function Menu({ label, button, className, children }: Props) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const host = useRef<HTMLDivElement>(null);
  const trigger = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    if (!open) return;
    const outside = (event: Event) => {
      if (!host.current?.contains(event.target as Node)) setOpen(false);
    };
    const leave = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      setOpen(false);
      trigger.current?.focus();
    };
    document.addEventListener("pointerdown", outside);
    document.addEventListener("keydown", leave);
    host.current?.querySelector<HTMLElement>(".menu button, .menu a")?.focus();
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("keydown", leave);
    };
  }, [open]);

  return (
    <div className="menu-host" ref={host}>
      <button
        ref={trigger}
        type="button"
        className={className ?? "pill"}
        aria-haspopup="true"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
      >
        <span className="sr">{label}: </span>
        {button}
      </button>
      {open ? (
        <div className="menu" id={id}>
          {children(() => setOpen(false))}
        </div>
      ) : null}
    </div>
  );
}
