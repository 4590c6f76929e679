// The golden path of the mock plant: its steps move by themselves until a person is asked.
import * as state from "./state.mjs";

const iso = (ms) => new Date(ms).toISOString();
const now = () => iso(Date.now());

const STEPS = ["ingest", "validate", "detect", "predict", "decide", "schedule", "notify"];
const DETAILS = [
  "1 batch, 512 readings",
  "512 good, 0 refused",
  "score 0.97, calibrated",
  "19 days, 12 to 27",
  "waits for a person",
  "on the calendar",
  "told ravi by e-mail",
];
export const runs = [];

export function newRun(say) {
  const run = {
    correlation_id: state.uuid(),
    overall_status: "running",
    started_at: now(),
    finished_at: null,
    waiting_for: null,
    sensor: "north/p-1/vibration",
    steps: STEPS.map((name, i) => ({
      name,
      status: i === 0 ? "running" : "pending",
      started_at: i === 0 ? now() : null,
      finished_at: null,
      event_ids: [],
      detail: null,
      evidence: null,
    })),
  };
  runs.unshift(run);
  for (let i = 0; i < 4; i++) setTimeout(() => advance(run, i, say), 700 * (i + 1));
  return run;
}

function advance(run, i, say) {
  const step = run.steps[i];
  Object.assign(step, { status: "done", finished_at: now(), event_ids: [state.uuid()], detail: DETAILS[i] });
  const next = run.steps[i + 1];
  if (!next) return;
  Object.assign(next, { status: "running", started_at: now() });
  if (next.name !== "decide") return;
  const decision = {
    ...state.decisions[0],
    decision_id: state.uuid(),
    number: 322 + runs.length,
    title: "Inspect P-1: vibration rising",
    asset: "north/p-1",
    sensor: "north/p-1/vibration",
    state: "waiting",
    requested_at: now(),
    expires_at: iso(Date.now() + 86_400_000),
    answered_by: null,
    answered_at: null,
    reason: null,
    proposal: { ...state.decisions[0].proposal, action: "Inspect P-1" },
  };
  state.decisions.unshift(decision);
  run.decision_id = decision.decision_id;
  Object.assign(next, {
    status: "waiting",
    detail: `D-${decision.number} waits for a person`,
    event_ids: [state.uuid()],
  });
  Object.assign(run, { overall_status: "waiting", waiting_for: `a person to decide D-${decision.number}` });
  say("decision.requested", `decision/${decision.decision_id}`, decision);
}

export function finishRun(run, to, say) {
  Object.assign(run.steps[4], { status: "done", finished_at: now(), detail: to });
  run.waiting_for = null;
  if (to !== "approved") return Object.assign(run, { overall_status: "failed", finished_at: now() });
  run.overall_status = "running";
  setTimeout(() => advance(run, 5, say), 900);
  setTimeout(() => {
    advance(run, 6, say);
    Object.assign(run, { overall_status: "completed", finished_at: now() });
  }, 1600);
  return run;
}
