// The real classes, taken through a schedule step by step. Loads read and end
// when the schedule says so; promises settle in microtasks, which are let run
// after each step, so that a schedule always goes the same way.

import { cachedFunction } from "../../src/caches/cached_function.ts";
import { cachedListFunction } from "../../src/caches/cached_list.ts";
import type { CachedMethod } from "../../src/caches/cached_method.ts";
import { CACHES } from "../../src/caches/cached.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import type { KeyArgument } from "../../src/caches/key_parts.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { type Deferred, deferred } from "../../src/runtime/waiting.ts";
import {
  groupOf,
  type ListArgs,
  otherKey,
  parentOptions,
  type Shape,
  SINGLE,
} from "./fence_model_shapes.ts";
import {
  type Call,
  type KeyName,
  keysOf,
  type Spec,
  type Step,
} from "./fence_model_spec.ts";

/** What a schedule must not lead to. */
export class Violation extends Error {}

/** A load of the real classes. */
interface RealLoad {
  readonly keys: readonly KeyName[];
  readonly isList: boolean;
  readonly result: Deferred<unknown>;
  read: Readonly<Record<KeyName, number>> | undefined;
}

/** Microtasks go no deeper: callers that are left waiting are a violation. */
const TICKS = 16;

/** Whoever is told this asked for a load that was to fail. */
class LoadFailed extends Error {}

/** What the database has at a version: no two of the first four are alike. */
function valueOf(key: KeyName, version: number): unknown {
  return version === 1 ? undefined : version === 3 ? null : `${key}${version}`;
}

/** The latest version at which it had a value. */
function versionOf(key: KeyName, value: unknown): number {
  if (value === undefined) return 1;
  if (value === null) return 3;
  const text = String(value);
  if (!text.startsWith(key)) throw new Violation(`${key} has ${text}`);
  return Number(text.slice(1));
}

/** One cache, its loads and its callers. */
export class World {
  readonly #shape: Shape;
  readonly #registry: CacheRegistry;
  readonly #single: (...key: KeyArgument[]) => Promise<unknown>;
  readonly #list: (
    ...args: ListArgs
  ) => Promise<ReadonlyMap<KeyArgument, unknown>>;
  readonly #loads: RealLoad[] = [];
  readonly #versions = { a: 0, b: 0 };
  #violation: Violation | undefined;
  #waiting = 0;
  #others = 0;
  #failures = 0;

  constructor(shape: Shape) {
    this.#shape = shape;
    this.#registry = new CacheRegistry([groupOf(shape)], silentLogger);
    const store = { [CACHES]: this.#registry };
    const load = (...args: KeyArgument[]) =>
      this.#loadOne(args.slice(0, shape.hasBeside ? -1 : undefined));
    this.#single = cachedFunction({ store, ...shape.options }, load);
    cachedFunction({ store, ...parentOptions(shape) }, load);
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
   * @param ticks How many rounds of microtasks to let run.
   */
  async take(step: Step, before: Spec, ticks = TICKS): Promise<void> {
    switch (step.does) {
      case "call":
        this.#call(step.what, before);
        break;
      case "read":
        this.#loadOf(step.load).read = { ...this.#versions };
        return;
      case "end":
        this.#end(this.#loadOf(step.load), step.fails);
        break;
      case "invalidate":
        this.#write(this.#shape.kinds[step.by]?.drops ?? "all");
        this.#shape.kinds[step.by]?.apply(this.#registry);
        return;
      case "flush":
        this.#write("all");
        this.#registry.flush();
        return;
      case "evict":
        this.#others += 1;
        void this.#callOne(otherKey(this.#shape, this.#others));
    }
    await this.#settle(ticks);
  }

  /**
   * Ends what runs; then each key must be answered from the cache, or loaded
   * anew, as the specification has it.
   */
  async finish(state: Spec): Promise<void> {
    await this.#settle(TICKS);
    let spec = state;
    const take = async (step: Step) => {
      const before = spec;
      spec = spec.after(step);
      await this.take(step, before);
    };
    for (const [load, running] of spec.loads.entries()) {
      if (running === undefined) continue;
      if (running.read === undefined) await take({ does: "read", load });
      await take({ does: "end", load, fails: false });
    }
    this.#requireQuiet(spec);
    for (const what of ["a", "b"] as const) {
      const load = spec.loads.length;
      const isMissing = spec.missing(what).length > 0;
      await take({ does: "call", what });
      if (!isMissing) continue;
      await take({ does: "read", load });
      await take({ does: "end", load, fails: false });
    }
    this.#requireQuiet(spec);
  }

  async #settle(ticks: number): Promise<void> {
    for (let tick = 0; tick < ticks; tick += 1) await null;
    if (this.#violation !== undefined) throw this.#violation;
  }

  /** Nobody waits, nothing runs, and there are as many entries as there should be. */
  #requireQuiet({ entries }: Spec): void {
    if (this.#waiting > 0) {
      throw new Violation(`${this.#waiting} callers were given nothing`);
    }
    const stats = this.#registry.cacheStats()
      .find(({ name }) => name === SINGLE);
    if (stats?.loading !== 0) {
      throw new Violation(`${stats?.loading} loads are still counted`);
    }
    if (stats.entries !== entries.length) {
      throw new Violation(
        `${stats.entries} entries are kept, not ${entries.length}`,
      );
    }
  }

  #call(what: Call, spec: Spec): void {
    const expected = spec.missing(what);
    const begun = this.#loads.length;
    const floors = { ...this.#versions };
    const failures = this.#failures;
    this.#waiting += 1;
    this.#ask(what).then((values) => {
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
      if (!(error instanceof LoadFailed)) this.#note(String(error));
      else if (this.#failures === failures) this.#note("an old failure");
    });
    const loaded = this.#loads.slice(begun).flatMap(({ keys }) => keys);
    if (loaded.join() === expected.join()) return;
    throw new Violation(
      `a call of ${what} loads ${loaded.join(" and ") || "nothing"}, ` +
        `not ${expected.join(" and ") || "nothing"}`,
    );
  }

  /** The values of a call's keys. */
  async #ask(what: Call): Promise<readonly unknown[]> {
    const { keys, listAt } = this.#shape;
    if (what !== "ab") return [await this.#callOne(keys[what])];
    const items = keysOf(what).map((key) => keys[key][listAt]);
    const found = await this.#list(...keys.a.with(listAt, items as never));
    return items.map((item) => found.get(item));
  }

  #callOne(key: readonly KeyArgument[]): Promise<unknown> {
    return this.#shape.hasBeside
      ? this.#single(...key, "beside")
      : this.#single(...key);
  }

  #loadOne(key: readonly KeyArgument[]): Promise<unknown> {
    const name = this.#nameOf(key);
    return name === undefined
      ? Promise.resolve("other")
      : this.#begin([name], false);
  }

  #loadList(args: ListArgs): Promise<ReadonlyMap<KeyArgument, unknown>> {
    const { listAt } = this.#shape;
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
    for (const key of keysOf(what)) this.#versions[key] += 1;
  }

  #nameOf(key: readonly KeyArgument[]): KeyName | undefined {
    const { keys } = this.#shape;
    return (["a", "b"] as const).find((name) =>
      keys[name].length === key.length &&
      keys[name].every((part, index) => part === key[index])
    );
  }

  #loadOf(number: number): RealLoad {
    const load = this.#loads[number];
    if (load === undefined) throw new Violation(`load ${number} never began`);
    return load;
  }

  #note(what: string): void {
    this.#violation ??= new Violation(`a caller was given ${what}`);
  }
}
