// Promises 1 to 3 and 8, for whatever writers and readers do: writers begin,
// write, commit, roll back, are closed, die and are cut off, in any order;
// transactions commit in another order than that of their tokens. A slaved
// store, a pager of events, a pager of each instance's rows and a projection
// see every committed row once, whole batches, in token order; and nothing else.
//
// MODEL_RUNS=500 makes more runs. A failure says how to have it again.

import process from "node:process";
import fc from "fast-check";
import t, { type Test } from "tap";
import { temporaryDatabase } from "../support/folders.ts";
import { postgresDatabase } from "../support/postgres.ts";
import { commands } from "./commands.ts";
import type { Model } from "./model.ts";
import { Run } from "./run.ts";
import { World } from "./world.ts";

const { MODEL_RUNS = "10", MODEL_SEED, MODEL_PATH, MODEL_REPLAY } = process.env;
const MAX_COMMANDS = 60;
/** A run on SQLite takes little time: so many for each on PostgreSQL. */
const SQLITE_RUNS = 3;
/** Runs on one database: readers look at every instance there ever was. */
const RUNS_OF_ONE = 20;
/** Shrinking goes on no longer, and gives the smallest that it has found. */
const SHRINK_MS = 20_000;

/** Two writers are open; others may come later. */
function start({ isPostgres, nextId }: World, writers: number): Model {
  const isOpen = Array.from({ length: writers }, (_, index) => index < 2);
  return { isPostgres, nextId, writers: isOpen, open: [] };
}

/** What happened in all runs: where little does, little is shown. */
function addCounts(total: Map<string, number>, world: World): void {
  for (const [what, times] of world.counts) {
    total.set(what, (total.get(what) ?? 0) + times);
  }
}

async function check(
  t: Test,
  isPostgres: boolean,
  makeDatabase: () => Promise<string>,
): Promise<void> {
  t.setTimeout(0);
  let world = await World.open(t, await makeDatabase());
  const counts = new Map<string, number>();
  const seed = MODEL_SEED === undefined
    ? Math.floor(Math.random() * 2 ** 31)
    : Number(MODEL_SEED);
  t.comment(`MODEL_SEED=${seed} MODEL_RUNS=${MODEL_RUNS}`);
  const numRuns = Number(MODEL_RUNS) * (isPostgres ? 1 : SQLITE_RUNS);
  let shrinkUntil = Infinity;
  const property = fc.asyncProperty(
    fc.integer({ min: 2, max: 4 }),
    fc.commands(commands, {
      maxCommands: MAX_COMMANDS,
      size: "max",
      ...MODEL_REPLAY === undefined ? {} : { replayPath: MODEL_REPLAY },
    }),
    async (writers, chosen) => {
      // All that is smaller passes then. Not fast-check's own limit: it would
      // leave a run under way.
      if (performance.now() > shrinkUntil) return;
      if (world.nextRun > RUNS_OF_ONE) {
        addCounts(counts, world);
        await world.close();
        world = await World.open(t, await makeDatabase());
      }
      const model = start(world, writers);
      const run = await Run.open(world, model);
      try {
        await fc.asyncModelRun(() => ({ model, real: run }), chosen);
        await run.finish(model);
      } catch (error) {
        shrinkUntil = Math.min(shrinkUntil, performance.now() + SHRINK_MS);
        throw error;
      } finally {
        world.nextId = model.nextId;
        await run.releaseAll(model);
        await run.close();
      }
    },
  );
  const details = await fc.check(property, {
    seed,
    numRuns,
    ...MODEL_PATH === undefined ? {} : { path: MODEL_PATH },
  });
  addCounts(counts, world);
  const happened = [...counts].map(([what, times]) => `${what} ${times}`);
  t.comment(`${details.numRuns} runs: ${happened.sort().join(", ")}`);
  if (!details.failed) {
    t.pass("every reader saw every row once");
    return;
  }
  const { counterexample, counterexamplePath, errorInstance } = details;
  const replay = /replayPath="([^"]*)"/.exec(String(counterexample))?.[1];
  t.comment(String(counterexample));
  t.comment(
    `again: MODEL_SEED=${seed} MODEL_PATH=${counterexamplePath} ` +
      `MODEL_REPLAY=${replay} tap tests/models`,
  );
  throw errorInstance;
}

// Chosen by MODEL_RUNS, not by tap.
t.setTimeout(0);
t.test("readers see all that is committed, once (SQLite)", (t) =>
  check(t, false, () => Promise.resolve(temporaryDatabase(t))));
t.test("readers see all that is committed, once (PostgreSQL)", (t) =>
  check(t, true, () => postgresDatabase(t)));
