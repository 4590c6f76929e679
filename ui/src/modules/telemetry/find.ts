/** Finding sensors by words, also those that the list of all is too short for. */
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { searchQuery } from "../../api/queries";
import type { Sensor } from "../../api/types";
import { wordsOf } from "../../ui/format";

const NONE: never[] = [];

/** Words, and `unit:bar`, `kind:flow`, `asset:p-2`, `trust:stuck` for the fields. */
export function findSensors(sensors: readonly Sensor[], query: string): Sensor[] {
  const words = wordsOf(query);
  return sensors.filter((sensor) =>
    words.every((word) => {
      const [field, wanted] = word.split(":");
      if (wanted === undefined) return sensor.key.toLowerCase().includes(word);
      const { unit, kind, trust, site, asset } = sensor;
      const value = { unit, kind, trust, site, asset }[field ?? ""];
      return (value ?? "").toLowerCase().includes(wanted);
    }),
  );
}

/** What the server is asked for: it takes one part of a key, and the longest says most. */
export const askedWord = (query: string): string =>
  wordsOf(query)
    .map((word) => word.replace(/^(asset|site):/, ""))
    .filter((word) => !word.includes(":"))
    .reduce((longest, word) => (word.length > longest.length ? word : longest), "");

/** The sensors of the list, and with `more` of them those that the server finds for the words. */
export function useAllSensors(sensors: readonly Sensor[], query: string, more: boolean): Sensor[] {
  const asked = useQuery(searchQuery(askedWord(query), more)).data?.items ?? NONE;
  return useMemo(() => {
    const known = new Set(sensors.map((sensor) => sensor.key));
    return [...sensors, ...asked.filter((sensor) => !known.has(sensor.key))];
  }, [sensors, asked]);
}
