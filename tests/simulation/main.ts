// node dist/tests/simulation/main.js [--histories N] [--seed FIRST]
// deno run -A tests/simulation/main.ts [--histories N] [--seed FIRST]
//
// Runs histories, seed by seed, on each processor; prints what is broken, made
// short, and exits with 1.

import process from "node:process";
import { parseArgs } from "node:util";
import { describe, runHistory, shrink } from "./history.ts";

const { values } = parseArgs({
  options: {
    histories: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
    keepGoing: { type: "boolean", default: false },
  },
});
const first = Number(values.seed);
const count = Number(values.histories);
const began = performance.now();
const cpu = process.cpuUsage();
let commits = 0;
let broken = 0;
let virtualMs = 0;
const faults: Record<string, number> = {};
for (let index = 0; index < count; index += 1) {
  const outcome = await runHistory(first + index);
  commits += outcome.commits;
  virtualMs += outcome.ms;
  for (const [name, times] of Object.entries(outcome.faults)) {
    faults[name] = (faults[name] ?? 0) + times;
  }
  if (outcome.broken === undefined) continue;
  broken += 1;
  console.log(describe(await shrink(outcome)));
  if (!values.keepGoing) {
    console.log(`after ${index + 1} histories`);
    break;
  }
}
const seconds = (performance.now() - began) / 1000;
console.log(
  `${count} histories from seed ${first}: ${broken} broken, ${commits} commits, ` +
    `${Math.round(virtualMs / 1000)} s of virtual time in ${
      seconds.toFixed(1)
    } s, ` +
    `${(cpuMs() / 1000).toFixed(1)} s of processor time`,
);
console.log(JSON.stringify(faults));
process.exitCode = broken === 0 ? 0 : 1;

function cpuMs(): number {
  const { user, system } = process.cpuUsage(cpu);
  return (user + system) / 1000;
}
