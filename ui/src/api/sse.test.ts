import { describe, expect, it } from "vitest";
import { SseParser } from "./sse";

describe("the event stream", () => {
  it("gives the same messages however it is cut", () => {
    const text =
      'retry: 2000\nid: 7\n\n: still here\n\nevent: alert.created\nid: 8\ndata: {"a":1}\n\ndata: one\r\ndata: two\r\n\r\n';
    const whole = new SseParser().push(text);
    expect(whole).toEqual([
      { event: "alert.created", data: '{"a":1}', id: "8" },
      { event: "message", data: "one\ntwo", id: null },
    ]);
    for (let cut = 1; cut < text.length; cut++) {
      const parser = new SseParser();
      expect([...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))]).toEqual(whole);
    }
  });

  it("remembers an id that came without data, and none that is unfinished", () => {
    const parser = new SseParser();
    parser.push("id: 41\n\n");
    expect(parser.lastId).toBe("41");
    parser.push("id: 42\ndata: {}\n");
    expect(parser.lastId).toBe("41");
  });
});
