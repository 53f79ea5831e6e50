// What the simulated application is: its keys, its caches, its streams, and
// what one of its transactions is to do.

import { z } from "zod";
import { cached, defineCacheGroup, defineStream } from "../../mod.ts";
import { CACHES, type CachesOwner } from "../../src/caches/cached.ts";
import type { CacheRegistry } from "../../src/caches/cache_registry.ts";

/** The rows of the simulated application's table. */
export const KEYS = ["a", "b", "c", "d", "e"] as const;

/** Stands for any of them: what was written last. */
export const ANY_KEY = "*";

/** Two streams beside `caches`; one sorts before it, one after. */
export const notes = defineStream("a_notes", z.string());
export const marks = defineStream("marks", z.string());
export const STREAMS = [notes.name, marks.name] as const;

/** Everything that is cached of a row. */
export const rowGroup = defineCacheGroup(
  "row",
  z.tuple([z.string()]),
  ([key]) => [
    ["getRow", [key]],
    ["getPart", [key, 0]],
    ["getPart", [key, 1]],
  ],
);

/** How a transaction says which entries are wrong by now. */
export type How = "keys" | "group" | "all";

/** What a transaction does. */
export interface Plan {
  readonly keys: readonly string[];
  readonly how: How;
  /** By stream. */
  readonly rows: ReadonlyMap<string, readonly string[]>;
  /** It writes nothing at all. */
  readonly isEmpty: boolean;
}

/** An entry of a cache: which, and of which row it tells. */
export interface Entry {
  readonly name: string;
  readonly args: readonly (string | number)[];
  readonly key: string;
}

/** Every entry there can be. */
export const ENTRIES: readonly Entry[] = [
  ...KEYS.map((key) => ({ name: "getRow", args: [key], key })),
  ...KEYS.flatMap((key) =>
    [0, 1].map((part) => ({ name: "getPart", args: [key, part], key }))
  ),
  { name: "getLast", args: [], key: ANY_KEY },
];

/** Reads an entry, from wherever its process reads. */
export type Load = (entry: Entry) => Promise<unknown>;

/** As `Store`, without a database. */
class Owner implements CachesOwner {
  readonly [CACHES]: CacheRegistry;

  constructor(caches: CacheRegistry) {
    this[CACHES] = caches;
  }
}

/** The application's reads. The promise that is cached is the load's own. */
export class Reads extends Owner {
  readonly #load: Load;

  constructor(caches: CacheRegistry, load: Load) {
    super(caches);
    this.#load = load;
  }

  @cached({ maxEntries: 8 })
  getRow(key: string): Promise<unknown> {
    return this.#load({ name: "getRow", args: [key], key });
  }

  // Fewer than there are.
  @cached({ maxEntries: 4 })
  getPart(key: string, part: number): Promise<unknown> {
    return this.#load({ name: "getPart", args: [key, part], key });
  }

  @cached({ maxEntries: 1 })
  getLast(): Promise<unknown> {
    return this.#load({ name: "getLast", args: [], key: ANY_KEY });
  }

  /** Calls the method of an entry. */
  read({ name, key, args }: Entry): Promise<unknown> {
    if (name === "getRow") return this.getRow(key);
    if (name === "getPart") return this.getPart(key, Number(args[1]));
    return this.getLast();
  }
}
