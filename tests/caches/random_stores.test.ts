// Promises 4 and 5, for whatever stores there are and whatever is written: two
// processes with the same caches on one database, one writes, both read. After
// waitFor, every read is what an uncached read gives. Keys have one to three
// arguments, some alike on the wire; caches are lists and trees, small, measured,
// dependent on others, by themselves or as the writer says, and read through
// them; they may serve what is old after a clearing, and are invalidated by key,
// prefix, group and as a whole.
//
// SEED=123 repeats a failure; RANDOM_RUNS makes more of it, or less.

import process from "node:process";
import fc from "fast-check";
import t, { type Test } from "tap";
import { temporaryDatabase } from "../support/folders.ts";
import { startHeldProxy } from "../support/held_proxy.ts";
import { postgresDatabase } from "../support/postgres.ts";
import { startProcess, type TestProcess } from "../support/processes.ts";
import {
  type CachePlan,
  MAX_NUMBER,
  readOf,
  type Said,
  type Told,
} from "./random_stores_plan.ts";

const FILE = new URL("random_stores_process.ts", import.meta.url);
/** Shrinking goes on no longer, and gives the smallest that it has found. */
const SHRINK_MS = 20_000;

/** How much is done in one run, and in all. */
interface Size {
  readonly runs: number;
  readonly reads: number;
  /** Reads and writes at least. */
  readonly operations: number;
}

/** What a run does: rounds of writes amid reads, then reads that are judged. */
interface Round {
  readonly transactions: readonly number[][];
  readonly stirred: readonly number[];
  readonly checked: readonly number[];
}

/** Writes that a reader is to miss: few, so that much stays cached. */
const FAR = 4;

const number = fc.nat({ max: MAX_NUMBER });

const plan = fc.record({
  parts: fc.integer({ min: 1, max: 3 }),
  tree: fc.boolean(),
  maxEntries: fc.constantFrom(1, 4, 16, 400),
  maxBytes: fc.constantFrom(undefined, 1_000, 100_000),
  negative: fc.boolean(),
  ttlMs: fc.constantFrom(undefined, 1e9),
  staleWhileRevalidateMs: fc.constantFrom(undefined, undefined, 1e8),
  maxConcurrentLoads: fc.constantFrom(undefined, undefined, 2),
  hasBeside: fc.boolean(),
  parent: fc.option(fc.nat({ max: 3 }), { nil: undefined }),
  isNested: fc.constantFrom(true, true, false),
  namesDependents: fc.constantFrom(true, true, false),
});

const rounds = (reads: number): fc.Arbitrary<Round[]> =>
  fc.array(
    fc.record({
      transactions: fc.array(
        fc.array(number, { minLength: 1, maxLength: 8, size: "max" }),
        { minLength: 1, maxLength: 6, size: "max" },
      ),
      stirred: manyOf(Math.ceil(reads / 4)),
      checked: manyOf(reads),
    }),
    { minLength: 5, maxLength: 10, size: "max" },
  );

function manyOf(count: number): fc.Arbitrary<number[]> {
  return fc.array(number, {
    maxLength: count,
    minLength: count >> 1,
    size: "max",
  });
}

/** A cache may depend on one before it, of keys that are not longer. */
function complete(
  drafts: readonly Omit<CachePlan, "name">[],
  run: number,
): CachePlan[] {
  return drafts.map((draft, index) => {
    const parent = (draft.parent ?? NaN) % index;
    const isFit = (drafts[parent]?.parts ?? 4) <= draft.parts;
    const name = `c${run}_${index}`;
    return { ...draft, name, parent: isFit ? parent : undefined };
  });
}

async function check(t: Test, database: string, size: Size): Promise<void> {
  t.setTimeout(0);
  const writer = startProcess(t, FILE, [database]);
  const { url } = await hear(writer, "url");
  const proxy = await startHeldProxy(t, Number(new URL(String(url)).port));
  const replicate = `tcp://127.0.0.1:${proxy.port}`;
  const reader = startProcess(t, FILE, [database, replicate]);
  await hear(reader, "url");
  const tell = (process: TestProcess, told: Told) => process.tell(told);
  const runs = Number(process.env.RANDOM_RUNS ?? size.runs);
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  t.comment(`SEED=${seed}`);
  let operations = 0;
  let run = 0;
  let shrinkUntil = Infinity;
  let last: Said = {};
  const judge = (...said: readonly Said[]) => {
    const wrong = said.flatMap(({ wrong = [] }) => wrong);
    if (wrong.length === 0) return;
    shrinkUntil = Math.min(shrinkUntil, performance.now() + SHRINK_MS);
    throw new Error(wrong.slice(0, 5).join("; "));
  };
  const property = fc.asyncProperty(
    fc.array(plan, { minLength: 1, maxLength: 4 }),
    rounds(size.reads),
    fc.nat({ max: 4 }),
    async (drafts, rounds, behind) => {
      if (performance.now() > shrinkUntil) return;
      run += 1;
      const plans = complete(drafts, run);
      for (const each of [writer, reader]) {
        tell(each, { does: "set up", plans });
        await hear(each, "isSetUp");
      }
      for (const [round, each] of rounds.entries()) {
        const { transactions, stirred, checked } = each;
        const far = round === behind ? transactions[0]?.slice(0, FAR) : [];
        if (far !== undefined && far.length > 0) {
          tell(reader, { does: "prepare", writes: far });
          await hear(reader, "isPrepared");
          // It connects again, but hears nothing until all is written.
          proxy.hold();
          tell(writer, { does: "write far", writes: far });
          const { token = 0 } = await hear(writer, "token");
          proxy.release();
          const after = { instance: "master", token };
          tell(reader, { does: "check", reads: [], after });
          judge(await hear(reader, "wrong"));
        }
        tell(reader, { does: "stir", reads: stirred });
        tell(writer, { does: "stir", reads: stirred });
        tell(writer, { does: "write", transactions });
        const { token = 0 } = await hear(writer, "token");
        const after = { instance: "master", token };
        tell(reader, { does: "check", reads: checked, after });
        tell(writer, { does: "check", reads: stirred, after });
        const [read, own] = await Promise.all([
          hear(reader, "wrong"),
          hear(writer, "wrong"),
        ]);
        judge(read, own);
        last = read;
        operations += transactions.flat().length;
        for (const number of [...stirred, ...stirred, ...stirred, ...checked]) {
          operations += readOf(plans, number).list?.length ?? 1;
        }
      }
    },
  );
  await fc.assert(property, { seed, numRuns: runs });
  // What is drawn is of many lengths: seldom it is too little for the size.
  const wanted = runs < size.runs ? 0 : size.operations;
  for (let extra = seed + 1; operations < wanted; extra += 1) {
    await fc.assert(property, { seed: extra, numRuns: size.runs });
  }
  const { hits = 0, evictions = 0, fenced = 0, steps = 0 } = last;
  t.pass(
    `${operations} operations in ${run} runs; the reader had ${hits} hits, ` +
      `${evictions} evictions, ${fenced} fenced loads, and took ${steps} steps ` +
      "on its way",
  );
  t.ok(steps >= runs, "each run had a catch-up of several steps");
  t.ok(hits > 100 && evictions > 100 && fenced > 100, "much happened");
}

function hear(process: TestProcess, what: keyof Said): Promise<Said> {
  return process.hear<Said>(what, (said) => said[what] !== undefined, 60_000);
}

// Chosen by RANDOM_RUNS, not by tap.
t.setTimeout(0);
t.test("random stores are never stale (SQLite)", (t) =>
  check(t, temporaryDatabase(t), { runs: 17, reads: 400, operations: 1e5 }));
t.test("random stores are never stale (PostgreSQL)", async (t) =>
  await check(t, await postgresDatabase(t), {
    runs: 7,
    reads: 120,
    operations: 1e4,
  }));
