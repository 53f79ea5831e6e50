// Runs every tap file under Deno, as `tap` does under Node: a process a file,
// as many at a time as there are processors. Arguments choose files by a part
// of their path. Ends with a line that counts, and exit status 1 if one failed.

const root = new URL("../../", import.meta.url);
const preload = new URL("deno_tap.ts", import.meta.url);
const FILE_TIMEOUT_MS = 300_000;

const files = listTests("tests").sort();
const chosen = Deno.args.length === 0
  ? files
  : files.filter((file) => Deno.args.some((part) => file.includes(part)));
let passed = 0;
let failed = 0;
const waiting = [...chosen];
const lanes = Math.max(1, navigator.hardwareConcurrency);
await Promise.all(Array.from({ length: lanes }, runLane));
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed === 0 && chosen.length > 0 ? 0 : 1);

async function runLane(): Promise<void> {
  for (let file = waiting.shift(); file; file = waiting.shift()) {
    await runFile(file);
  }
}

async function runFile(file: string): Promise<void> {
  const began = performance.now();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", `--preload=${preload.pathname}`, file],
    cwd: root,
    // tap's own, in seconds; it is 30 unless told.
    env: { TAP_TIMEOUT: String(FILE_TIMEOUT_MS / 1_000) },
    stdout: "piped",
    stderr: "piped",
    stdin: "null",
    signal: AbortSignal.timeout(FILE_TIMEOUT_MS),
  }).output();
  const text = new TextDecoder().decode(stdout);
  const counts = /^# \{ total: (\d+), pass: (\d+)/m.exec(text);
  const pass = Number(counts?.[2] ?? 0);
  // A file that asserts nothing has tested nothing.
  const isGood = success && pass > 0;
  passed += pass;
  failed += isGood ? 0 : Math.max(1, Number(counts?.[1] ?? 0) - pass);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`${isGood ? "ok" : "not ok"} ${file} (${pass} in ${seconds} s)`);
  if (isGood) return;
  console.log(text);
  console.log(new TextDecoder().decode(stderr));
}

function listTests(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, root))].flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) return listTests(path);
    return path.endsWith(".test.ts") ? [path] : [];
  });
}
