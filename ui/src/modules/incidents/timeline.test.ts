import { expect, it } from "vitest";
import type { TimelineEntry } from "../../api/types";
import { place } from "./IncidentTimeline";

const at = (ms: number, title: string): TimelineEntry => ({
  at: new Date(ms).toISOString(),
  kind: "person",
  lane: "people",
  title,
  detail: "",
  event_id: "01a1fea2-2246-7453-a2ce-9566139637d0",
});

it("labels that would overlap stand in rows of their own, and near the end to the left", () => {
  const placed = place(
    [at(0, "Ines acknowledged"), at(10, "Tom took it"), at(490, "Tom approved")],
    (t) => t,
    500,
  );
  expect(placed.map((p) => p.row)).toEqual([0, 1, 0]);
  expect(placed.map((p) => p.left)).toEqual([false, false, true]);
});
