/** The versions of an asset's process model. */
import type { ModelStatus } from "../../api/models";
import { ownName } from "../../ui/format";

export const inForce = ({ versions }: ModelStatus) =>
  versions.find((version) => version.state === "accepted");
export const proposed = ({ versions }: ModelStatus) =>
  versions.find((version) => version.state === "proposed");

/** Site and own name, as addresses have them. */
export const placeOf = (asset: string): [string, string] => [asset.split("/")[0] ?? "", ownName(asset)];
