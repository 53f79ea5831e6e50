// Who holds a name is asked of the system: a live process is never taken for
// gone, and a dead one is known at once, even if nobody has buried it yet.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import t, { type Test } from "tap";
import {
  isProvablyGone,
  type ProcessIdentity,
  thisProcess,
} from "../../src/runtime/processes.ts";
import { until } from "../support/conditions.ts";

const hasProc = existsSync("/proc/self/stat");

t.test("isProvablyGone() is false for this process", (t) => {
  t.notOk(isProvablyGone(thisProcess()));
  t.equal(thisProcess().pid, process.pid);
  t.end();
});

t.test("isProvablyGone() is true once a process was killed", async (t) => {
  const child = startSleeper(t);
  const identity = identify(child);
  t.notOk(isProvablyGone(identity), "while it lives");
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGKILL");
  await ended;
  t.ok(isProvablyGone(identity));
  t.ok(isProvablyGone({ ...identity, mark: "" }), "by its pid alone, too");
});

t.test("isProvablyGone() is false where nobody here can know", (t) => {
  t.notOk(
    isProvablyGone({ ...thisProcess(), host: "elsewhere", pid: 1 << 30 }),
  );
  t.notOk(isProvablyGone({ ...thisProcess(), mark: "" }));
  t.end();
});

t.test("isProvablyGone() tells processes of one pid apart", {
  skip: hasProc ? false : "there is no /proc here",
}, (t) => {
  const { mark } = thisProcess();
  t.match(mark, /^[0-9a-f-]{36}\/\d+$/);
  t.ok(isProvablyGone({ ...thisProcess(), mark: `${mark}0` }));
  t.end();
});

t.test("isProvablyGone() is true for a zombie", {
  skip: hasProc ? false : "there is no /proc here",
}, async (t) => {
  // The shell's child outlives the shell's interest: `exec` puts in its place
  // a program that never waits for it.
  const parent = spawn("sh", ["-c", "sleep 60 & echo $!; exec sleep 60"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  t.teardown(() => void parent.kill("SIGKILL"));
  const pid = Number(
    await new Promise((resolve) => parent.stdout.once("data", resolve)),
  );
  const parentStat = `/proc/${parent.pid}/stat`;
  await until(
    "the shell has given its place away",
    () => readFileSync(parentStat, "utf8").includes("(sleep)"),
  );
  const identity = { host: thisProcess().host, pid, mark: markOf(pid) };
  t.notOk(isProvablyGone(identity), "while it lives");
  process.kill(pid, "SIGKILL");
  await until("the child is a zombie", () => stateOf(pid) === "Z");
  t.ok(isProvablyGone(identity));
});

function startSleeper(t: Test): ChildProcess {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  t.teardown(() => void child.kill("SIGKILL"));
  return child;
}

function identify(child: ChildProcess): ProcessIdentity {
  const pid = Number(child.pid);
  return { host: thisProcess().host, pid, mark: markOf(pid) };
}

function markOf(pid: number): string {
  if (!hasProc) return "";
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return `${boot}/${fieldsOf(pid)[19]}`;
}

function stateOf(pid: number): string | undefined {
  return fieldsOf(pid)[0];
}

function fieldsOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}
