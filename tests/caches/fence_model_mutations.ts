// Mistakes made on purpose in the built caches: a piece of code, and what to put
// in its place. The model of the fence must find every one.

/** One mistake. The texts stand once in their files of dist/src/caches. */
export interface Mutation {
  readonly name: string;
  readonly patches: readonly (readonly [
    file: string,
    text: string,
    replacement: string,
  ])[];
}

const KEYED = "keyed_cache.js";
const TABLE = "entry_table.js";
const LIST = "cached_list.js";
const TRIE = "key_trie.js";
const REGISTRY = "cache_registry.js";

const FAILED = "this.abandon(parts, loading);";

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "keep what has loaded, whatever became of its entry",
    patches: [[
      KEYED,
      "if (background?.loaded())\n                this.#adopt(parts, loading);",
      "this.#adopt(parts, loading);",
    ]],
  },
  {
    name: "take another load's entry for this one's",
    patches: [[
      KEYED,
      "key === undefined || !this.#entries.holds(key, loading)",
      "key === undefined || !this.#entries.get(key)",
    ]],
  },
  {
    name: "let a load that failed drop another's entry",
    patches: [[
      KEYED,
      FAILED,
      "const key = this.#entries.find(parts);\n            if (key !== undefined)\n                this.#entries.delete(key);",
    ]],
  },
  {
    name: "keep a load that failed",
    patches: [[KEYED, FAILED, ""]],
  },
  {
    name: "let callers join a load that was invalidated",
    patches: [[
      KEYED,
      "this.#follow(loading, parts, time);",
      "this.#follow(loading, parts, time);\n        (this.runs ??= new Set()).add(loading);",
    ], [
      KEYED,
      "if (background?.loaded())",
      "this.runs.delete(loading);\n            if (background?.loaded())",
    ], [
      KEYED,
      "if (this.#entries.delete(key))\n                dropped += 1;",
      "if (!this.runs?.has(this.#entries.get(key)) && this.#entries.delete(key))\n                dropped += 1;",
    ]],
  },
  {
    name: "fence lists by the batch: keep all, unless the cache was cleared",
    patches: [[
      LIST,
      "const loadSome = () => cache.runner.run(() => load(...given), time);",
      `const loadSome = async () => {
                const before = cache.cleared;
                const found = await cache.runner.run(() => load(...given), time);
                if (before === cache.cleared)
                    for (const item of some)
                        void cache.keep(keyOf(item), () => Promise.resolve(found.get(item)));
                return found;
            };`,
    ], [
      KEYED,
      "const { size } = this.#entries;",
      "this.cleared = (this.cleared ?? 0) + 1;\n        const { size } = this.#entries;",
    ]],
  },
  {
    name: "keep a list once it has loaded, not from its beginning",
    patches: [[
      LIST,
      "entry = cache.keep(key, () => loading.promise, time);",
      "entry = loading.promise;\n            void entry.then(() => cache.keep(key, () => loading.promise, time), () => { });",
    ]],
  },
  {
    name: "a prefix misses the entry that is no longer than it",
    patches: [[
      TRIE,
      "if (key.slot !== undefined)\n                found.push(key);",
      "if (key.slot !== undefined && (key.part !== parts.at(-1) || key.children))\n                found.push(key);",
    ]],
  },
  {
    name: "a prefix goes one part deep only",
    patches: [[
      TRIE,
      "pending.push(child);",
      "{ if (child.parent?.parent === undefined) pending.push(child); }",
    ]],
  },
  {
    name: "a flush forgets loads that run",
    patches: [[
      KEYED,
      "this.#entries.clear();",
      "if (this.#loading === 0) this.#entries.clear();",
    ]],
  },
  {
    name: "a flush keeps the table when little is in it",
    patches: [[
      KEYED,
      "if (size === 0)",
      "if (size <= 1)",
    ]],
  },
  {
    name: "keep a negative entry past its invalidation",
    patches: [[
      KEYED,
      "const isNegative = value === undefined || value === null;",
      "const isNegative = value === undefined || value === null;\n" +
      "        if (isNegative) (this.nothing ??= new Map()).set(JSON.stringify(parts.map(String)), loading);",
    ], [
      KEYED,
      "const key = this.#entries.find(parts);\n        if (key === undefined)\n            return undefined;\n        const entry = this.#entries.get(key);",
      "const kept = this.nothing?.get(JSON.stringify(parts.map(String)));\n        if (kept) return kept;\n        const key = this.#entries.find(parts);\n        if (key === undefined)\n            return undefined;\n        const entry = this.#entries.get(key);",
    ]],
  },
  {
    name: "leave entries that are alike on the wire",
    patches: [[TABLE, "if (this.#isAmbiguous)", "if (false)"]],
  },
  {
    name: "leave entries that are alike in one of their parts",
    patches: [[TRIE, "next.push(alike);", "void alike;"]],
  },
  {
    name: "take a single key for one that stands for itself alone",
    patches: [[
      KEYED,
      "|| !this.#entries.isPlain",
      "",
    ]],
  },
  {
    name: "don't tell dependent caches of single keys",
    patches: [[KEYED, "this.cascade !== undefined ||", ""]],
  },
  {
    name: "don't tell dependent caches of a clear-all",
    patches: [[KEYED, "this.cascade?.(null);", ""]],
  },
  {
    name: "expand a group's first invalidation only",
    patches: [[
      REGISTRY,
      "for (const [name, parts] of expanded)\n            this.#invalidate",
      "for (const [name, parts] of expanded.slice(0, 1))\n            this.#invalidate",
    ]],
  },
  {
    name: "forget an entry with the one below it",
    patches: [[
      TRIE,
      "key.parent !== undefined && key.slot === undefined &&",
      "key.parent !== undefined &&",
    ]],
  },
  {
    name: "keep nothing",
    patches: [[
      KEYED,
      "this.#loaded(key, loading, parts, value, time);",
      "this.#entries.delete(key);",
    ]],
  },
];
