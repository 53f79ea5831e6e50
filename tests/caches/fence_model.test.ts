// Promise 4, and that a cache keeps anything at all, for every schedule of up to
// three loads (of one key or of lists; some fail, some find nothing), three
// invalidations of every kind, two evictions and a flush, on ten shapes of keys;
// and on nine of caches whose loads wait for one another, whose callers leave, or
// which serve what is old for a while (of fewer steps, where there are more kinds
// of them). The real classes do what fence_model_spec.ts says, in each state of a
// cache, by each step that it can take.
//
// All of it takes half an hour: `node dist/tests/caches/fence_model_main.js`,
// or FENCE_MODEL=all here. Else each so many-th, of smaller schedules; and some
// of full size by chance. fence_model_mutate.ts shows that it finds mistakes.

import { execFile } from "node:child_process";
import process from "node:process";
import t from "tap";
import { commandFor } from "../support/processes.ts";
import { SHAPES } from "./fence_model_shapes.ts";

const main = new URL("fence_model_main.ts", import.meta.url);
const isAll = process.env.FENCE_MODEL === "all";

// Chosen by FENCE_MODEL, not by tap.
t.setTimeout(0);
t.test("no stale fill, whatever comes when", async (t) => {
  t.setTimeout(0);
  const seed = process.env.SEED ?? `${Math.floor(Math.random() * 2 ** 31)}`;
  const some = ["--small", "--stride", "101", "--chance", "3000"];
  // In a process of its own: tap watches every promise, which takes its time.
  const [command, first] = commandFor(main);
  const args = [...first, ...isAll ? [] : some, "--seed", seed];
  const output = await new Promise<string>((resolve) => {
    execFile(command, args, (_error, stdout, stderr) => {
      resolve(stdout + stderr);
    });
  });
  t.comment(`SEED=${seed}`);
  const lines = output.trim().split("\n");
  for (const shape of SHAPES) {
    const line = lines.find((line) => line.startsWith(`${shape.name}: `));
    t.match(line, /[1-9]\d* run for/, line ?? `${shape.name} was run`);
  }
  const violation = lines.find((line) => line.startsWith("violation: "));
  t.equal(violation, undefined, "nothing is kept, or given, that is too old");
  t.match(lines.at(-1), /, 0 violations$/, output.slice(-200));
});
