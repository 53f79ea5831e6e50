/**
 * The demo: one process writes, others read through caches as fast as they
 * can, and every read is checked. Run it with `--help` to see its options.
 *
 * @module
 */

import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { HeadwaterError, WriterStore } from "headwater";
import { roomGroup } from "../cs_cache_fake.ts";
import type {
  Check,
  FromWorker,
  ToWorker,
  WorkerReport,
  WorkerSettings,
} from "./messages.ts";
import { type DemoOptions, parseOptions, USAGE } from "./options.ts";
import { formatLine, formatTable, type Snapshot } from "./report.ts";
import type { Database } from "./stores.ts";
import { createTables, keepWriting } from "./writes.ts";

const SEND_MS = 20;
const LINE_MS = 1_000;
/** How long a worker may take to stop before it is killed, and counts as dead. */
const STOP_MS = 10_000;
/** Commits that a worker may be behind with checking; it is told no more till then. */
const MAX_UNCHECKED = 5_000;

interface DemoWorker {
  readonly child: ChildProcess;
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
  report: WorkerReport;
  told: number;
  hasReportedLast: boolean;
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: DemoOptions;
  try {
    options = parseOptions(args);
  } catch (error) {
    console.error(`demo: ${(error as Error).message.split("\n")[0]}`);
    return 2;
  }
  if (options.help) {
    console.log(USAGE);
    return 0;
  }
  const folder = mkdtempSync(join(tmpdir(), "headwater-demo-"));
  try {
    const database = options.database ?? `sqlite:${join(folder, "demo.db")}`;
    return await run(options, database);
  } catch (error) {
    // A database that can't be used says why in one line.
    if (!(error instanceof HeadwaterError)) throw error;
    console.error(`demo: ${error.message}`);
    return error.code === "INVALID_ARGUMENT" ? 2 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function run(options: DemoOptions, database: string): Promise<number> {
  await using writer = await WriterStore.open<Database>({
    database,
    listen: "tcp://127.0.0.1:0",
    groups: [roomGroup],
  });
  const newest = await createTables(writer);
  const workers = Array.from(
    { length: options.workers },
    (_, index) =>
      startWorker({
        database,
        replicate: String(writer.url),
        readers: options.readersPerWorker,
        breaks: options.breaks && index === 0,
      }),
  );
  await Promise.all(workers.map(({ ready }) => ready));
  console.log(
    `${options.workers} workers of ${options.readersPerWorker} readers read ` +
      `${database}, synchronous=full, for ${options.seconds} s`,
  );

  let isOver = false;
  const stop = () => void (isOver = true);
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  const beganMs = performance.now();
  const snapshot = (): Snapshot => ({
    seconds: (performance.now() - beganMs) / 1_000,
    writes: writer.stats.commits,
    token: writer.position.get(writer.instance) ?? 0,
    workers: workers.map(({ report }) => report),
  });
  let last = snapshot();
  const showing = setInterval(() => {
    const now = snapshot();
    showLine(formatLine(now, last));
    last = now;
  }, LINE_MS);
  const unsent: Check[] = [];
  const sending = setInterval(() => sendChecks(workers, unsent), SEND_MS);
  const ending = setTimeout(stop, options.seconds * 1_000);

  const isAlive = () => workers.every(({ child }) => child.connected);
  await keepWriting(
    writer,
    newest,
    () => isOver || !isAlive(),
    (check) => void unsent.push(check),
  );
  for (const timer of [showing, sending, ending]) clearTimeout(timer);
  const { seconds } = snapshot();
  for (const { child } of workers) tell(child, { kind: "stop" });
  const killing = setTimeout(
    () => workers.forEach(({ child }) => child.kill("SIGKILL")),
    STOP_MS,
  );
  await Promise.all(workers.map(({ ended }) => ended));
  clearTimeout(killing);
  console.log(`\n${formatTable({ ...snapshot(), seconds })}\n`);
  return judge(workers, options);
}

function startWorker(settings: WorkerSettings): DemoWorker {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const file = new URL(`./worker.${extension}`, import.meta.url);
  const child = fork(fileURLToPath(file), [JSON.stringify(settings)]);
  let isReady = () => {};
  const ended = new Promise<void>((resolve) =>
    child.on("exit", () => resolve())
  );
  const ready = new Promise<void>((resolve) => isReady = resolve);
  const worker: DemoWorker = {
    child,
    // One that dies before it is ready is found dead soon after.
    ready: Promise.race([ready, ended]),
    ended,
    report: {
      reads: 0,
      hits: 0,
      misses: 0,
      invalidations: 0,
      timely: 0,
      delays: [],
      checks: 0,
      stale: 0,
      token: 0,
    },
    told: 0,
    hasReportedLast: false,
  };
  child.on("message", (message: FromWorker) => {
    if (message.kind === "ready") isReady();
    else worker.report = message.report;
    if (message.kind === "last") worker.hasReportedLast = true;
  });
  return worker;
}

function sendChecks(workers: readonly DemoWorker[], unsent: Check[]): void {
  const checks = unsent.splice(0);
  if (checks.length === 0) return;
  for (const worker of workers) {
    if (worker.told - worker.report.checks > MAX_UNCHECKED) continue;
    worker.told += checks.length;
    tell(worker.child, { kind: "checks", checks });
  }
}

function tell(child: ChildProcess, message: ToWorker): void {
  if (child.connected) child.send(message);
}

/** On a terminal the line is written over; elsewhere each stays. */
function showLine(line: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\u001b[2K${line}`);
  else console.log(line);
}

function judge(workers: readonly DemoWorker[], options: DemoOptions): number {
  const stale = workers.reduce((total, { report }) => total + report.stale, 0);
  if (workers.some(({ hasReportedLast }) => !hasReportedLast)) {
    console.log("FAILED: a worker died");
    return 1;
  }
  if (workers.some(({ report }) => report.checks === 0 || report.hits === 0)) {
    console.log("FAILED: a worker has checked nothing");
    return 1;
  }
  if (stale === 0) {
    console.log("ok: no read was older than a commit waited for");
    return 0;
  }
  console.log(
    `FAILED: ${stale} reads were older than a commit waited for` +
      (options.breaks ? " (worker 1 ignores invalidations: --break)" : ""),
  );
  return 1;
}
