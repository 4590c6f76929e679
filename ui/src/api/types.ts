/** The shapes that travel between server and browser: the HTTP contract's, by short names. Only what the
 *  contract leaves open is said here. */
import type { components } from "./generated/schema";

type Schema = components["schemas"];

/** The contract says integer; there are four. */
export type Priority = 1 | 2 | 3 | 4;

/** The contract's types with what it cannot say: priorities are four, and a decision's evidence is the
 *  prediction that led to it, whole. */
export type Sharp<T> = T extends Blob ? T : T extends object ? { [K in keyof T]: SharpField<T, K> } : T;

type SharpField<T, K extends keyof T> = K extends "priority"
  ? Exclude<T[K], number> | Priority
  : K extends "evidence"
    ? T extends { decision_id: string }
      ? Prediction | null
      : Sharp<T[K]>
    : Sharp<T[K]>;

export type Severity = Schema["Severity"];
export type Quality = "good" | "uncertain" | "bad";
export type Role = Schema["Role"];

/** One page of a list. `next` is there when there is more. */
export interface Page<T> {
  items: T[];
  next?: string | null;
}

export type ProblemBody = Schema["Problem"];

/** CloudEvents 1.0 envelope; `data` is as its type says. */
export type Envelope<T = unknown> = Omit<Schema["Event"], "data"> & { data: T };

export type Sensor = Schema["SensorView"];
export type Point = Schema["PointView"];
export type Series = Schema["SeriesView"];

/** Told on the stream only, once a second. */
export interface Tick {
  at: string;
  values: { sensor: string; at: string; value: number; quality: Quality; score?: number | null }[];
}

export type Anomaly = Schema["Anomaly"];
export type ExplainedAnomaly = Schema["ExplainedAnomaly"];
export type SeriesEvidence = Schema["SeriesEvidence"];
export type Changepoint = Schema["Changepoint"];
export type Prediction = Schema["Prediction"];

export type DecisionState = Schema["DecisionState"];
export type Decision = Sharp<Schema["Decision"]>;
export type DecisionAnswer = Schema["SubmitBody"];

export type Verdict = Schema["Verdict"];
export type WorkOrder = Sharp<Schema["WorkOrder"]>;
export type Completion = Schema["CompleteBody"];

export type Alert = Sharp<Schema["Alert"]>;
export type AlarmQuality = Schema["Quality"];

export type Incident = Sharp<Schema["Incident_String"]>;
export type Lane = Schema["Lane"];
export type TimelineEntry = Sharp<Schema["Entry"]>;
export type IncidentDetail = Sharp<Schema["IncidentDetail"]>;
export type IncidentUpdate = Schema["UpdateBody"];

export type Notification = Schema["Notification"];
export type GoldenStep = Schema["Step"];
export type GoldenRun = Schema["GoldenPath"];
