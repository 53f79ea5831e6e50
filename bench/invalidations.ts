/**
 * (a) Invalidations: from the commit in one process to the cache of another.
 *
 * @module
 */

import { join } from "node:path";
import { type Token, WriterStore } from "headwater";
import {
  type Floor,
  listenFloor,
  requireApplied,
  runFloor,
} from "./support/floor.ts";
import { timeWriters } from "./support/load.ts";
import { compete, type Figure, perSecond } from "./support/measure.ts";
import { type Peer, startPeer } from "./support/peer.ts";
import { type Database, keyOf } from "./support/store.ts";
import type { Size } from "./main.ts";

const AT_A_TIME = 64;

/** A writer, and who reads what it writes. */
interface OwnSide {
  readonly writer: WriterStore<Database>;
  readonly reader: Peer;
}

/** Ours, and the floor; each with a reader. */
interface Sides extends OwnSide {
  readonly floor: Floor;
  readonly floorReader: Peer;
}

/** Rows a second: in batches and one by one, beside the same rows by hand; and many at a time. */
export async function benchInvalidations(size: Size): Promise<Figure[]> {
  const database = `sqlite:${join(size.folder, "invalidations.db")}`;
  await using writer = await openWriter(database, "normal");
  const floor = await listenFloor();
  const reader = startPeer("reader");
  const floorReader = startPeer("reader");
  await reader.ask({ kind: "ours", database, url: writer.url });
  await floorReader.ask({ kind: "floor", port: floor.server.port });
  const sides = { writer, reader, floor, floorReader };
  const figures = [
    await besideFloor(sides, size, {
      what: "batches of 100",
      batch: 100,
      rows: size.isShort ? 20_000 : 100_000,
      goal: "≥ 0.5",
    }),
    await besideFloor(sides, size, {
      what: "one by one",
      batch: 1,
      rows: size.isShort ? 1_000 : 5_000,
    }),
    await besideOneByOne(sides, size, "normal"),
    await withFullLog(size),
  ];
  reader.close();
  floorReader.close();
  floor.server.close();
  return figures;
}

/** How many rows, in what transactions. */
interface Load {
  readonly batch: number;
  readonly rows: number;
  /** Transactions; one by default. */
  readonly atATime?: number;
}

function besideFloor(
  sides: Sides,
  size: Size,
  load: Load & { readonly what: string; readonly goal?: string },
): Promise<Figure> {
  return compete({
    name: `invalidations, ${load.what}`,
    unit: "rows/s",
    against: "the same rows by hand, without a database",
    goal: load.goal,
    rounds: size.isShort ? 3 : 9,
    ours: () => runOurs(sides, load),
    baseline: () =>
      runFloor(sides.floor, sides.floorReader, load.batch, load.rows),
  });
}

async function besideOneByOne(
  sides: OwnSide,
  size: Size,
  synchronous: "full" | "normal",
): Promise<Figure> {
  const rows = size.isShort ? 1_000 : 5_000;
  return await compete({
    name: `invalidations, one a transaction, ${AT_A_TIME} at a time, ` +
      `synchronous=${synchronous}`,
    unit: "rows/s",
    against: "one by one",
    goal: "≥ 5",
    rounds: size.isShort ? 3 : 9,
    ours: () =>
      runOurs(sides, { batch: 1, rows: 5 * rows, atATime: AT_A_TIME }),
    baseline: () => runOurs(sides, { batch: 1, rows }),
  });
}

/** The same where each commit waits for the disk, which many share. */
async function withFullLog(size: Size): Promise<Figure> {
  const database = `sqlite:${join(size.folder, "invalidations-full.db")}`;
  await using writer = await openWriter(database, "full");
  const reader = startPeer("reader");
  await reader.ask({ kind: "ours", database, url: writer.url });
  const figure = await besideOneByOne({ writer, reader }, size, "full");
  reader.close();
  return figure;
}

function openWriter(
  database: string,
  synchronous: "full" | "normal",
): Promise<WriterStore<Database>> {
  return WriterStore.open<Database>({
    database,
    listen: "tcp://127.0.0.1:0",
    synchronous,
  });
}

/** Every row names a key that the reader holds. */
async function runOurs(
  { writer, reader }: OwnSide,
  { batch, rows, atATime = 1 }: Load,
): Promise<number> {
  await reader.ask({ kind: "fill", keys: rows });
  const keys = Array.from({ length: rows }, (_, key) => keyOf(key));
  let row = 0;
  let last = 0 as Token;
  const began = performance.now();
  await timeWriters(atATime, rows / batch, async () => {
    const from = row;
    row += batch;
    const { token } = await writer.transaction("invalidate", (txn) => {
      for (let key = from; key < from + batch; key += 1) {
        txn.invalidate("get_user_by_id", [keys[key] as string]);
      }
      return Promise.resolve();
    });
    if (token > last) last = token;
  });
  await requireApplied(reader, last);
  return perSecond(rows, performance.now() - began);
}
