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

const HOLDS_AT_END =
  "if (this.#entries.holds(key, loading)) {\n                this.#loaded(";

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "keep what has loaded, whatever became of its entry",
    patches: [[
      KEYED,
      HOLDS_AT_END,
      "if (!this.#entries.holds(key, loading)) {\n" +
      "                this.#entries.set(this.#entries.use(parts), loading, 1);\n" +
      "            }\n            if (true) {\n                this.#loaded(",
    ]],
  },
  {
    name: "count the bytes of another load's entry",
    patches: [[
      KEYED,
      HOLDS_AT_END,
      "if (this.#entries.get(key)) {\n                this.#loaded(",
    ]],
  },
  {
    name: "let a load that failed drop another's entry",
    patches: [[
      KEYED,
      "this.#failures += 1;\n            if (this.#entries.holds(key, loading))",
      "this.#failures += 1;\n            if (true)",
    ]],
  },
  {
    name: "keep a load that failed",
    patches: [[
      KEYED,
      "this.#failures += 1;\n            if (this.#entries.holds(key, loading))",
      "this.#failures += 1;\n            if (false)",
    ]],
  },
  {
    name: "let callers join a load that was invalidated",
    patches: [[
      KEYED,
      "this.#entries.set(key, loading, bytes);",
      "this.#entries.set(key, loading, bytes);\n        (this.runs ??= new Set()).add(loading);",
    ], [
      KEYED,
      "this.#ended(beganMs);\n            if (this.#entries.holds",
      "this.#ended(beganMs);\n            this.runs.delete(loading);\n            if (this.#entries.holds",
    ], [
      KEYED,
      "if (this.#entries.delete(key))\n                this.#invalidations += 1;\n        }",
      "if (!this.runs?.has(this.#entries.get(key)) && this.#entries.delete(key))\n                this.#invalidations += 1;\n        }",
    ]],
  },
  {
    name: "fence lists by the batch: keep all, unless the cache was cleared",
    patches: [[
      LIST,
      "const found = await load();",
      "const { cache, keyOf } = missing;\n        const before = cache.cleared;\n        const found = await load();\n" +
      "        if (before === cache.cleared) for (const item of items)\n" +
      "            void cache.load(keyOf(item), () => Promise.resolve(found.get(item)));",
    ], [
      LIST,
      "const items = [...missing.keys()];",
      "Object.assign(missing, { cache, keyOf });\n    const items = [...missing.keys()];",
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
      "entry = cache.load(key, () => loading.promise);",
      "entry = loading.promise;\n            void entry.then(() => cache.load(key, () => entry), () => {});",
    ]],
  },
  {
    name: "a prefix misses the entry that is no longer than it",
    patches: [[
      TRIE,
      "if (key.isUsed)\n                found.push(key);",
      "if (key.isUsed && (key.part !== parts.at(-1) || key.children))\n                found.push(key);",
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
      TABLE,
      "this.#entries = this.#create();\n        this.#trie = new KeyTrie();",
      "for (const [key, promise] of [...this.#entries]) {\n" +
      "            if (promise.hasEnded) this.#entries.delete(key);\n        }",
    ], [
      KEYED,
      "loading.then((value) => {",
      "loading.then((value) => {\n            loading.hasEnded = true;",
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
      "this.cascade !== undefined || !this.#entries.isPlain",
      "this.cascade !== undefined",
    ]],
  },
  {
    name: "don't tell dependent caches of single keys",
    patches: [[KEYED, "this.cascade !== undefined || ", ""]],
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
    name: "forget a key's node with the entry that it pushed out",
    patches: [[
      TRIE,
      "while (key.parent !== undefined && !key.isUsed && ",
      "while (key.parent !== undefined && (!key.isUsed || key !== dropped) && ",
    ], [
      TRIE,
      "(key.children?.size ?? 0) === 0)",
      "(key.children?.size ?? 0) <= 1)",
    ]],
  },
  {
    name: "keep nothing",
    patches: [[
      KEYED,
      HOLDS_AT_END,
      "this.#entries.delete(key);\n            " + HOLDS_AT_END,
    ]],
  },
];
