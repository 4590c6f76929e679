/** The process models of assets: what is in force, what is proposed. */
import { queryOptions } from "@tanstack/react-query";
import type { components } from "./generated/schema";
import { api, take } from "./http";

type Schema = components["schemas"];
export type ModelStatus = Schema["ProcessModelStatus"];
export type ModelVersion = Schema["ProcessModelView"];
export type ModelBody = Schema["ProcessModelBody"];

const REFRESH_MS = 15_000;

export const modelsQuery = queryOptions({
  queryKey: ["process-models"],
  queryFn: ({ signal }) => take(api.GET("/api/v1/assets/models", { signal })),
  refetchInterval: REFRESH_MS,
  staleTime: REFRESH_MS,
});

export const modelQuery = (site: string, asset: string) =>
  queryOptions({
    queryKey: ["process-models", site, asset],
    queryFn: ({ signal }) =>
      take(api.GET("/api/v1/assets/{site}/{asset}/model", { params: { path: { site, asset } }, signal })),
    staleTime: REFRESH_MS,
  });

/** Learns a new version: in force at once when it is the first, proposed otherwise. */
export const learnModel = (site: string, asset: string, body: ModelBody) =>
  take(api.PUT("/api/v1/assets/{site}/{asset}/model", { params: { path: { site, asset } }, body }));

/** Takes a proposed version off the table. */
export const rejectModel = (site: string, asset: string, version: number, reason: string) =>
  take(
    api.POST("/api/v1/assets/{site}/{asset}/model/reject", {
      params: { path: { site, asset } },
      body: { version, reason },
    }),
  );

/** Puts a version in force; the one before is retired and can be accepted again. */
export const acceptModel = (site: string, asset: string, version: number) =>
  take(
    api.POST("/api/v1/assets/{site}/{asset}/model/accept", {
      params: { path: { site, asset } },
      body: { version },
    }),
  );

/** What a sensor reads now is normal: its standing anomaly ends with the next calm readings. */
export const acceptLevel = (anomalyId: string) =>
  take(api.POST("/api/v1/anomalies/{id}/accept-level", { params: { path: { id: anomalyId } } }));
