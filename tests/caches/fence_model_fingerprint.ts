// Which states are alike: all of a state that matters for what may come.

import type { Spec } from "./fence_model_spec.ts";
import {
  isNegative,
  type KeyName,
  type SpecEntry,
  type SpecLoad,
} from "./fence_model_steps.ts";

/** The same for states that are alike, which go on alike. */
export function fingerprintOf(spec: Spec): string {
  const { rules, left, versions } = spec;
  const running = spec.loads.map((load, number) =>
    load === undefined ? "" : showLoad(spec, load, number)
  );
  const order = spec.queued === 0
    ? running.filter((load) => load !== "").sort()
    : running.filter((load) => load !== "");
  const signs = rules.keepsNegative ? "" : `${versions.a % 2}${versions.b % 2}`;
  const callers = spec.callers.filter((loads) => loads.length > 0)
    .map((loads) => loads.map((load) => running[load])).sort();
  const putOff = spec.old.flatMap(({ claim = 0 }) => claim < 0 ? [claim] : [])
    .sort((one, other) => other - one);
  const old = spec.old.map((entry) => {
    const { claim = 0 } = entry;
    return `${showEntry(entry)}${claim < 0 ? putOff.indexOf(claim) : ""}`;
  });
  return [
    Object.values(left).join(""),
    spec.entries.map((entry) =>
      rules.isMortal && entry.load === undefined
        ? `${showEntry(entry)}${entry.age}`
        : showEntry(entry)
    ),
    order,
    signs,
    callers.join("/"),
    old.length === 0 ? "" : `${old}${spec.oldAge}`,
  ].join(" ");
}

function showEntry({ key, load }: SpecEntry): string {
  return load === undefined ? key : key.toUpperCase();
}

function showLoad(spec: Spec, load: SpecLoad, number: number): string {
  const { rules, entries, old } = spec;
  const held = entries.flatMap((entry, place) =>
    entry.load === number ? [place] : []
  );
  const heldOld = old.flatMap((entry, place) =>
    entry.load === number
      ? [`o${place}`]
      : entry.claim === number
      ? [`c${place}`]
      : []
  );
  const read = load.keys.map((key) => ageOf(spec, load, key));
  const age = rules.isMortal && load.place !== undefined ? load.age : "";
  const whose = rules.hasSignals && load.isCallers ? "!" : "";
  return `${load.keys.join("")}${read.join("")}${age}${whose}@` +
    `${held.join("")}${heldOld.join("")}`;
}

function ageOf(
  { rules, versions }: Spec,
  { place, read }: SpecLoad,
  key: KeyName,
): string {
  if (place === undefined) return ".";
  if (read === undefined) return "?";
  const age = read[key] === versions[key] ? "=" : "<";
  const isKept = rules.keepsNegative || !isNegative(read[key]);
  return isKept ? age : `${age}-`;
}
