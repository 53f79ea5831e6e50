// A share of the histories of the test suite: each of two files has its own, on
// each runtime others. They run in a process of their own: a test runner that
// keeps track of every promise takes five times as long.

import { execFile } from "node:child_process";
import type { Test } from "tap";
import { commandFor } from "../support/processes.ts";

/** Of the whole suite, on both runtimes; `--histories` of main.ts runs more. */
const HISTORIES = 20_000;
const FILES = 2;
const SHARES = 2 * FILES;
const MAX_OUTPUT = 64 * 1024 * 1024;

/** Runs one of the shares. SIMULATION_SEED in the environment moves all on. */
export async function simulate(
  t: Test,
  share: number,
  first: number,
): Promise<void> {
  const count = HISTORIES / SHARES;
  const isDeno = "Deno" in globalThis;
  const start = first + (share + (isDeno ? FILES : 0)) * count;
  const { status, output } = await run(count, start);
  const summary = /^(\d+) histories from seed \d+: (\d+) broken, (\d+) commits/m
    .exec(output);
  if (status !== 0 || summary === null) {
    t.fail(output);
    return;
  }
  const [, histories, broken, commits] = summary.map(Number);
  const faults = JSON.parse(output.trim().split("\n").at(-1) ?? "{}");
  t.same([histories, broken], [count, 0]);
  t.ok(Number(commits) > count * 5, "something was written in them");
  t.ok(faults.timelines > count / 1_000, "something was restored in them");
}

function run(
  count: number,
  start: number,
): Promise<{ status: number | string; output: string }> {
  const [command, args] = commandFor(new URL("./main.ts", import.meta.url));
  const asked = ["--histories", `${count}`, "--seed", `${start}`];
  return new Promise((resolve) => {
    execFile(
      command,
      [...args, ...asked],
      { maxBuffer: MAX_OUTPUT },
      (error, stdout, stderr) =>
        resolve({ status: error?.code ?? 0, output: `${stdout}${stderr}` }),
    );
  });
}
