// The real classes, taken through a schedule step by step. Loads read and end
// when the schedule says so; promises settle in microtasks, which are let run
// after each step, so that a schedule always goes the same way.

import { cachedFunction } from "../../src/caches/cached_function.ts";
import { cachedListFunction } from "../../src/caches/cached_list.ts";
import type { CachedMethod } from "../../src/caches/cached_method.ts";
import { CACHES } from "../../src/caches/cached.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import type { CacheStats } from "../../src/caches/cache_stats.ts";
import { CacheSizes } from "../../src/caches/cache_sizes.ts";
import type { KeyArgument } from "../../src/caches/key_parts.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { type Deferred, deferred } from "../../src/runtime/waiting.ts";
import { VirtualClock } from "../../src/testing/virtual_clock.ts";
import {
  groupOf,
  LIFE_MS,
  type ListArgs,
  otherKey,
  parentOptions,
  type Shape,
  SINGLE,
} from "./fence_model_shapes.ts";
import type { Spec } from "./fence_model_spec.ts";
import {
  CallerLeft,
  LoadFailed,
  valueOf,
  versionOf,
  Violation,
} from "./fence_model_values.ts";
import {
  type Call,
  type KeyName,
  keysOf,
  LIFE,
  type Step,
} from "./fence_model_steps.ts";

/** A load of the real classes. */
interface RealLoad {
  readonly keys: readonly KeyName[];
  readonly isList: boolean;
  readonly result: Deferred<unknown>;
  read: Readonly<Record<KeyName, number>> | undefined;
}

/** Microtasks go no deeper: callers that are left waiting are a violation. */
const TICKS = 16;
/** A load of another cache is a few more, and so is the next one's turn. */
const MORE_TICKS = 24;

/** Values of some keys. */
type Values = readonly unknown[];

/** One cache, its loads and its callers. */
export class World {
  readonly #shape: Shape;
  readonly #registry: CacheRegistry;
  readonly #single: (...key: KeyArgument[]) => Promise<unknown>;
  readonly #list: (
    ...args: ListArgs
  ) => Promise<ReadonlyMap<KeyArgument, unknown>>;
  readonly #outer: (what: string, number: number) => Promise<Values>;
  readonly #clock = new VirtualClock();
  readonly #ticks: number;
  readonly #loads: RealLoad[] = [];
  /** By caller, what ends their wait. */
  readonly #signals: AbortController[] = [];
  readonly #versions = { a: 0, b: 0 };
  /** What may be given, though it is old, is of these versions at least. */
  #floors = { a: 0, b: 0 };
  /** The versions there were each time that time passed. */
  readonly #history: Readonly<Record<KeyName, number>>[] = [];
  #violation: Violation | undefined;
  #waiting = 0;
  #others = 0;
  #othersBegun = 0;
  #outers = 0;
  #failures = 0;

  constructor(shape: Shape) {
    this.#shape = shape;
    const { maxLoads, servesOld, putsOff } = shape.rules;
    this.#ticks = servesOld || maxLoads < Infinity ? MORE_TICKS : TICKS;
    // Half of what a load is put off by at most, which is half an old entry's time.
    const fraction = () => putsOff ? 0.5 : 0;
    const random = { fraction, id: () => "", uuid: () => "" };
    this.#registry = new CacheRegistry(
      [groupOf(shape)],
      silentLogger,
      this.#clock,
      new CacheSizes({}, {}, random),
    );
    const store = { [CACHES]: this.#registry };
    const load = (...args: KeyArgument[]) =>
      this.#loadOne(args.slice(0, shape.hasBeside ? -1 : undefined));
    this.#single = cachedFunction({ store, ...shape.options }, load);
    cachedFunction({ store, ...parentOptions(shape) }, load);
    this.#outer = cachedFunction(
      { store, name: "outer", maxEntries: 5 },
      (what: string, _number: number) => this.#ask(what as Call),
    );
    // Of any arguments: how many, the shape says.
    const method: CachedMethod = this.#single;
    this.#list = cachedListFunction(
      method,
      (...args: [...ListArgs]) => this.#loadList(args),
    );
  }

  /**
   * Takes a step, and compares what it does with the specification.
   *
   * @param before The state that the specification says it is in.
   * @param after The state that it leads to.
   * @param ticks How many rounds of microtasks to let run; then there is more to
   *   come, and nothing to be compared.
   */
  async take(
    step: Step,
    before: Spec,
    after: Spec,
    ticks?: number,
  ): Promise<void> {
    switch (step.does) {
      case "call":
        this.#call(step.what, step.isInLoad === true);
        this.#requireBegun(after, `a call of ${step.what}`);
        break;
      case "read":
        this.#loadOf(before, step.load).read = { ...this.#versions };
        return;
      case "end":
        this.#end(this.#loadOf(before, step.load), step.fails);
        break;
      case "leave":
        this.#signals[step.caller]?.abort(new CallerLeft());
        break;
      case "invalidate":
        this.#write(this.#shape.kinds[step.by]?.drops ?? "all");
        this.#shape.kinds[step.by]?.apply(this.#registry);
        return;
      case "flush":
        this.#write("all");
        if (!step.mayServeOld) this.#floors = { ...this.#versions };
        this.#registry.flush({ reason: "", mayServeOld: step.mayServeOld });
        return;
      case "evict":
        this.#others += 1;
        void this.#callOne(otherKey(this.#shape, this.#others), undefined);
        break;
      case "elapse":
        this.#elapse();
        break;
      case "reach":
        this.#floors = { ...this.#versions };
        this.#registry.dropStale();
    }
    await this.#settle(ticks ?? this.#ticks);
    if (ticks === undefined) this.#requireBegun(after, step.does);
  }

  /**
   * Ends what runs; then each key must be answered from the cache, or loaded
   * anew, as the specification has it.
   */
  async finish(state: Spec): Promise<void> {
    await this.#settle(this.#ticks);
    this.#requireBegun(state, "all of it");
    const queued = state.queued + this.#others - this.#othersBegun;
    if (this.#stats.queued !== queued) {
      throw new Violation(`${this.#stats.queued} wait, not ${queued}`);
    }
    let spec = state;
    const take = async (step: Step) => {
      const before = spec;
      spec = spec.after(step);
      await this.take(step, before, spec);
    };
    const end = async () => {
      for (let load = 0; load < spec.loads.length; load += 1) {
        const running = spec.loads[load];
        if (running === undefined) continue;
        if (running.read === undefined) await take({ does: "read", load });
        await take({ does: "end", load, fails: false });
      }
    };
    if (spec.rules.servesOld) {
      const what = spec.loads.length % 2 === 0 ? "a" : "b";
      await take({ does: "call", what, isInLoad: true });
    }
    await end();
    this.#requireQuiet(spec);
    for (const what of ["a", "b"] as const) {
      await take({ does: "call", what });
      await end();
    }
    if (spec.rules.servesOld) {
      await take({ does: "elapse" });
      await end();
      await take({ does: "reach" });
      for (const what of ["a", "b"] as const) {
        await take({ does: "call", what });
        await end();
      }
    }
    this.#requireQuiet(spec);
  }

  async #settle(ticks: number): Promise<void> {
    for (let tick = 0; tick < ticks; tick += 1) await null;
    if (this.#violation !== undefined) throw this.#violation;
  }

  /** As many loads have begun as should have, of those keys. */
  #requireBegun({ begun, loads }: Spec, what: string): void {
    if (this.#loads.length !== begun) {
      const last = this.#loads.slice(begun).flatMap(({ keys }) => keys);
      throw new Violation(
        `after ${what} ${this.#loads.length} loads have begun, not ${begun}` +
          (last.length > 0 ? ` (of ${last.join(" and ")})` : ""),
      );
    }
    for (const load of loads) {
      if (load?.place === undefined) continue;
      const { keys = [] } = this.#loads[load.place] ?? {};
      if (keys.join() === load.keys.join()) continue;
      throw new Violation(
        `after ${what} ${keys.join(" and ")} is loaded, ` +
          `not ${load.keys.join(" and ")}`,
      );
    }
  }

  get #stats(): CacheStats {
    const stats = this.#registry.cacheStats();
    return stats.find(({ name }) => name === SINGLE) as CacheStats;
  }

  /** Nobody waits, nothing runs, and there are as many entries as there should be. */
  #requireQuiet({ entries, old }: Spec): void {
    if (this.#waiting > 0) {
      throw new Violation(`${this.#waiting} callers were given nothing`);
    }
    const stats = this.#stats;
    if (stats.loading !== 0 || stats.queued !== 0) {
      throw new Violation(`${stats.loading} loads are still counted`);
    }
    if (stats.entries !== entries.length) {
      throw new Violation(
        `${stats.entries} entries are kept, not ${entries.length}`,
      );
    }
    if (stats.stale !== old.length) {
      throw new Violation(`${stats.stale} are old, not ${old.length}`);
    }
  }

  #call(what: Call, isInLoad: boolean): void {
    const { servesOld, hasSignals } = this.#shape.rules;
    const mayBeOld = servesOld && !isInLoad;
    const floors = { ...mayBeOld ? this.#floors : this.#versions };
    const failures = this.#failures;
    this.#waiting += 1;
    const controller = new AbortController();
    if (hasSignals) this.#signals.push(controller);
    const asked = isInLoad
      ? this.#outer(what, this.#outers += 1)
      : this.#ask(what, hasSignals ? controller.signal : undefined);
    asked.then((values) => {
      this.#waiting -= 1;
      for (const [index, key] of keysOf(what).entries()) {
        const version = versionOf(key, values[index]);
        // A list doesn't tell one absence from another.
        const latest = what === "ab" && version === 1 ? 3 : version;
        if (latest < floors[key]) {
          this.#note(`${key} of version ${version}, after ${floors[key]}`);
        }
      }
    }).catch((error) => {
      if (error instanceof Violation) this.#violation ??= error;
      this.#waiting -= 1;
      if (error instanceof CallerLeft && controller.signal.aborted) return;
      if (!(error instanceof LoadFailed)) this.#note(String(error));
      else if (this.#failures === failures) this.#note("an old failure");
    });
  }

  /** The values of a call's keys. */
  async #ask(what: Call, signal?: AbortSignal): Promise<Values> {
    const { keys, listAt } = this.#shape;
    if (what !== "ab") return [await this.#callOne(keys[what], signal)];
    const items = keysOf(what).map((key) => keys[key][listAt]);
    const args = keys.a.with(listAt, items as never);
    const found = await this.#list(...args, ...signal ? [signal as never] : []);
    return items.map((item) => found.get(item));
  }

  #callOne(
    key: readonly KeyArgument[],
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const beside = signal as unknown as KeyArgument ?? "beside";
    return this.#shape.hasBeside
      ? this.#single(...key, beside)
      : this.#single(...key);
  }

  #loadOne(key: readonly KeyArgument[]): Promise<unknown> {
    const name = this.#nameOf(key);
    if (name !== undefined) return this.#begin([name], false);
    this.#othersBegun += 1;
    return Promise.resolve("other");
  }

  #loadList(given: ListArgs): Promise<ReadonlyMap<KeyArgument, unknown>> {
    const { keys, listAt } = this.#shape;
    const args = given.slice(0, keys.a.length);
    const items = args[listAt] as readonly KeyArgument[];
    const names = items.flatMap((item) =>
      this.#nameOf(args.with(listAt, item) as KeyArgument[]) ?? []
    );
    return this.#begin(names, true) as Promise<Map<KeyArgument, unknown>>;
  }

  #begin(keys: readonly KeyName[], isList: boolean): Promise<unknown> {
    const result = deferred<unknown>();
    this.#loads.push({ keys, isList, result, read: undefined });
    return result.promise;
  }

  #end({ keys, isList, result, read }: RealLoad, fails: boolean): void {
    if (fails || read === undefined) {
      this.#failures += 1;
      result.reject(new LoadFailed());
      return;
    }
    const values = keys.map((key) => valueOf(key, read[key]));
    if (!isList) result.resolve(values[0]);
    else {
      const items = keys.map((key) =>
        this.#shape.keys[key][this.#shape.listAt]
      );
      // What there is nothing of is left out.
      result.resolve(
        new Map(
          items.map((item, index) => [item, values[index]] as const)
            .filter(([, value]) => value !== undefined),
        ),
      );
    }
  }

  #write(what: Call | "all"): void {
    for (const key of keysOf(what)) {
      this.#versions[key] += 1;
      // What is named is not served any more.
      if (what !== "all") this.#floors[key] = this.#versions[key];
    }
  }

  /** Whatever was cleared so long ago is not served any more. */
  #elapse(): void {
    this.#history.push({ ...this.#versions });
    const { a = 0, b = 0 } = this.#history.at(-LIFE) ?? {};
    this.#floors = {
      a: Math.max(this.#floors.a, a),
      b: Math.max(this.#floors.b, b),
    };
    this.#clock.elapse(LIFE_MS / LIFE);
  }

  #nameOf(key: readonly KeyArgument[]): KeyName | undefined {
    const { keys } = this.#shape;
    return (["a", "b"] as const).find((name) =>
      keys[name].length === key.length &&
      keys[name].every((part, index) => part === key[index])
    );
  }

  #loadOf(spec: Spec, number: number): RealLoad {
    const load = this.#loads[spec.loads[number]?.place ?? -1];
    if (load === undefined) throw new Violation(`load ${number} never began`);
    return load;
  }

  #note(what: string): void {
    this.#violation ??= new Violation(`a caller was given ${what}`);
  }
}
