/** Reads a server-sent event stream from text chunks, as the HTML standard describes it. */
export interface SseMessage {
  event: string;
  data: string;
  id: string | null;
}

export class SseParser {
  private rest = "";
  private event = "";
  private data: string[] = [];
  private id: string | null = null;
  /** The newest id that a blank line made valid, with or without data. */
  lastId: string | null = null;

  /** Takes the next chunk and returns the messages it completes. */
  push(chunk: string): SseMessage[] {
    const text = this.rest + chunk;
    const done: SseMessage[] = [];
    let start = 0;
    for (;;) {
      const end = text.indexOf("\n", start);
      if (end < 0) break;
      const line = text.slice(start, text[end - 1] === "\r" ? end - 1 : end);
      start = end + 1;
      const message = this.line(line);
      if (message) done.push(message);
    }
    this.rest = text.slice(start);
    return done;
  }

  private line(line: string): SseMessage | null {
    if (line === "") return this.flush();
    if (line.startsWith(":")) return null;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const raw = colon < 0 ? "" : line.slice(colon + 1);
    const value = raw.startsWith(" ") ? raw.slice(1) : raw;
    if (field === "event") this.event = value;
    else if (field === "data") this.data.push(value);
    else if (field === "id") this.id = value;
    return null;
  }

  private flush(): SseMessage | null {
    if (this.id !== null) this.lastId = this.id;
    const message =
      this.data.length > 0
        ? { event: this.event || "message", data: this.data.join("\n"), id: this.id }
        : null;
    this.event = "";
    this.data = [];
    this.id = null;
    return message;
  }
}
