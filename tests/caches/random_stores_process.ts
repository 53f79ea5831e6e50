// One of two processes with random stores: DATABASE, for the writer; DATABASE
// URL, for the reader. It does what it is told, line by line.

import process from "node:process";
import { createInterface } from "node:readline";
import { z } from "zod";
import {
  defineStream,
  SlavedStore,
  WriterStore,
  type WriterTransaction,
} from "../../mod.ts";
import type { KeyArgument } from "../../src/caches/key_parts.ts";
import { parseToken } from "../../src/tokens/token.ts";
import {
  prefixOf,
  type RandomDatabase,
  RandomStore,
  someKeys,
  textOf,
} from "./random_store.ts";
import {
  type CachePlan,
  dependentsOf,
  type Read,
  readOf,
  type Said,
  type Told,
  type Write,
  writeAbove,
  writeOf,
} from "./random_stores_plan.ts";

const [database = "", replicate] = process.argv.slice(2);
const say = (said: Said) => console.log(JSON.stringify(said));
const groups = [someKeys];
const halfway = defineStream("halfway", z.string());
const streams = [halfway];
const writer = replicate !== undefined
  ? undefined
  : await WriterStore.open<RandomDatabase>({
    database,
    listen: "tcp://127.0.0.1:0",
    synchronous: "normal",
    groups,
    streams,
  });
let plans: CachePlan[] = [];
let store: RandomStore | undefined;
let values = 0;
/** What is read amid catch-ups. */
let amid: readonly Write[] = [];
let steps = 0;
const slaved = replicate === undefined
  ? undefined
  : await SlavedStore.connect<RandomDatabase>({
    database,
    replicate,
    groups,
    streams,
    // What it misses it fetches once it is connected again, all at once.
    pollIntervalMs: 0,
    onProgress: ({ isDone }) => void (isDone || (steps += 1)),
  });
// Called once a step's invalidations have been made; the next step waits for it.
slaved?.subscribe(halfway, () => readAmid());
/** Reads that run beside each other. */
const AT_ONCE = 16;
/** Tokens that are more than the first step of a catch-up takes. */
const PADDING = 260;

await writer?.transaction("create", async ({ db }) => {
  await db.schema.createTable("things")
    .addColumn("cache", "text", (column) => column.notNull())
    .addColumn("key", "text", (column) => column.notNull())
    .addColumn("value", "integer", (column) => column.notNull())
    .addPrimaryKeyConstraint("things_key", ["cache", "key"])
    .execute();
});
say({ url: writer?.url ?? "" });
for await (const line of createInterface({ input: process.stdin })) {
  await obey(JSON.parse(line));
}

async function obey(told: Told): Promise<void> {
  switch (told.does) {
    case "set up": {
      plans = told.plans;
      class Planned extends RandomStore {
        constructor(context: ConstructorParameters<typeof RandomStore>[0]) {
          super(context, told.does === "set up" ? told.plans : []);
        }
      }
      store = writer?.attach(Planned) ?? slaved?.attach(Planned);
      say({ isSetUp: true });
      break;
    }
    case "stir":
      void stir(told.reads);
      break;
    case "prepare":
      amid = told.writes.map(toWrite);
      await readAmid();
      say({ isPrepared: true });
      break;
    case "write": {
      let token = 0;
      for (const numbers of told.transactions) {
        token = await writeAll(numbers.map(toWrite));
      }
      say({ token });
      break;
    }
    case "write far": {
      const writes = told.writes.map(toWrite);
      const first = writes.slice(0, -1);
      await writeAll(first);
      await Promise.all(Array.from({ length: PADDING }, pad));
      const above = first.flatMap((write) => writeAbove(plans, write) ?? []);
      say({ token: await writeAll([...above, ...writes.slice(-1)]) });
      break;
    }
    case "check": {
      const { instance, token } = told.after;
      await slaved?.waitFor({ instance, token: parseToken(token) });
      // First what was read amid a catch-up: soon there is no room for it.
      const wrong = await check([...readsAmid(), ...told.reads.map(toRead)]);
      amid = [];
      const stats = (writer ?? slaved)?.caches() ?? [];
      const sum = (name: "hits" | "evictions" | "fenced") =>
        stats.reduce((sum, each) => sum + each[name], 0);
      say({
        wrong,
        hits: sum("hits"),
        evictions: sum("evictions"),
        fenced: sum("fenced"),
        steps,
      });
    }
  }
}

/** Says which token the transaction has. */
async function writeAll(writes: readonly Write[]): Promise<number> {
  const commit = await writer?.transaction("write", async (txn) => {
    for (const each of writes) await write(txn, each);
  });
  return commit?.token ?? 0;
}

/** A transaction that nobody here has anything of. */
async function pad(_: unknown, number: number): Promise<void> {
  await writer?.transaction("pad", (txn) => {
    if (number === 0) txn.write(halfway, "");
    txn.invalidate("pad", [number]);
    return Promise.resolve();
  });
}

async function write(
  txn: WriterTransaction<RandomDatabase>,
  { cache, keys, isDeleted, by }: Write,
): Promise<void> {
  const { name } = plans[cache] as CachePlan;
  for (const key of keys) {
    const row = { cache: name, key: textOf(key), value: values += 1 };
    if (isDeleted) {
      await txn.db.deleteFrom("things").where("cache", "=", name)
        .where("key", "=", row.key).execute();
    } else {
      await txn.db.insertInto("things").values(row).onConflict((conflict) =>
        conflict.columns(["cache", "key"]).doUpdateSet({ value: row.value })
      ).execute();
    }
    if (by === "keys") txn.invalidate(name, key);
    nameDependents(txn, cache, by === "all" ? null : key);
  }
  if (by === "all") txn.invalidateAll(name);
  // All but the last argument of both keys are the same.
  if (by === "prefix") txn.invalidatePrefix(name, prefixOf(keys[0] ?? []));
  if (by === "group") {
    const texts = keys.map((key) => JSON.parse(textOf(key)));
    txn.invalidateGroup(someKeys, [name, JSON.stringify(texts)]);
  }
}

/** Invalidates what depends on a key, where it is the writer's to say. */
function nameDependents(
  txn: WriterTransaction<RandomDatabase>,
  cache: number,
  key: readonly KeyArgument[] | null,
): void {
  for (const [index, other] of dependentsOf(plans, cache, key)) {
    const { name } = plans[index] as CachePlan;
    if (plans[cache]?.namesDependents) {
      if (other === null) txn.invalidateAll(name);
      else txn.invalidate(name, other);
    }
    nameDependents(txn, index, other);
  }
}

/** Reads of what is written, of which some is old between two steps. */
function readsAmid(): Read[] {
  return amid.flatMap(({ cache, keys }) =>
    keys.map((key) => ({ cache, key, list: undefined }))
  );
}

async function readAmid(): Promise<void> {
  await Promise.all(readsAmid().map((read) => store?.read(read)));
}

function toWrite(number: number): Write {
  return writeOf(plans, number);
}

function toRead(number: number): Read {
  return readOf(plans, number);
}

/** Reads all the time while others write. */
async function stir(reads: readonly number[]): Promise<void> {
  for (const [index, number] of reads.entries()) {
    void store?.read(toRead(number));
    if (index % 8 === 7) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** Compares reads through the caches with the database. */
async function check(reads: readonly Read[]): Promise<string[]> {
  const rows = await store?.rows() ?? new Map();
  const wrong: string[] = [];
  const judge = async (read: Read) => {
    const given = await store?.read(read);
    const expected = store?.expected(read, rows);
    if (given === expected) return;
    const { name } = plans[read.cache] as CachePlan;
    const list = read.list === undefined ? "" : ` list ${read.list.length}`;
    wrong.push(
      `${name} ${textOf(read.key)}${list}: ${given}, not ${expected}`,
    );
  };
  for (let from = 0; from < reads.length; from += AT_ONCE) {
    await Promise.all(reads.slice(from, from + AT_ONCE).map(judge));
  }
  return wrong;
}
