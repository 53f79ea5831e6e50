// A writer that dies at one point of a commit: DATABASE URL. It opens when it
// is told to, and then writes, in several lanes, until it comes to the point
// for the time that it is told. Each write is an event and a row of data for
// each of its parts, and the newest write of its lane, whose entry in the
// caches is invalidated.

import process from "node:process";
import { createInterface } from "node:readline";
import { WriterStore } from "../../mod.ts";
import { Streamer } from "../../src/replication/streamer.ts";
import type { TestDatabase } from "../support/stores.ts";
import {
  laneOf,
  LANES,
  markedWrite,
  markOf,
  type Order,
  partsOf,
} from "./commit_points.ts";
import { watchPostgres } from "./commit_points_postgres.ts";
import { watchSqlite } from "./commit_points_sqlite.ts";
import { die, say, Trap } from "./commit_points_trap.ts";

const [database = "", listen = ""] = process.argv.slice(2);
const ACKNOWLEDGED = "acknowledged, not announced";
const trap = new Trap();
const acknowledged = new Set<number>();
/** A write that nobody is told of any more, nor of any later one. */
let withheld: number | undefined;

if (database.startsWith("sqlite:")) watchSqlite(trap);
else watchPostgres(trap, Number(new URL(database).port));
watchPublishing();

let writer: WriterStore<TestDatabase> | undefined;
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as Order;
  if ("open" in order) {
    writer = await WriterStore.open<TestDatabase>({ database, listen });
    say({ open: writer.position.get("master") as number });
    continue;
  }
  trap.set(order.point, order.time);
  for (let lane = 0; lane < LANES; lane += 1) {
    void writeOn(writer as WriterStore<TestDatabase>, order.first + lane);
  }
}

async function writeOn(
  writer: WriterStore<TestDatabase>,
  first: number,
): Promise<void> {
  for (let write = first;; write += LANES) {
    const { token } = await save(writer, write);
    say({ acknowledged: { write, token } });
    acknowledged.add(write);
    if (write === withheld) die(ACKNOWLEDGED, write);
  }
}

function save(writer: WriterStore<TestDatabase>, write: number) {
  const name = markOf(write);
  const lane = { id: laneOf(write), name, version: write };
  return writer.transaction("save", async (txn) => {
    await txn.db.insertInto("users").values(lane)
      .onConflict((conflict) => conflict.column("id").doUpdateSet(lane))
      .execute();
    for (const id of partsOf(write)) {
      await txn.db.insertInto("users").values({ id, name, version: write })
        .execute();
    }
    const events = partsOf(write).map((type) => ({ type, data: { write } }));
    await txn.append(lane.id, events);
    txn.invalidate("getUserById", [lane.id]);
  });
}

/** The streamer is given each transaction once it is committed. */
function watchPublishing(): void {
  const { publish } = Streamer.prototype;
  Streamer.prototype.publish = function (transaction) {
    const text = transaction.records.flatMap(({ lines }) => lines).join();
    const write = markedWrite(text);
    if (write !== undefined) {
      trap.pass("before the publishing", write);
      if (trap.isSprung(ACKNOWLEDGED)) withheld = write;
    }
    // On PostgreSQL it may have been held back, and acknowledged before.
    if (withheld !== undefined && acknowledged.has(withheld)) {
      die(ACKNOWLEDGED, withheld);
    }
    if (withheld === undefined) publish.call(this, transaction);
  };
}
