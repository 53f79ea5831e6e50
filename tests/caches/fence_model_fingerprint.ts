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
  const { rules, left, versions, entries, old } = spec;
  const running = spec.loads.map((load, number) =>
    load === undefined ? "" : showLoad(spec, load, number)
  );
  // Those that wait begin in order.
  const loads = spec.queued === 0 ? [...running].sort() : running;
  let text = `${left.calls}${left.invalidations}${left.evictions}` +
    `${left.flushes}${left.elapses}${left.reaches}${left.leaves}`;
  for (const entry of entries) {
    text += showEntry(entry);
    if (rules.isMortal && entry.load === undefined) text += entry.age;
  }
  for (const load of loads) if (load !== "") text += ` ${load}`;
  if (!rules.keepsNegative) text += ` ${versions.a % 2}${versions.b % 2}`;
  if (rules.hasSignals) text += showCallers(spec, running);
  if (old.length > 0) text += showOld(spec);
  return text;
}

function showCallers({ callers }: Spec, running: readonly string[]): string {
  const waiting = callers.filter((loads) => loads.length > 0)
    .map((loads) => loads.map((load) => running[load]).join());
  return `/${waiting.sort().join("/")}`;
}

function showOld({ old, oldAge }: Spec): string {
  const putOff = old.flatMap(({ claim = 0 }) => claim < 0 ? [claim] : [])
    .sort((one, other) => other - one);
  const shown = old.map((entry) => {
    const { claim = 0 } = entry;
    return `${showEntry(entry)}${claim < 0 ? putOff.indexOf(claim) : ""}`;
  });
  return ` old ${shown.join()} ${oldAge}`;
}

function showEntry({ key, load }: SpecEntry): string {
  return load === undefined ? key : key.toUpperCase();
}

function showLoad(spec: Spec, load: SpecLoad, number: number): string {
  const { rules, entries, old } = spec;
  let text = "";
  for (const key of load.keys) text += `${key}${ageOf(spec, load, key)}`;
  if (rules.isMortal && load.place !== undefined) text += load.age;
  if (rules.hasSignals && load.isCallers) text += "!";
  for (const [place, entry] of entries.entries()) {
    if (entry.load === number) text += `@${place}`;
  }
  for (const [place, entry] of old.entries()) {
    if (entry.load === number) text += `o${place}`;
    if (entry.claim === number) text += `c${place}`;
  }
  return text;
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
