import { expect, it } from "vitest";
import type { Source } from "../../../api/sources";
import { adviceFor } from "./advice";

const NOW = Date.parse("2026-11-19T14:00:00Z");

const source = (more: Partial<Source>): Source =>
  ({
    id: "mqtt/tank-farm",
    protocol: "mqtt",
    kind: "connector",
    address: "10.4.0.12:1883",
    desired: "running",
    state: "failing",
    reconciled: false,
    readings: 0,
    refused: 0,
    ...more,
  }) as Source;

const said = (message: string, more: Partial<Source> = {}) =>
  adviceFor(source({ last_error: { at: "2026-11-19T13:59:00Z", message }, ...more }), NOW);

it("each error of a connector is told in plain words with what to do", () => {
  const cases: [string, RegExp, RegExp][] = [
    ["broker connection: Connection refused, return code: `NotAuthorized`", /login was refused/, /password/],
    ["cannot connect: Connection refused (os error 111)", /Nobody answers at 10\.4\.0\.12/, /host and port/],
    ["cannot connect: failed to lookup address information", /host name is not known/, /written/],
    ["cannot connect: BadIdentityTokenRejected", /login was refused/, /password/],
    ["the server offers no endpoint Basic256Sha256, only None", /does not offer/, /policy/],
    [
      "the server's certificate is another than the one of server_thumbprint: ab",
      /not trusted/,
      /thumbprint/,
    ],
    ["no answer within 1000 ms", /No answer in time/, /firewall/],
    ["exception 2: illegal data address", /refuses a register/, /register map/],
    ["connection lost: closed by peer", /closed the connection/, /by itself/],
  ];
  for (const [message, what, fix] of cases) {
    expect(said(message)?.what, message).toMatch(what);
    expect(said(message)?.fix, message).toMatch(fix);
  }
});

it("what nobody foresaw is said as it came", () => {
  expect(said("flux capacitor empty")).toEqual({ what: "Flux capacitor empty", fix: "" });
});

it("a live source is told of while what it sends cannot be read, and no longer", () => {
  const live = { state: "live", reconciled: true, refused: 200 } as const;
  const message = "`a/b`: payload: `x` is no number, JSON or line protocol";
  expect(said(message, live)?.what).toBe("200 messages could not be read");
  const old = { at: "2026-11-19T12:00:00Z", message };
  expect(adviceFor(source({ ...live, last_error: old }), NOW)).toBeNull();
});

it("silence names who is silent and since when", () => {
  const agent = source({
    kind: "agent",
    protocol: "line_protocol",
    state: "silent",
    reconciled: true,
    readings: 900,
    newest_at: "2026-11-19T13:56:00Z",
  });
  expect(adviceFor(agent, NOW)?.what).toBe("It no longer sends, for 4\u00a0min");
  expect(adviceFor(source({ state: "silent" }), NOW)?.fix).toMatch(/topics fit/);
});
