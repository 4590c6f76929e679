import { type FormEvent, type ReactNode, useEffect, useId, useRef } from "react";

interface Props {
  title: string;
  lead?: ReactNode;
  onClose: () => void;
  onSubmit?: () => void;
  children?: ReactNode;
  foot?: ReactNode;
  wide?: boolean;
  /** At the right edge and as tall as the page, for what is looked at beside it. */
  drawer?: boolean;
}

/** A native modal dialog: focus stays inside, Esc closes, and the opener gets the focus back. */
export function Dialog({ title, lead, onClose, onSubmit, children, foot, wide, drawer }: Props) {
  const ref = useRef<HTMLDialogElement>(null);
  const heading = useId();

  useEffect(() => {
    const dialog = ref.current;
    if (!dialog) return;
    const opener = document.activeElement;
    if (typeof dialog.showModal === "function" && !dialog.open) dialog.showModal();
    // What is opened to be read begins with its title, not with the first button that does something.
    if (drawer) dialog.querySelector("h2")?.focus();
    return () => {
      dialog.close?.();
      if (opener instanceof HTMLElement) opener.focus();
    };
  }, [drawer]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSubmit?.();
  };

  return (
    <dialog
      ref={ref}
      className={`dialog${wide ? " wide" : ""}${drawer ? " drawer" : ""}`}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onMouseDown={(event) => {
        if (event.target === ref.current) onClose();
      }}
    >
      <form method="dialog" onSubmit={submit}>
        <div className="dh">
          <h2 id={heading} tabIndex={drawer ? -1 : undefined}>
            {title}
          </h2>
          {lead ? <p>{lead}</p> : null}
        </div>
        {children ? <div className="in">{children}</div> : null}
        {foot ? <div className="df">{foot}</div> : null}
      </form>
    </dialog>
  );
}

export function CancelButton({ onClick }: { onClick: () => void }) {
  return (
    <button type="button" className="btn quiet" onClick={onClick}>
      Cancel <kbd className="hide-phone">Esc</kbd>
    </button>
  );
}

/** For what was only looked at. */
export function CloseButton({ onClick }: { onClick: () => void }) {
  return (
    <button type="button" className="btn quiet" onClick={onClick}>
      Close <kbd className="hide-phone">Esc</kbd>
    </button>
  );
}
