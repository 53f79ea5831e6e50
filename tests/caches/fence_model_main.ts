// node dist/tests/caches/fence_model_main.js [--stride N] [--chance N] [--small] [shape …]
// deno run -A tests/caches/fence_model_main.ts …
//
// Runs the model of the fence: every transition of every shape, or each Nth.
// Exits with 1 if a schedule went wrong, and shows it.

import process from "node:process";
import { parseArgs } from "node:util";
import { FULL, runSeed, runShape, SMALL } from "./fence_model_run.ts";
import { SHAPES } from "./fence_model_shapes.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    stride: { type: "string", default: "1" },
    offset: { type: "string", default: "0" },
    chance: { type: "string", default: "0" },
    seed: { type: "string", default: "1" },
    small: { type: "boolean", default: false },
  },
});
let run = 0;
let schedules = 0;
let violations = 0;
const report = (violation: string | undefined) => {
  if (violation === undefined) return;
  violations += 1;
  console.log(`violation: ${violation}`);
};
for (const shape of SHAPES) {
  const isWanted = positionals.length === 0 ||
    positionals.some((part) => shape.name.includes(part));
  if (!isWanted) continue;
  const began = performance.now();
  const outcome = await runShape(
    shape,
    values.small ? SMALL : FULL,
    Number(values.stride),
    Number(values.offset),
  );
  run += outcome.run;
  schedules += outcome.schedules;
  report(outcome.violation);
  const seconds = ((performance.now() - began) / 1_000).toFixed(1);
  console.log(
    `${shape.name}: ${outcome.schedules} schedules in ${outcome.states} ` +
      `states; ${outcome.run} run for ${outcome.transitions} transitions, ` +
      `${seconds} s`,
  );
}
const chance = await runSeed(Number(values.seed), Number(values.chance));
run += chance.run;
report(chance.violation);
console.log(`${schedules} schedules, ${run} run, ${violations} violations`);
process.exitCode = violations === 0 ? 0 : 1;
