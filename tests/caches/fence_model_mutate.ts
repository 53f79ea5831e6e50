// node dist/tests/caches/fence_model_mutate.js [part of a name …]
//
// Makes each mistake of fence_model_mutations.ts and of fence_model_gate_mutations.ts
// in a copy of dist/, runs the small model on it, and says whether it was found.
// Exits with 1 if one was not.

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
import { GATE_MUTATIONS } from "./fence_model_gate_mutations.ts";
import { type Mutation, MUTATIONS } from "./fence_model_mutations.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const ARGUMENTS = ["--small", "--stride", "101", "--chance", "3000"];

const parts = process.argv.slice(2);
const copy = mkdtempSync(join(tmpdir(), "headwater-mutations-"));
let missed = 0;
try {
  for (const name of ["mod.js", "src", "tests/caches", "tests/support"]) {
    const to = join(copy, "dist", name);
    cpSync(join(ROOT, "dist", name), to, { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
  writeFileSync(join(copy, "package.json"), '{"type":"module"}');
  for (const mutation of [...MUTATIONS, ...GATE_MUTATIONS]) {
    const isWanted = parts.length === 0 ||
      parts.some((part) => mutation.name.includes(part));
    if (isWanted) await tryOut(mutation);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
process.exitCode = missed === 0 ? 0 : 1;

async function tryOut({ name, patches }: Mutation): Promise<void> {
  const before = new Map<string, string>();
  for (const [file, text, replacement] of patches) {
    const path = join(copy, "dist/src/caches", file);
    const source = readFileSync(path, "utf8");
    if (!before.has(path)) before.set(path, source);
    if (source.split(text).length !== 2) {
      throw new Error(`"${name}": not once in ${file}: ${text}`);
    }
    writeFileSync(path, source.replace(text, () => replacement));
  }
  const output = await runModel();
  const found = /^violation: (.*)$/m.exec(output)?.[1];
  if (found === undefined) missed += 1;
  console.log(`${name}: ${found ?? `NOT FOUND: ${output.slice(-300)}`}`);
  for (const [path, source] of before) writeFileSync(path, source);
}

function runModel(): Promise<string> {
  const main = join(copy, "dist/tests/caches/fence_model_main.js");
  return new Promise((resolve) => {
    const options = { maxBuffer: 1 << 26, timeout: 120_000 };
    execFile(
      process.execPath,
      [main, ...ARGUMENTS],
      options,
      (_error, stdout, stderr) => resolve(stdout + stderr),
    );
  });
}
