// Runs every tap file under the runtime that runs this: small ones several to a
// process, each other in one of its own, as many at a time as keep the processors
// busy. Arguments choose files by a part of their path. Ends with a line that
// counts, and exit status 1 if one failed.

import { execFile } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";

const FILE_TIMEOUT_MS = 300_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** How many files of a folder share a process: most take less time than its start. */
const TOGETHER: Readonly<Record<string, number>> = {
  caches: 8,
  "conformance/engine": 3,
  database: 8,
  log: 4,
  promises: 4,
  protocol: 8,
  replication: 8,
  runtime: 8,
  slaved: 4,
  streams: 8,
  testing: 8,
  tokens: 8,
  transport: 4,
  types: 4,
  writer: 4,
};
/** Whoever touches what is the whole process's, or the whole run's, is alone. */
const ALONE =
  /\bprocess\.|\.prototype\b|\bglobalThis\b|\bgc\(|\/processes\.ts"|^t\.(?!test\b)/m;

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
const waiting = group(
  globSync("tests/**/*.test.ts", { cwd: fileURLToPath(root) })
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) =>
      chosen.length === 0 || chosen.some((part) => file.includes(part))
    )
    .sort(),
);
let passed = 0;
let failed = waiting.length === 0 ? 1 : 0;
// Two more than there are processors: many wait for servers and processes.
const lanes = availableParallelism() + 2;
await Promise.all(Array.from({ length: lanes }, runLane));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

async function runLane(): Promise<void> {
  for (let files = waiting.shift(); files; files = waiting.shift()) {
    await runFiles(files);
  }
}

/** The files of each process. */
function group(files: readonly string[]): string[][] {
  const groups: string[][] = [];
  const last = new Map<string, string[]>();
  for (const file of files) {
    const folder = Object.keys(TOGETHER)
      .find((each) => file.startsWith(`tests/${each}/`)) ?? "";
    const most = isAlone(file) ? 1 : TOGETHER[folder] ?? 1;
    const fellows = last.get(folder) ?? [];
    if (most > fellows.length && fellows.length > 0) fellows.push(file);
    else {
      groups.push([file]);
      if (most > 1) last.set(folder, groups.at(-1) as string[]);
    }
  }
  return groups;
}

function isAlone(file: string): boolean {
  return ALONE.test(readFileSync(new URL(file, root), "utf8"));
}

async function runFiles(files: readonly string[]): Promise<void> {
  const began = performance.now();
  const isShared = files.length > 1;
  const { success, stdout, stderr } = await run([
    ...runtimeArguments,
    ...(isShared ? ["tests/support/run_together.ts"] : []),
    ...files,
  ]);
  const [, total = 0, good = 0] =
    /^# \{ total: (\d+), pass: (\d+)/m.exec(stdout)?.map(Number) ?? [];
  // Where files share a process, each has an assertion that is not its own.
  const pass = Math.max(0, good - (isShared ? files.length : 0));
  // A file that asserts nothing has tested nothing.
  const isGood = success && pass > 0;
  passed += pass;
  failed += isGood ? 0 : Math.max(1, total - good);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const names = files.join(" ");
  console.log(`${isGood ? "ok" : "not ok"} ${names} (${pass} in ${seconds} s)`);
  if (!isGood) console.log(`${failures(stdout)}\n${stderr}\n${stdout}`);
}

/** What failed, by itself: whoever shows an output's beginning only shows this. */
function failures(stdout: string): string {
  return stdout.match(/^ *not ok .*\n(?: *---\n[^]*?\n *\.\.\.$)?/gm)
    ?.join("\n") ?? "";
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
