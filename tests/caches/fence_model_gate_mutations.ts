// More of what fence_model_mutations.ts has: mistakes about loads that wait at
// the gate, callers that leave, and entries that may be served though they are old.

import type { Mutation } from "./fence_model_mutations.ts";

const KEYED = "keyed_cache.js";
const GATE = "load_gate.js";
const RUNNER = "load_runner.js";
const SHARED = "shared_loads.js";
const STALE = "stale_entries.js";
const LAYER = "stale_layer.js";
const REGISTRY = "cache_registry.js";

export const GATE_MUTATIONS: readonly Mutation[] = [
  {
    name: "count a load's time from when it was asked for, though it waits",
    patches: [[RUNNER, "time.beganMs = this.#clock.monotonicMs();", "void 0;"]],
  },
  {
    name: "count a load's time from its end",
    patches: [[
      KEYED,
      "atMs: beganMs + lifeMs",
      "atMs: this.#clock.monotonicMs() + lifeMs",
    ]],
  },
  {
    name: "let callers join a load that waits, though it was invalidated",
    patches: [[
      GATE,
      "this.#queue.push(queued);",
      "this.#queue.push(queued);\n        (globalThis.waits ??= new Set()).add(loading.promise);",
    ], [
      GATE,
      "next.isWaiting = false;",
      "next.isWaiting = false;\n            globalThis.waits.delete(next.loading.promise);",
    ], [
      KEYED,
      "if (this.#entries.delete(key))\n                dropped += 1;",
      "if (!globalThis.waits?.has(this.#entries.get(key)) && this.#entries.delete(key))\n                dropped += 1;",
    ]],
  },
  {
    name: "begin one load more than may run",
    patches: [[
      GATE,
      "if (this.#running < maxConcurrentLoads)",
      "if (this.#running <= maxConcurrentLoads)",
    ]],
  },
  {
    name: "let a load that failed keep its place",
    patches: [[
      GATE,
      "loading.then(end, end);",
      "loading.then(end, () => { });",
    ]],
  },
  {
    name: "let a load that everybody has left stand in the line",
    patches: [[GATE, 'signal.addEventListener("abort", leave,', "void ("]],
  },
  {
    name: "abort a load that others wait for",
    patches: [[SHARED, "load.waiting > 0 ||", ""]],
  },
  {
    name: "keep the entry of a load that everybody has left",
    patches: [[SHARED, "load.abandon();", ""]],
  },
  {
    name: "give loads what is old",
    patches: [[STALE, "if (!isInLoad())", "if (true)"]],
  },
  {
    name: "tell no load from a caller",
    patches: [[
      RUNNER,
      "if (this.#gate === undefined)\n            return beginLoad(start);",
      "if (this.#gate === undefined)\n            return start();",
    ]],
  },
  {
    name: "serve what is old past a token that was waited for",
    patches: [[REGISTRY, "this.#stale[index].drop();", "void index;"]],
  },
  {
    name: "serve what is old past its time",
    patches: [[
      STALE,
      "clock.repeat(() => this.drop(), this.#limits.staleMs)",
      "clock.repeat(() => { }, this.#limits.staleMs)",
    ]],
  },
  {
    name: "serve what is old for as long again",
    patches: [[STALE, "this.#limits.staleMs);", "2 * this.#limits.staleMs);"]],
  },
  {
    name: "serve what is old though it may be wrong",
    patches: [[
      KEYED,
      "this.stale?.cleared(mayServeOld);",
      "this.stale?.cleared(true);",
    ]],
  },
  {
    name: "serve what is old though it was invalidated",
    patches: [[
      STALE,
      "return this.#layer?.invalidate(parts) ?? 0;",
      "return 0;",
    ]],
  },
  {
    name: "invalidate nothing old by a single argument",
    patches: [[
      KEYED,
      "this.stale !== undefined || !this.#entries.isPlain",
      "!this.#entries.isPlain",
    ]],
  },
  {
    name: "serve what was being loaded as the cache was cleared",
    patches: [[LAYER, "|| running.has(stale)", ""]],
  },
  {
    name: "keep a load that was begun before another clearing",
    patches: [[STALE, "this.#layer?.releaseAll();", ""]],
  },
  {
    name: "replace an old entry that was invalidated",
    patches: [[
      STALE,
      "const isValid = layer.isValid(claim);",
      "const isValid = true;",
    ]],
  },
  {
    name: "begin what was put off though its old entry has gone",
    patches: [[
      STALE,
      "claim !== undefined && layer.isValid(claim) ? [index] : []",
      "claim !== undefined ? [index] : []",
    ]],
  },
  {
    name: "give up an old entry whose load has failed",
    patches: [[
      LAYER,
      "if (this.#claims.get(claim.key) === claim)\n            this.#claims.delete(claim.key);",
      "",
    ]],
  },
  {
    name: "forget the loads of old entries that go",
    patches: [[
      STALE,
      "            if (loading !== undefined)\n                this.#owner.adopt(parts, loading);",
      "            void [parts, loading];",
    ]],
  },
  {
    name: "don't give a load what takes the old one's place",
    patches: [[
      STALE,
      "const loading = layer.take(parts);",
      "layer.take(parts);\n        const loading = undefined;",
    ]],
  },
  {
    name: "leave old entries all the room that there is",
    patches: [[
      STALE,
      "maxEntries - size, maxBytes - bytes",
      "maxEntries, maxBytes",
    ]],
  },
];
