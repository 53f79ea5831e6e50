// What a cache has to do, said as simply as can be: a database with a version
// for each key, a list of entries, loads that read at one moment and end at
// another. Nothing here is asynchronous.

/** The two keys; loads of others only take up room. */
export type KeyName = "a" | "b";

/** What a caller asks for: one key, or both as a list. */
export type Call = "a" | "b" | "ab";

/** One step of a schedule. Loads are numbered as they begin. */
export type Step =
  | { readonly does: "call"; readonly what: Call }
  | { readonly does: "read"; readonly load: number }
  | { readonly does: "end"; readonly load: number; readonly fails: boolean }
  /** A write of some keys, together with an invalidation that drops them. */
  | { readonly does: "invalidate"; readonly by: number }
  | { readonly does: "flush" }
  /** Another key is loaded, for which there may be no room. */
  | { readonly does: "evict" };

/** How often each may happen. */
export interface Budget {
  readonly calls: number;
  readonly invalidations: number;
  readonly evictions: number;
  readonly flushes: number;
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
}

/** A load, until it ends. */
interface SpecLoad {
  readonly keys: readonly KeyName[];
  /** What it read, by key; nothing yet. */
  readonly read: Readonly<Record<KeyName, number>> | undefined;
}

/** An entry, the least recently used first. */
interface SpecEntry {
  readonly key: KeyName | "other";
  /** The load that it waits for. */
  readonly load: number | undefined;
}

/** Whether there is nothing at a version. */
export function isNegative(version: number): boolean {
  return version % 2 === 1;
}

/** The keys of a call. */
export function keysOf(call: Call | "all"): readonly KeyName[] {
  return call === "a" ? ["a"] : call === "b" ? ["b"] : ["a", "b"];
}

/** The state after some steps. Immutable: each step gives another. */
export class Spec {
  readonly rules: Rules;
  readonly left: Budget;
  readonly versions: Readonly<Record<KeyName, number>>;
  readonly entries: readonly SpecEntry[];
  /** By number; `undefined` are those that have ended. */
  readonly loads: readonly (SpecLoad | undefined)[];

  constructor(
    rules: Rules,
    left: Budget,
    versions: Readonly<Record<KeyName, number>> = { a: 0, b: 0 },
    entries: readonly SpecEntry[] = [],
    loads: readonly (SpecLoad | undefined)[] = [],
  ) {
    this.rules = rules;
    this.left = left;
    this.versions = versions;
    this.entries = entries;
    this.loads = loads;
  }

  /** Every step that may come next. */
  steps(): Step[] {
    const { calls, invalidations, evictions, flushes } = this.left;
    const steps: Step[] = [];
    for (const [load, running] of this.loads.entries()) {
      if (running === undefined) continue;
      if (running.read === undefined) steps.push({ does: "read", load });
      else steps.push({ does: "end", load, fails: false });
      steps.push({ does: "end", load, fails: true });
    }
    if (calls > 0) {
      for (const what of this.rules.calls) steps.push({ does: "call", what });
    }
    if (invalidations > 0) {
      for (const by of this.rules.drops.keys()) {
        steps.push({ does: "invalidate", by });
      }
    }
    if (flushes > 0) steps.push({ does: "flush" });
    if (evictions > 0) steps.push({ does: "evict" });
    return steps;
  }

  /** The keys that a call has to load. */
  missing(call: Call): readonly KeyName[] {
    const { loads } = this.#called(call);
    return loads[this.loads.length]?.keys ?? [];
  }

  /** The state after a step. */
  after(step: Step): Spec {
    const { left } = this;
    switch (step.does) {
      case "call":
        return this.#called(step.what)
          .#with({ left: { ...left, calls: left.calls - 1 } });
      case "evict":
        return this.#with({
          left: { ...left, evictions: left.evictions - 1 },
          entries: this.#placed(this.entries, "other", undefined),
        });
      case "flush":
        return this.#dropped("all")
          .#with({ left: { ...left, flushes: left.flushes - 1 } });
      case "invalidate": {
        const invalidations = left.invalidations - 1;
        return this.#dropped(this.rules.drops[step.by] ?? "all")
          .#with({ left: { ...left, invalidations } });
      }
      case "read":
        return this.#with({ loads: this.#read(step.load) });
      case "end":
        return this.#ended(step.load, step.fails);
    }
  }

  /** All of it that matters for what may come; the same for states that are alike. */
  get fingerprint(): string {
    const loads = this.loads.flatMap((load, number) => {
      if (load === undefined) return [];
      const held = this.entries.flatMap((entry, place) =>
        entry.load === number ? [place] : []
      );
      const read = load.keys.map((key) => this.#ageOf(load, key));
      return `${load.keys.join("")}${read.join("")}@${held.join("")}`;
    });
    const entries = this.entries.map(({ key, load }) =>
      load === undefined ? key : key.toUpperCase()
    );
    const signs = this.rules.keepsNegative
      ? ""
      : `${this.versions.a % 2}${this.versions.b % 2}`;
    const { calls, invalidations, evictions, flushes } = this.left;
    const left = `${calls}${invalidations}${evictions}${flushes}`;
    return `${left} ${entries} ${loads.sort()} ${signs}`;
  }

  #ageOf({ read }: SpecLoad, key: KeyName): string {
    if (read === undefined) return "?";
    const age = read[key] === this.versions[key] ? "=" : "<";
    const isKept = this.rules.keepsNegative || !isNegative(read[key]);
    return isKept ? age : `${age}-`;
  }

  #called(call: Call): Spec {
    const missing: KeyName[] = [];
    let { entries } = this;
    for (const key of keysOf(call)) {
      // The list's first key may have pushed out its second.
      const known = entries.find((entry) => entry.key === key);
      if (known === undefined) missing.push(key);
      const load = known === undefined ? this.loads.length : known.load;
      entries = this.#placed(entries, key, load);
    }
    if (missing.length === 0) return this.#with({ entries });
    const load = { keys: missing, read: undefined };
    return this.#with({ entries, loads: [...this.loads, load] });
  }

  #placed(
    entries: readonly SpecEntry[],
    key: SpecEntry["key"],
    load: number | undefined,
  ): readonly SpecEntry[] {
    const others = entries.filter((entry) =>
      key === "other" || entry.key !== key
    );
    const isFull = others.length === this.rules.maxEntries;
    return [...(isFull ? others.slice(1) : others), { key, load }];
  }

  #dropped(what: Call | "all"): Spec {
    const versions = { ...this.versions };
    for (const key of keysOf(what)) versions[key] += 1;
    const entries = this.entries.filter(({ key }) =>
      what !== "all" && (key === "other" || !keysOf(what).includes(key))
    );
    return this.#with({ versions, entries });
  }

  #read(number: number): (SpecLoad | undefined)[] {
    return this.loads.map((load, index) =>
      index === number && load !== undefined
        ? { keys: load.keys, read: this.versions }
        : load
    );
  }

  #ended(number: number, fails: boolean): Spec {
    const load = this.loads[number];
    const read = load?.read;
    let { entries } = this;
    for (const key of load?.keys ?? []) {
      const held = entries.find((entry) =>
        entry.key === key && entry.load === number
      );
      if (held === undefined) continue;
      const isKept = !fails && read !== undefined &&
        (this.rules.keepsNegative || !isNegative(read[key]));
      if (!isKept) entries = entries.filter((entry) => entry !== held);
      else if (this.rules.isUsedAtEnd) {
        entries = this.#placed(entries, key, undefined);
      } else {
        entries = entries.map((entry) =>
          entry === held ? { key, load: undefined } : entry
        );
      }
    }
    const loads = this.loads.map((each, index) =>
      index === number ? undefined : each
    );
    return this.#with({ entries, loads });
  }

  #with(
    changes: Partial<Pick<Spec, "left" | "versions" | "entries" | "loads">>,
  ): Spec {
    const { left, versions, entries, loads } = { ...this, ...changes };
    return new Spec(this.rules, left, versions, entries, loads);
  }
}
