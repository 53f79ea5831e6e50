// What a cache has to do, said as simply as can be: a database with a version
// for each key, a list of entries, loads that read at one moment and end at
// another, a line at the gate, and the entries of before a clearing. Nothing
// here is asynchronous.

import {
  type Budget,
  type Call,
  isNegative,
  type KeyName,
  keysOf,
  LIFE,
  NOTHING,
  type OldEntry,
  type Rules,
  type SpecEntry,
  type StateParts,
  type Step,
} from "./fence_model_steps.ts";

/** The state after some steps. Immutable: each step gives another. */
export class Spec implements StateParts {
  readonly rules: Rules;
  readonly left: StateParts["left"];
  readonly versions: StateParts["versions"];
  readonly entries: StateParts["entries"];
  readonly old: StateParts["old"];
  readonly oldAge: number;
  readonly loads: StateParts["loads"];
  readonly begun: number;
  readonly putOff: number;
  readonly callers: StateParts["callers"];

  /**
   * Constructs a state.
   *
   * @param changes In what it differs from another; from nothing by default.
   */
  constructor(
    rules: Rules,
    changes: Partial<StateParts> & Pick<StateParts, "left">,
    from: Omit<StateParts, "left"> = NOTHING,
  ) {
    this.rules = rules;
    this.left = changes.left;
    this.versions = changes.versions ?? from.versions;
    this.entries = changes.entries ?? from.entries;
    this.old = changes.old ?? from.old;
    this.oldAge = changes.oldAge ?? from.oldAge;
    this.loads = changes.loads ?? from.loads;
    this.begun = changes.begun ?? from.begun;
    this.putOff = changes.putOff ?? from.putOff;
    this.callers = changes.callers ?? from.callers;
  }

  /** Every step that may come next. */
  steps(): Step[] {
    const { rules, left } = this;
    const steps: Step[] = [];
    for (const [load, running] of this.loads.entries()) {
      if (running?.place === undefined) continue;
      if (running.read === undefined) steps.push({ does: "read", load });
      else steps.push({ does: "end", load, fails: false });
      steps.push({ does: "end", load, fails: true });
    }
    if (left.calls > 0) {
      for (const what of rules.calls) {
        steps.push({ does: "call", what });
        if (rules.servesOld) steps.push({ does: "call", what, isInLoad: true });
      }
    }
    if (left.invalidations > 0) {
      for (const by of rules.drops.keys()) {
        steps.push({ does: "invalidate", by });
      }
    }
    if (left.flushes > 0) {
      steps.push({ does: "flush" });
      if (rules.servesOld) steps.push({ does: "flush", mayServeOld: true });
    }
    if (left.evictions > 0) steps.push({ does: "evict" });
    if (left.elapses > 0 && (rules.isMortal || rules.servesOld)) {
      steps.push({ does: "elapse" });
    }
    if (left.reaches > 0 && rules.servesOld) steps.push({ does: "reach" });
    if (left.leaves > 0) {
      for (const [caller, loads] of this.callers.entries()) {
        if (loads.length > 0) steps.push({ does: "leave", caller });
      }
    }
    return steps;
  }

  /** How many loads wait at the gate. */
  get queued(): number {
    return this.loads.filter((load) =>
      load !== undefined && load.place === undefined
    ).length;
  }

  /** The state after a step. */
  after(step: Step): Spec {
    switch (step.does) {
      case "call":
        return this.#called(step.what, step.isInLoad === true).#less("calls");
      case "read":
        return this.#read(step.load);
      case "end":
        return this.#ended(step.load, step.fails).#over(step.load);
      case "leave":
        return this.#left(step.caller).#less("leaves");
      case "invalidate":
        return this.#dropped(this.rules.drops[step.by] ?? "all")
          .#less("invalidations");
      case "flush":
        return this.#written(["a", "b"])
          .#cleared(step.mayServeOld === true).#less("flushes");
      case "evict":
        return this.#placed("other", undefined).#less("evictions");
      case "elapse":
        return this.#begunLate().#aged().#less("elapses");
      case "reach":
        return this.#withoutOld().#less("reaches");
    }
  }

  #called(what: Call, isInLoad: boolean): Spec {
    const number = this.loads.length;
    const missing: KeyName[] = [];
    const stale: KeyName[] = [];
    const awaited: number[] = [];
    let spec = this.#with({});
    for (const key of keysOf(what)) {
      // The list's first key may have pushed out its second.
      const known = spec.entries.find((entry) => entry.key === key);
      const old = spec.#oldOf(key);
      if (known !== undefined) {
        spec = spec.#placed(key, known.load, known.age);
        if (known.load !== undefined) awaited.push(known.load);
      } else if (old === undefined) {
        missing.push(key);
        spec = spec.#placed(key, number);
      } else if (!isInLoad) stale.push(key);
      else {
        // A load is given what takes the old one's place.
        const { claim = -1 } = old;
        spec = spec.#withoutOld([key]).#placed(key, claim < 0 ? number : claim);
        if (claim < 0) missing.push(key);
      }
    }
    if (missing.length > 0) {
      spec = spec.#began(missing, what !== "ab");
      awaited.push(number);
    }
    const callers = this.rules.hasSignals
      ? [...spec.callers, awaited.filter((load) => spec.loads[load]?.isCallers)]
      : spec.callers;
    return spec.#with({ callers }).#revalidated(stale);
  }

  /** What may be served of a key, though it is old. */
  #oldOf(key: KeyName): OldEntry | undefined {
    return this.old.find((old) => old.key === key && old.load === undefined);
  }

  /** Old entries that were served are loaded anew, unless they already are. */
  #revalidated(served: readonly KeyName[]): Spec {
    let { old } = this;
    const claimed: KeyName[] = [];
    const number = this.rules.putsOff ? -1 - this.putOff : this.loads.length;
    for (const key of served) {
      // The list's other key may have taken its room.
      const found = this.#oldOf(key);
      if (found === undefined) continue;
      if (found.claim === undefined) claimed.push(key);
      const claim = found.claim ?? number;
      old = [...old.filter((each) => each.key !== key), { ...found, claim }];
    }
    const spec = this.#with({ old });
    if (claimed.length === 0) return spec;
    return this.rules.putsOff
      ? spec.#with({ putOff: this.putOff + 1 })
      : spec.#began(claimed, false);
  }

  /** A load is asked for: it begins, if few enough run. */
  #began(keys: readonly KeyName[], isCallers: boolean): Spec {
    const load = { keys, place: undefined, read: undefined, age: 0, isCallers };
    return this.#with({ loads: [...this.loads, load] }).#admitted();
  }

  /** Whoever is first in the line begins, while there is room. */
  #admitted(): Spec {
    const running = this.loads.filter((load) => load?.place !== undefined);
    const next = this.loads.find((load) => load && load.place === undefined);
    if (next === undefined || running.length >= this.rules.maxLoads) {
      return this;
    }
    const place = this.begun;
    const loads = this.loads.map((load) =>
      load === next ? { ...next, place } : load
    );
    return this.#with({ loads, begun: place + 1 }).#admitted();
  }

  /** An entry is used, or comes in; for which another may have to go. */
  #placed(key: SpecEntry["key"], load: number | undefined, age = 0): Spec {
    const { maxEntries } = this.rules;
    const others = this.entries.filter((entry) =>
      key === "other" || entry.key !== key
    );
    const isFull = others.length === maxEntries;
    const entries = [...(isFull ? others.slice(1) : others), {
      key,
      load,
      age,
    }];
    // Old and new together take no more than there is room for.
    const excess = this.old.length + entries.length - maxEntries;
    return this.#with({ entries, old: this.old.slice(Math.max(0, excess)) });
  }

  #written(keys: readonly KeyName[]): Spec {
    const versions = { ...this.versions };
    for (const key of keys) versions[key] += 1;
    return this.#with({ versions });
  }

  #dropped(what: Call | "all"): Spec {
    const keys = keysOf(what);
    const spec = this.#written(keys);
    if (what === "all") return spec.#cleared(true);
    const isLeft = ({ key }: SpecEntry) =>
      key === "other" || !keys.includes(key);
    return spec.#with({
      entries: this.entries.filter(isLeft),
      old: this.old.filter(isLeft),
    });
  }

  /** All that there is goes; it may be served yet, or not. */
  #cleared(mayServeOld: boolean): Spec {
    const { entries } = this;
    const servesOld = mayServeOld && this.rules.servesOld;
    // Whatever is being loaded anew was begun too early.
    const old = this.old.map((each) => ({ ...each, claim: undefined }));
    if (!servesOld) return this.#with({ entries: [], old: [] });
    // Of two clearings, one after the other, the larger part is served.
    if (entries.length === 0 || old.length > entries.length) {
      return this.#with({ entries: [], old });
    }
    const aside = entries.map((entry) => ({ ...entry, claim: undefined }));
    return this.#with({ entries: [], old: aside, oldAge: 0 });
  }

  #read(number: number): Spec {
    const loads = this.loads.map((load, index) =>
      index === number && load !== undefined
        ? { ...load, read: this.versions }
        : load
    );
    return this.#with({ loads });
  }

  #ended(number: number, fails: boolean): Spec {
    let spec = this.#with({});
    const { keys = [], read, age = 0 } = this.loads[number] ?? {};
    for (const key of keys) {
      const isKept = !fails && read !== undefined && age < LIFE &&
        (this.rules.keepsNegative || !isNegative(read[key]));
      const isMine = (entry: SpecEntry) =>
        entry.key === key && entry.load === number;
      const isReplaced = (old: OldEntry) =>
        old.key === key && old.claim === number;
      if (spec.old.some(isReplaced)) {
        spec = fails
          ? spec.#with({
            old: spec.old.map((old) =>
              isReplaced(old) ? { ...old, claim: undefined } : old
            ),
          })
          : spec.#withoutOld([key]).#placed(key, undefined);
      } else if (!spec.entries.some(isMine)) {
        spec = spec.#with({ old: spec.old.filter((old) => !isMine(old)) });
      } else if (!isKept) {
        const entries = spec.entries.filter((entry) => !isMine(entry));
        spec = spec.#with({ entries });
      } else if (this.rules.isUsedAtEnd) {
        spec = spec.#placed(key, undefined, age);
      } else {
        spec = spec.#with({
          entries: spec.entries.map((entry) =>
            isMine(entry) ? { key, load: undefined, age } : entry
          ),
        });
      }
    }
    return spec;
  }

  /** A load is no more, and leaves its place to the next. */
  #over(number: number): Spec {
    const loads = this.loads.map((load, index) =>
      index === number ? undefined : load
    );
    const callers = this.callers.map((each) =>
      each.filter((load) => load !== number)
    );
    return this.#with({ loads, callers }).#admitted();
  }

  /** A caller leaves; a load that nobody waits for is nobody's. */
  #left(caller: number): Spec {
    const left = this.callers[caller] ?? [];
    let spec = this.#with({ callers: this.callers.with(caller, []) });
    for (const load of left) {
      if (spec.callers.some((each) => each.includes(load))) continue;
      const entries = spec.entries.filter((entry) => entry.load !== load);
      spec = spec.#with({ entries });
      // One that waits need not begin.
      if (spec.loads[load]?.place === undefined) spec = spec.#over(load);
    }
    return spec;
  }

  /** What was put off begins. */
  #begunLate(): Spec {
    const putOff = this.old.filter(({ claim }) =>
      claim !== undefined && claim < 0
    );
    const first = Math.max(...putOff.map(({ claim = 0 }) => claim));
    if (putOff.length === 0) return this;
    const number = this.loads.length;
    const keys = (["a", "b"] as const).filter((key) =>
      putOff.some((old) => old.key === key && old.claim === first)
    );
    const old = this.old.map((each) =>
      each.claim === first ? { ...each, claim: number } : each
    );
    return this.#with({ old }).#began(keys, false).#begunLate();
  }

  /** Time passes. */
  #aged(): Spec {
    const spec = this.old.length === 0
      ? this
      : this.oldAge + 1 < LIFE
      ? this.#with({ oldAge: this.oldAge + 1 })
      : this.#withoutOld();
    if (!this.rules.isMortal) return spec;
    const entries = spec.entries.map((entry) => ({
      ...entry,
      age: entry.age + 1,
    }))
      .filter(({ load, age }) => load !== undefined || age < LIFE);
    const loads = spec.loads.map((load) =>
      load?.place === undefined ? load : { ...load, age: load.age + 1 }
    );
    return spec.#with({ entries, loads });
  }

  /** Nothing old is served any more, of some keys or any; then what replaces it stays. */
  #withoutOld(keys?: readonly SpecEntry["key"][]): Spec {
    if (keys !== undefined) {
      const old = this.old.filter(({ key }) => !keys.includes(key));
      return this.#with({ old });
    }
    const claims = this.old.filter(({ claim = -1 }) => claim >= 0)
      .sort((one, other) =>
        (one.claim ?? 0) - (other.claim ?? 0) || (one.key < other.key ? -1 : 1)
      );
    let spec = this.#with({ old: [] });
    for (const { key, claim } of claims) spec = spec.#placed(key, claim);
    return spec;
  }

  #less(what: keyof Budget): Spec {
    const { left } = this;
    return this.#with({ left: { ...left, [what]: left[what] - 1 } });
  }

  #with(changes: Partial<StateParts>): Spec {
    const { left = this.left } = changes;
    return new Spec(this.rules, { ...changes, left }, this);
  }
}
