// The demo, as its users run it: under Node the one that was built.

import t from "tap";
import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";

const isDeno = "Deno" in globalThis;
const file = fileURLToPath(
  new URL(
    isDeno ? "../../examples/demo/main.ts" : "../../dist/examples/demo/main.js",
    import.meta.url,
  ),
);

function runDemo(
  ...args: string[]
): Promise<{ status: number | null; output: string }> {
  const first = isDeno ? ["run", "-A", "--quiet", file] : [file];
  const demo = spawn(process.execPath, [...first, ...args]);
  let output = "";
  demo.stdout.on("data", (chunk) => output += chunk);
  demo.stderr.on("data", (chunk) => output += chunk);
  return new Promise((resolve) =>
    demo.on("close", (status) => resolve({ status, output }))
  );
}

t.test("finds no stale read", async (t) => {
  const { status, output } = await runDemo("--seconds", "2");
  t.equal(status, 0, output);
  t.match(output, /ok: no read was older than a commit waited for/);
  t.match(output, /\d+ writes\/s .* 0 stale/);
});

t.test("finds stale reads where invalidations are ignored", async (t) => {
  const { status, output } = await runDemo(
    "--seconds",
    "2",
    "--workers",
    "1",
    "--readers-per-worker",
    "2",
    "--break",
  );
  t.equal(status, 1, output);
  t.match(output, /FAILED: \d+ reads were older than a commit waited for/);
});

t.test("says what it takes, and what is wrong", async (t) => {
  const help = await runDemo("--help");
  t.equal(help.status, 0);
  t.match(help.output, "--readers-per-worker");
  for (
    const args of [["--seconds", "0"], ["--nonsense"], ["--workers", "x"], [
      "--database",
      "foo",
    ]]
  ) {
    const wrong = await runDemo(...args);
    t.equal(wrong.status, 2);
    t.match(wrong.output, /^demo: [^\n]+\n$/);
  }
});
