// What schedules are made of, and what the specification of a cache is about.

/** The two keys; loads of others only take up room. */
export type KeyName = "a" | "b";

/** What a caller asks for: one key, or both as a list. */
export type Call = "a" | "b" | "ab";

/** One step of a schedule. Loads and callers are numbered as they come. */
export type Step =
  /** By a caller, or by a load of another cache, which must be given nothing old. */
  | { readonly does: "call"; readonly what: Call; readonly isInLoad?: boolean }
  | { readonly does: "read"; readonly load: number }
  | { readonly does: "end"; readonly load: number; readonly fails: boolean }
  /** A caller waits no longer. */
  | { readonly does: "leave"; readonly caller: number }
  /** A write of some keys, together with an invalidation that drops them. */
  | { readonly does: "invalidate"; readonly by: number }
  | { readonly does: "flush"; readonly mayServeOld?: boolean }
  /** Another key is loaded, for which there may be no room. */
  | { readonly does: "evict" }
  /** Half the time for which anything may be kept, or served though it is old. */
  | { readonly does: "elapse" }
  /** Somebody has waited for a token, and it was reached. */
  | { readonly does: "reach" };

/** How often each may happen. */
export interface Budget {
  readonly calls: number;
  readonly invalidations: number;
  readonly evictions: number;
  readonly flushes: number;
  readonly elapses: number;
  readonly reaches: number;
  readonly leaves: number;
}

/** What the specification knows of a cache. */
export interface Rules {
  readonly calls: readonly Call[];
  /** By kind of invalidation, the keys that it drops; `all` is every entry. */
  readonly drops: readonly (Call | "all")[];
  readonly maxEntries: number;
  /** Whether a value that says that there is nothing is kept. */
  readonly keepsNegative: boolean;
  /** Whether an entry counts as used when its load ends. */
  readonly isUsedAtEnd: boolean;
  /** How many loads run at a time. */
  readonly maxLoads: number;
  /** Whether entries live for two elapses only, from when their load began. */
  readonly isMortal: boolean;
  /** Whether what is cleared may be served, for two elapses. */
  readonly servesOld: boolean;
  /** Whether old entries are loaded anew only after a while. */
  readonly putsOff: boolean;
  /** Whether callers can leave. */
  readonly hasSignals: boolean;
}

/** After how many elapses what is bounded in time has gone. */
export const LIFE = 2;

/** A load, until it ends. */
export interface SpecLoad {
  readonly keys: readonly KeyName[];
  /** Its place among those that have begun; none while it waits at the gate. */
  readonly place: number | undefined;
  /** What it read, by key; nothing yet. */
  readonly read: Readonly<Record<KeyName, number>> | undefined;
  /** Elapses since it began. */
  readonly age: number;
  /** Whether it is a single caller's, and those who join it: not a list's. */
  readonly isCallers: boolean;
}

/** An entry, the least recently used first. */
export interface SpecEntry {
  readonly key: KeyName | "other";
  /** The load that it waits for. */
  readonly load: number | undefined;
  /** Elapses since its load began. */
  readonly age: number;
}

/** An entry of before a clearing. One whose load runs is served to nobody. */
export interface OldEntry extends SpecEntry {
  /** The load that is to replace it; below 0 as long as that is put off. */
  readonly claim: number | undefined;
}

/** Whether there is nothing at a version. */
export function isNegative(version: number): boolean {
  return version % 2 === 1;
}

/** The keys of a call. */
export function keysOf(call: Call | "all"): readonly KeyName[] {
  return call === "a" ? ["a"] : call === "b" ? ["b"] : ["a", "b"];
}

/** All that a state consists of, but for its rules. */
export interface StateParts {
  readonly left: Budget;
  readonly versions: Readonly<Record<KeyName, number>>;
  readonly entries: readonly SpecEntry[];
  /** What may be served of before a clearing. */
  readonly old: readonly OldEntry[];
  /** Elapses since that clearing. */
  readonly oldAge: number;
  /** By number, as they were asked for; `undefined` are those that are over. */
  readonly loads: readonly (SpecLoad | undefined)[];
  /** How many loads have begun. */
  readonly begun: number;
  /** How many times a load was put off. */
  readonly putOff: number;
  /** By caller, the loads that they wait for. */
  readonly callers: readonly (readonly number[])[];
}

/** An empty cache, of which nothing was asked. */
export const NOTHING: Omit<StateParts, "left"> = {
  versions: { a: 0, b: 0 },
  entries: [],
  old: [],
  oldAge: 0,
  loads: [],
  begun: 0,
  putOff: 0,
  callers: [],
};
