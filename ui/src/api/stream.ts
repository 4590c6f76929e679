import { authHeaders } from "./http";
import { SseParser } from "./sse";
import type { Envelope } from "./types";

/** The server sends a heartbeat each 10 s; two missed ones mean that what we show is old. */
export const HEARTBEAT_S = 10;
const SILENCE_MS = 2 * HEARTBEAT_S * 1000 + 1500;
const BACKOFF_MS = [500, 1000, 2000, 4000, 8000, 15000];
/** More than this between two frames is a sign of a hidden tab; the oldest ticks are dropped. */
const QUEUE_MAX = 5000;

export interface StreamState {
  status: "connecting" | "open" | "lost";
  /** When anything was last heard, in ms of this browser's clock. */
  heardAt: number | null;
  lostSince: number | null;
  /** Event time of the newest reading, in ms. */
  newestAt: number | null;
  refused: boolean;
}

/** The server knows our last id no more: what we hold may be of another log. */
const RESET = "stream.reset";

type Batch = (events: Envelope[]) => void;

/** One connection to `/events` for the whole app; events are handed on once per frame. */
export class EventStream {
  private state: StreamState = {
    status: "connecting",
    heardAt: null,
    lostSince: null,
    newestAt: null,
    refused: false,
  };
  private readonly listeners = new Set<() => void>();
  private queue: Envelope[] = [];
  private frame = 0;
  private lastId: string | null = null;
  private abort: AbortController | null = null;
  private stopped = true;
  private attempt = 0;
  private watchdog = 0;
  private readonly onBatch: Batch;
  private readonly onResume: () => void;

  constructor(onBatch: Batch, onResume: () => void) {
    this.onBatch = onBatch;
    this.onResume = onResume;
  }

  snapshot = (): StreamState => this.state;

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    void this.run();
    this.watchdog = window.setInterval(() => this.watch(), 1000);
  }

  stop(): void {
    this.stopped = true;
    this.abort?.abort();
    window.clearInterval(this.watchdog);
  }

  /** Connects anew at once, with the key of now. */
  restart(): void {
    this.attempt = 0;
    this.abort?.abort();
  }

  private set(change: Partial<StreamState>): void {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }

  private heard(): void {
    const wasLost = this.state.status === "lost";
    this.state = { ...this.state, heardAt: Date.now() };
    if (this.state.status !== "open") this.set({ status: "open", lostSince: null, refused: false });
    if (wasLost) this.onResume();
  }

  private watch(): void {
    const { heardAt, status } = this.state;
    if (status === "open" && heardAt !== null && Date.now() - heardAt > SILENCE_MS) {
      this.set({ status: "lost", lostSince: heardAt });
      this.abort?.abort();
    }
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      this.abort = new AbortController();
      try {
        await this.read(this.abort.signal);
      } catch {
        // Every way a connection ends is handled below: wait, then connect again.
      }
      if (this.stopped) return;
      this.noteLoss();
      const wait = BACKOFF_MS[Math.min(this.attempt, BACKOFF_MS.length - 1)] ?? 15000;
      this.attempt += 1;
      await new Promise((resolve) => setTimeout(resolve, wait * (0.75 + Math.random() / 2)));
    }
  }

  /** A short cut is bridged in silence; only two missed heartbeats are shown as a loss. */
  private noteLoss(): void {
    const { heardAt, status } = this.state;
    if (status === "lost") return;
    if (heardAt === null || Date.now() - heardAt > SILENCE_MS) {
      this.set({ status: "lost", lostSince: heardAt ?? Date.now() });
    }
  }

  private async read(signal: AbortSignal): Promise<void> {
    const headers: Record<string, string> = { ...authHeaders(), Accept: "text/event-stream" };
    if (this.lastId) headers["Last-Event-ID"] = this.lastId;
    const response = await fetch("/events", { headers, signal, cache: "no-store" });
    if (response.status === 401 || response.status === 403) this.set({ refused: true });
    if (!response.ok || !response.body) throw new Error(`stream answered ${response.status}`);
    this.attempt = 0;
    this.heard();
    const parser = new SseParser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.heard();
      for (const message of parser.push(value)) {
        if (message.event === RESET) this.onResume();
        else this.take(message.data);
      }
      this.lastId = parser.lastId ?? this.lastId;
    }
  }

  private take(data: string): void {
    let event: Envelope;
    try {
      event = JSON.parse(data) as Envelope;
    } catch {
      return;
    }
    if (event.type === "telemetry.tick") {
      const at = Date.parse((event.data as { at: string }).at);
      if (Number.isFinite(at)) this.state = { ...this.state, newestAt: at };
    }
    if (this.queue.length >= QUEUE_MAX) this.queue.shift();
    this.queue.push(event);
    if (!this.frame) this.frame = this.schedule();
  }

  private schedule(): number {
    const flush = () => {
      this.frame = 0;
      const events = this.queue;
      this.queue = [];
      this.onBatch(events);
    };
    // A hidden tab gets no frames; it may be a second behind.
    return document.hidden ? window.setTimeout(flush, 1000) : requestAnimationFrame(flush);
  }
}
