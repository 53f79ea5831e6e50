// node dist/tests/simulation/mutate.js [--histories N] [part of a name …]
//
// Makes each mistake of mutations.ts in a copy of dist/, runs the simulation on
// it, and says whether it was caught. Exits with 1 if one was not.

import { execFile } from "node:child_process";
import {
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Mutation, MUTATIONS } from "./mutations.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const SHOWN = /^seed (\d+), (\d+) actions: (.*)$/m;
const TRIED = /^after (\d+) histories$/m;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { histories: { type: "string", default: "5000" } },
});

const copy = mkdtempSync(join(tmpdir(), "headwater-mutations-"));
let missed = 0;
try {
  for (const name of ["mod.js", "src", "tests/simulation"]) {
    cpSync(join(ROOT, "dist", name), join(copy, "dist", name), {
      recursive: true,
    });
  }
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
  writeFileSync(join(copy, "package.json"), '{"type":"module"}');
  for (const mutation of MUTATIONS) {
    const isWanted = positionals.length === 0 ||
      positionals.some((part) => mutation.name.includes(part));
    if (isWanted) await tryOut(mutation);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
process.exitCode = missed === 0 ? 0 : 1;

async function tryOut({ name, breaks, patches }: Mutation): Promise<void> {
  const before = new Map<string, string>();
  for (const [file, text, replacement] of patches) {
    const path = join(copy, "dist/src", file);
    const source = readFileSync(path, "utf8");
    if (!before.has(path)) before.set(path, source);
    if (source.split(text).length !== 2) {
      throw new Error(`"${name}": not once in ${file}: ${text}`);
    }
    writeFileSync(path, source.replace(text, () => replacement));
  }
  const output = await simulate();
  const [, seed, actions, what] = SHOWN.exec(output) ?? [];
  const isCaught = what !== undefined;
  if (!isCaught) missed += 1;
  const found = isCaught
    ? `caught after ${TRIED.exec(output)?.[1]} histories (seed ${seed}, ` +
      `${actions} actions): ${what}`
    : `NOT CAUGHT: ${output.trim().slice(-300)}`;
  console.log(`${name} (promise ${breaks}): ${found}`);
  for (const [path, source] of before) writeFileSync(path, source);
}

function simulate(): Promise<string> {
  const main = join(copy, "dist/tests/simulation/main.js");
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [main, "--histories", values.histories],
      { maxBuffer: 1 << 26 },
      (_error, stdout, stderr) => resolve(stdout + stderr),
    );
  });
}
