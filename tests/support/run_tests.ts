// Runs every tap file under the runtime that runs this: a process a file, as
// many at a time as there are processors. Arguments choose files by a part of
// their path. Ends with a line that counts, and exit status 1 if one failed.

import { execFile } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { availableParallelism } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";

const FILE_TIMEOUT_MS = 300_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

// From dist/ under Node, where a folder lies between.
const own = new URL("../../", import.meta.url);
const root = existsSync(new URL("package.json", own))
  ? own
  : new URL("../", own);
const support = new URL("tests/support/", root);
const isDeno = "Deno" in globalThis;
const runtimeArguments = isDeno
  ? ["run", "-A", "--quiet", `--preload=${pathOf("deno_tap.ts")}`]
  : ["--enable-source-maps"];
const loader = `--import=${new URL("load_built.mjs", support).href}`;

const environment = {
  // What one process has compiled, the hundreds after it need not: a sixth of their time.
  NODE_COMPILE_CACHE: pathOf("../../dist/compile_cache"),
  ...process.env,
  // The processes that tests start begin sooner with it, too.
  ...(isDeno
    ? {}
    : { NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} ${loader}` }),
  // tap's own, in seconds; it is 30 unless told.
  TAP_TIMEOUT: String(FILE_TIMEOUT_MS / 1_000),
};
const chosen = process.argv.slice(2);
const waiting = globSync("tests/**/*.test.ts", { cwd: fileURLToPath(root) })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) =>
    chosen.length === 0 || chosen.some((part) => file.includes(part))
  )
  .sort();
let passed = 0;
let failed = waiting.length === 0 ? 1 : 0;
// Two more than there are processors: many wait for servers and processes.
const lanes = availableParallelism() + 2;
await Promise.all(Array.from({ length: lanes }, runLane));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

async function runLane(): Promise<void> {
  for (let file = waiting.shift(); file; file = waiting.shift()) {
    await runFile(file);
  }
}

async function runFile(file: string): Promise<void> {
  const began = performance.now();
  const { success, stdout, stderr } = await run([...runtimeArguments, file]);
  const counts = /^# \{ total: (\d+), pass: (\d+)/m.exec(stdout);
  const pass = Number(counts?.[2] ?? 0);
  // A file that asserts nothing has tested nothing.
  const isGood = success && pass > 0;
  passed += pass;
  failed += isGood ? 0 : Math.max(1, Number(counts?.[1] ?? 0) - pass);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`${isGood ? "ok" : "not ok"} ${file} (${pass} in ${seconds} s)`);
  if (!isGood) console.log(`${stdout}\n${stderr}`);
}

function run(
  args: readonly string[],
): Promise<{ success: boolean; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      args,
      {
        cwd: fileURLToPath(root),
        env: environment,
        timeout: FILE_TIMEOUT_MS,
        maxBuffer: MAX_OUTPUT_BYTES,
      },
      (error, stdout, stderr) =>
        resolve({ success: error === null, stdout, stderr }),
    );
    child.stdin?.end();
  });
}

function pathOf(name: string): string {
  return fileURLToPath(new URL(name, support));
}
