// A store made of plans, in whichever process, and what it should give.

import type { ReadonlyKysely } from "kysely/readonly";
import { z } from "zod";
import { defineCacheGroup, Store } from "../../mod.ts";
import {
  cachedFunction,
  cachedListFunction,
  type CachedMethod,
} from "../../src/caches/mod.ts";
import {
  countParts,
  type KeyArgument,
  toWireKey,
} from "../../src/caches/key_parts.ts";
import type { StoreContext } from "../../src/store/store.ts";
import {
  type CachePlan,
  dependentsOf,
  type Read,
} from "./random_stores_plan.ts";

/** Its table: one row for each key that there is something of. */
export interface RandomDatabase {
  things: { cache: string; key: string; value: number };
}

/** Rows, by cache and key. */
type Rows = ReadonlyMap<string, number>;

type Key = readonly KeyArgument[];

/** Stands for any keys of a cache, whose texts it is given. */
export const someKeys = defineCacheGroup(
  "some_keys",
  z.tuple([z.string(), z.string()]),
  ([name, keys]) =>
    (JSON.parse(keys) as string[][]).map((key) => [name, key] as const),
);

/** A key as the database has it: as it is on the wire. */
export function textOf(key: Key): string {
  return JSON.stringify(toWireKey(key));
}

/** Reads of one cache. */
interface RandomCache {
  readonly single: (...key: KeyArgument[]) => Promise<unknown>;
  readonly list: (
    ...args: (KeyArgument | Key)[]
  ) => Promise<ReadonlyMap<KeyArgument, unknown>>;
}

/** Reads through caches, as its plans say. */
export class RandomStore extends Store<RandomDatabase> {
  readonly #plans: readonly CachePlan[];
  readonly #caches: readonly RandomCache[];
  #loads = 0;

  constructor(
    context: StoreContext<RandomDatabase>,
    plans: readonly CachePlan[],
  ) {
    super(context);
    this.#plans = plans;
    this.#caches = plans.map((plan, number) => this.#makeCache(plan, number));
  }

  /** What the caches give. */
  async read({ cache, key, list }: Read): Promise<string> {
    const { single, list: listed } = this.#caches[cache] as RandomCache;
    const { hasBeside } = this.#plans[cache] as CachePlan;
    if (list === undefined) {
      const value = await single(...key, ...hasBeside ? ["beside"] : []);
      return String(value ?? "nothing");
    }
    const found = await listed(...key.slice(0, -1), list);
    return list.map((item) => found.get(item) ?? "nothing").join();
  }

  /** What the database has now. */
  async rows(): Promise<Rows> {
    const names = this.#plans.map(({ name }) => name);
    return await readRows(this.db, names);
  }

  /** What a read should have given. */
  expected({ cache, key, list }: Read, rows: Rows): string {
    const plan = this.#plans[cache] as CachePlan;
    const valueOf = (key: Key) => this.#valueOf(plan, key, rows) ?? "nothing";
    if (list === undefined) return valueOf(key);
    return list.map((item) => valueOf([...key.slice(0, -1), item])).join();
  }

  #makeCache(plan: CachePlan, number: number): RandomCache {
    const { name, parts, tree } = plan;
    const load = async (...args: KeyArgument[]) => {
      const key = args.slice(0, parts);
      return (await this.#load(plan, [key]))[0];
    };
    const single = cachedFunction({
      store: this,
      name,
      tree,
      maxEntries: plan.maxEntries,
      maxBytes: plan.maxBytes,
      negative: plan.negative,
      ttlMs: plan.ttlMs,
      staleWhileRevalidateMs: plan.staleWhileRevalidateMs,
      maxConcurrentLoads: plan.maxConcurrentLoads,
      ...plan.hasBeside ? { uncachedArgs: [parts] } : {},
      onInvalidate: plan.namesDependents
        ? undefined
        : (key) =>
          dependentsOf(this.#plans, number, key).map(([other, key]) =>
            [this.#plans[other]?.name ?? "", key] as const
          ),
    }, load);
    // Of any arguments: how many, the plan says.
    const method: CachedMethod = single;
    const list = cachedListFunction(
      method,
      async (...args: (KeyArgument | Key)[]) => {
        const items = args[parts - 1] as Key;
        const first = args.slice(0, parts - 1) as KeyArgument[];
        const keys = items.map((item) => [...first, item]);
        const values = await this.#load(plan, keys);
        const found = new Map<KeyArgument, string>();
        for (const [index, item] of items.entries()) {
          const value = values[index];
          if (value !== undefined) found.set(item, value);
        }
        return found;
      },
    );
    return { single, list };
  }

  /** Some keys' values. */
  async #load(
    plan: CachePlan,
    keys: readonly Key[],
  ): Promise<(string | undefined)[]> {
    // Each of them and all that it tells of.
    const lines: CachePlan[] = [];
    let above: CachePlan | undefined = plan;
    while (above !== undefined) {
      lines.push(above);
      above = above.isNested ? undefined : this.#parentOf(above);
    }
    const texts = keys.flatMap((key) =>
      lines.map(({ parts }) => textOf(key.slice(0, parts)))
    );
    const names = lines.map(({ name }) => name);
    const rows = await readRows(this.db, names, texts);
    // Some take longer to come to their end, whatever happens meanwhile.
    this.#loads += 1;
    for (let turns = this.#loads % 16; turns > 11; turns -= 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const asked = lines.at(-1)?.parent;
    return await Promise.all(keys.map(async (key) => {
      const told = asked === undefined ? "" : `/${await this.read({
        cache: asked,
        key: key.slice(0, this.#plans[asked]?.parts),
        list: undefined,
      })}`;
      return this.#valueOf(plan, key, rows, asked, told);
    }));
  }

  /** A value; what a cache tells of itself and all above it may be known. */
  #valueOf(
    plan: CachePlan,
    key: Key,
    rows: Rows,
    known?: number,
    told = "",
  ): string | undefined {
    const own = rows.get(`${plan.name} ${textOf(key)}`);
    if (own === undefined) return undefined;
    const parent = this.#parentOf(plan);
    if (parent === undefined) return `${own}`;
    if (plan.parent === known) return `${own}${told}`;
    const first = key.slice(0, parent.parts);
    const above = this.#valueOf(parent, first, rows, known, told);
    return `${own}/${above ?? "nothing"}`;
  }

  #parentOf({ parent }: CachePlan): CachePlan | undefined {
    return parent === undefined ? undefined : this.#plans[parent];
  }
}

async function readRows(
  db: ReadonlyKysely<RandomDatabase>,
  names: readonly string[],
  keys?: readonly string[],
): Promise<Rows> {
  let query = db.selectFrom("things").selectAll().where("cache", "in", names);
  if (keys !== undefined) query = query.where("key", "in", keys);
  const rows = keys?.length === 0 ? [] : await query.execute();
  return new Map(
    rows.map(({ cache, key, value }) => [`${cache} ${key}`, Number(value)]),
  );
}

/** The beginning of a key that a tree is invalidated by. */
export function prefixOf(key: Key): Key {
  return key.slice(0, Math.max(1, countParts(key) - 1));
}
