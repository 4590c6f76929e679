/** The stretch of time that several plots show together. It moves with every frame of a pan or a zoom,
 *  without a render of the page; the page is told when the hand rests. */

type Listener = () => void;

/** Shorter stretches hold nothing more. */
export const LEAST_SPAN_S = 0.1;
/** Longer than any plant has been measured; further out there would be no dates left to write. */
export const MOST_SPAN_S = 30 * 365 * 86_400;
const REST_MS = 180;

export class TimeView {
  /** Seconds. */
  from: number;
  to: number;
  private readonly listeners = new Set<Listener>();
  private frame = 0;
  private timer = 0;
  private readonly settled: (from: number, to: number) => void;

  constructor(from: number, to: number, settled: (from: number, to: number) => void) {
    this.from = from;
    this.to = to;
    this.settled = settled;
  }

  subscribe = (listener: Listener): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Whether a hand is on it; meanwhile the clock must not move it. */
  get held(): boolean {
    return this.timer !== 0;
  }

  /** What the page says. */
  show(from: number, to: number): void {
    if (this.held || (from === this.from && to === this.to)) return;
    this.from = from;
    this.to = to;
    this.draw();
  }

  /** What the hand does. */
  move(from: number, to: number, now = Date.now() / 1000): void {
    const span = Math.min(MOST_SPAN_S, Math.max(LEAST_SPAN_S, to - from));
    // A stretch that may grow no further stays where it is.
    const start = from + (to - from - span) / 2;
    // There is nothing to see far in the future, or before computers counted time.
    const late = Math.max(0, start + span - now - span * 0.1);
    this.from = Math.max(0, start - late);
    this.to = this.from + span;
    this.draw();
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      this.settled(this.from, this.to);
    }, REST_MS);
  }

  pan(share: number): void {
    const by = (this.to - this.from) * share;
    this.move(this.from + by, this.to + by);
  }

  /** `share` of the width stays where it is. */
  zoom(factor: number, share = 0.5): void {
    const span = this.to - this.from;
    const at = this.from + span * share;
    this.move(at - span * factor * share, at + span * factor * (1 - share));
  }

  stop(): void {
    window.clearTimeout(this.timer);
    this.timer = 0;
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  private draw(): void {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      for (const listener of this.listeners) listener();
    });
  }
}

const LINE_PX = 16;
const ZOOM_PER_PX = 0.0022;

const area = (host: HTMLElement): DOMRect | undefined =>
  host.querySelector<HTMLElement>(".u-over")?.getBoundingClientRect();

/** Wheel with Ctrl zooms, wheel sideways or with Shift pans; with the mouse Shift and drag pans, with a finger
 *  a drag pans and two fingers zoom. A plain wheel scrolls the page. Returns how to end it. */
export function steer(host: HTMLElement, view: TimeView): () => void {
  const fingers = new Map<number, number>();
  let panning = false;

  const wheel = (event: WheelEvent) => {
    const box = area(host);
    if (!box || event.clientX < box.left || event.clientX > box.right) return;
    const unit = event.deltaMode === 1 ? LINE_PX : 1;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      view.zoom(Math.exp(event.deltaY * unit * ZOOM_PER_PX), (event.clientX - box.left) / box.width);
      return;
    }
    const sideways = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
    if (Math.abs(sideways) <= Math.abs(event.shiftKey ? 0 : event.deltaY)) return;
    event.preventDefault();
    view.pan((sideways * unit) / box.width);
  };

  const down = (event: PointerEvent) => {
    const on = event.target instanceof Element && event.target.closest(".u-over");
    if (!on) return;
    const touch = event.pointerType === "touch";
    if (!touch && !event.shiftKey) return;
    fingers.set(event.pointerId, event.clientX);
    panning = true;
  };

  const move = (event: PointerEvent) => {
    const before = fingers.get(event.pointerId);
    const box = area(host);
    if (!panning || before === undefined || !box) return;
    const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, x]) => x);
    fingers.set(event.pointerId, event.clientX);
    const other = others[0];
    if (other === undefined) {
      view.pan((before - event.clientX) / box.width);
      return;
    }
    const apart = Math.max(24, Math.abs(event.clientX - other));
    const was = Math.max(24, Math.abs(before - other));
    view.zoom(was / apart, ((event.clientX + other) / 2 - box.left) / box.width);
  };

  const up = (event: PointerEvent) => {
    fingers.delete(event.pointerId);
    panning = fingers.size > 0;
  };

  // The plot must not begin to select while the hand pans.
  const press = (event: MouseEvent) => {
    if (event.shiftKey) event.stopPropagation();
  };

  host.addEventListener("wheel", wheel, { passive: false });
  host.addEventListener("pointerdown", down);
  window.addEventListener("pointermove", move);
  window.addEventListener("pointerup", up);
  window.addEventListener("pointercancel", up);
  host.addEventListener("mousedown", press, { capture: true });
  return () => {
    host.removeEventListener("wheel", wheel);
    host.removeEventListener("pointerdown", down);
    window.removeEventListener("pointermove", move);
    window.removeEventListener("pointerup", up);
    window.removeEventListener("pointercancel", up);
    host.removeEventListener("mousedown", press, { capture: true });
  };
}
