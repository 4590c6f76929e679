import { expect, it } from "vitest";
import type { Alert } from "../../api/types";
import { valueAndLimit } from "./model";

const alert = (rule: string, value: number | null, limit: number | null) =>
  ({ rule, value, limit, unit: "mm/s" }) as Alert;

it("what an alarm measured carries the unit of its rule, not always that of its sensor", () => {
  expect(valueAndLimit(alert("range", 7.3, 7.1))).toBe("7.30 > 7.1\u00a0mm/s");
  expect(valueAndLimit(alert("score", 4.291, 3.152851))).toBe("4.29 > 3.15\u00a0mm/s");
  expect(valueAndLimit(alert("missing", 750.54, 600))).toBe("silent 12\u00a0min, at most 10\u00a0min");
  expect(valueAndLimit(alert("flatline", 4.2, null))).toBe("4.20\u00a0mm/s, unchanged");
  expect(valueAndLimit(alert("rate", 4.2, 0.5))).toBe("4.20\u00a0mm/s");
  expect(valueAndLimit(alert("process", 4.2, 9.7))).toBe("4.20\u00a0mm/s");
});
