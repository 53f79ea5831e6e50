/**
 * A worker of the demo: reads through its caches as fast as it can, and checks
 * every read against what it has waited for.
 *
 * @module
 */

import process from "node:process";
import { setImmediate } from "node:timers";
import { cachesStream, SlavedStore } from "headwater";
import { roomGroup } from "../cs_cache_fake.ts";
import type {
  Check,
  FromWorker,
  ToWorker,
  WorkerReport,
  WorkerSettings,
} from "./messages.ts";
import {
  BrokenStore,
  type Database,
  type DemoReads,
  DemoStore,
  hostName,
  HOSTS,
  roomName,
  ROOMS,
  SETTINGS,
  type Table,
  userName,
  USERS,
} from "./stores.ts";

/** Reads of one reader before others have their turn. */
const READS_A_TURN = 25;
const REPORT_MS = 200;
const TIMELY_MS = 50;
const LONGEST_DELAY_MS = 500;
const MAX_APPLIED = 100_000;

const settings: WorkerSettings = JSON.parse(process.argv[2] ?? "");
const tell = (message: FromWorker) => void process.send?.(message);

const slaved = await SlavedStore.connect<Database>({
  database: settings.database,
  replicate: settings.replicate,
  groups: [roomGroup],
});
const store: DemoReads = slaved.attach(
  settings.breaks ? BrokenStore : DemoStore,
);

// The version that a read must at least have, by table and id.
const floors: Record<Table, Float64Array> = {
  demo_users: new Float64Array(USERS),
  demo_rooms: new Float64Array(ROOMS),
  demo_room_hosts: new Float64Array(ROOMS * HOSTS),
  demo_settings: new Float64Array(SETTINGS),
};
const users = Array.from({ length: USERS }, (_, id) => userName(id));
const rooms = Array.from({ length: ROOMS }, (_, id) => roomName(id));
const hosts = Array.from({ length: HOSTS }, (_, id) => hostName(id));

const delays = new Array<number>(LONGEST_DELAY_MS + 1).fill(0);
let reads = 0;
let stale = 0;
let checks = 0;
let timely = 0;
let isStopping = false;

// When each transaction's invalidations were applied, until its check comes.
const applied = new Map<number, { appliedMs: number; rows: number }>();
slaved.subscribe(cachesStream, ({ token, rows }) => {
  if (applied.size >= MAX_APPLIED) applied.clear();
  applied.set(token, { appliedMs: Date.now(), rows: rows.length });
});

process.on("message", (message: ToWorker) => {
  if (message.kind === "stop") isStopping = true;
  else queue.push(...message.checks);
});
process.on("disconnect", () => process.exit(1));
// Ctrl-C reaches the whole group: the main process says when to stop.
process.on("SIGINT", () => {});

const queue: Check[] = [];
await warmUp();
tell({ kind: "ready" });
const reporting = setInterval(
  () => tell({ kind: "report", report: report() }),
  REPORT_MS,
);
await Promise.all([
  keepChecking(),
  ...Array.from({ length: settings.readers }, keepReading),
]);
clearInterval(reporting);
tell({ kind: "last", report: report() });
await slaved.close();
process.disconnect?.();

/** Reads everything once, so that what is measured is a service that has run a while. */
async function warmUp(): Promise<void> {
  for (const [table, { length }] of Object.entries(floors)) {
    for (let id = 0; id < length; id += 1) {
      await read(table as Table, id);
      if (id % READS_A_TURN === 0) await nextTurn();
    }
  }
}

/** Waits for each commit; from then on nothing older may be read. */
async function keepChecking(): Promise<void> {
  while (!isStopping) {
    const check = queue.shift();
    if (check === undefined) {
      await nextTurn();
      continue;
    }
    await slaved.waitFor(check);
    countDelay(check);
    for (const id of check.ids) {
      floors[check.table][id] = check.version;
      await read(check.table, id);
    }
    checks += 1;
  }
}

/** From the commit's return in the writer to its application here. */
function countDelay({ token, committedMs }: Check): void {
  const found = applied.get(token);
  if (found === undefined) return;
  applied.delete(token);
  const { appliedMs, rows } = found;
  // Readers are told in the commit's own turn: they may even be the first.
  const delayMs = Math.max(0, appliedMs - committedMs);
  const slot = Math.min(LONGEST_DELAY_MS, delayMs);
  delays[slot] = (delays[slot] ?? 0) + rows;
  if (delayMs <= TIMELY_MS) timely += rows;
}

async function keepReading(): Promise<void> {
  while (!isStopping) {
    for (let count = 0; count < READS_A_TURN; count += 1) {
      const chance = Math.random();
      if (chance < 0.7) await read("demo_users", any(USERS));
      else if (chance < 0.8) await read("demo_rooms", any(ROOMS));
      else if (chance < 0.9) await read("demo_room_hosts", any(ROOMS * HOSTS));
      else await read("demo_settings", any(SETTINGS));
    }
    await nextTurn();
  }
}

/** One read, and its check. What counts is the floor when the read began. */
async function read(table: Table, id: number): Promise<void> {
  const floor = floors[table][id] as number;
  const version = await readVersion(table, id);
  reads += 1;
  if (version < floor) stale += 1;
}

function readVersion(table: Table, id: number): Promise<number> {
  switch (table) {
    case "demo_users":
      return store.getUser(users[id] as string);
    case "demo_rooms":
      return store.getUsersInRoom(rooms[id] as string);
    case "demo_room_hosts":
      return store.isHostJoined(
        rooms[Math.floor(id / HOSTS)] as string,
        hosts[id % HOSTS] as string,
      );
    case "demo_settings":
      return store.getSetting(id);
  }
}

function report(): WorkerReport {
  const caches = slaved.caches();
  const sum = (count: (cache: (typeof caches)[number]) => number) =>
    caches.reduce((total, cache) => total + count(cache), 0);
  return {
    reads,
    hits: sum(({ hits }) => hits),
    misses: sum(({ misses }) => misses),
    invalidations: slaved.stats.invalidations,
    timely,
    delays,
    checks,
    stale,
    token: slaved.position.get("master") ?? 0,
  };
}

function any(count: number): number {
  return Math.floor(Math.random() * count);
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
