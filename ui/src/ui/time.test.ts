import { afterAll, expect, it, vi } from "vitest";
import { timeTicks, zoneWords } from "./time";

afterAll(() => {
  vi.unstubAllEnvs();
});

it("marks stand at round local times, also where clocks are changed within the window", () => {
  vi.stubEnv("TZ", "Europe/Berlin");
  const day = (text: string) => Date.parse(text);
  const { at } = timeTicks(day("2026-10-24T00:00:00+02:00"), day("2026-10-27T00:00:00+01:00"), 8);
  for (const t of at) expect([0, 12]).toContain(new Date(t).getHours());
  expect(at.length).toBeGreaterThan(4);
  expect(zoneWords(day("2026-10-24T12:00:00Z"))).toMatch(/UTC\+02:00$/);
  expect(zoneWords(day("2026-10-26T12:00:00Z"))).toMatch(/UTC\+01:00$/);
});
