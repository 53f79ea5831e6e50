/**
 * Rows that are committed already: from the streamer to the cache of another
 * process, without the database's share.
 *
 * @module
 */

import { join } from "node:path";
import { type Token, WriterStore } from "headwater";
import { openForReading } from "../src/database/open_database.ts";
import type { Session } from "../src/database/engine.ts";
import { catchUp } from "../src/replication/catch_up.ts";
import type { LoggedTransaction } from "../src/replication/transaction.ts";
import { listenFloor, requireApplied, runFloor } from "./support/floor.ts";
import {
  compete,
  type Figure,
  nextTurn,
  perSecond,
} from "./support/measure.ts";
import { type Peer, startPeer } from "./support/peer.ts";
import { type Database, keyOf } from "./support/store.ts";
import { openStreamer } from "./support/streamer.ts";
import type { Size } from "./main.ts";

/** Rows a second, beside the same rows by hand, a line each. */
export async function benchCommitted(size: Size): Promise<Figure[]> {
  const database = `sqlite:${join(size.folder, "committed.db")}`;
  // It listens nowhere: readers hear of its commits when the streamer is told.
  await using writer = await WriterStore.open<Database>({
    database,
    synchronous: "normal",
  });
  const log = openForReading(database, {});
  const streamer = await openStreamer();
  const floor = await listenFloor();
  const reader = startPeer("reader");
  const floorReader = startPeer("reader");
  await reader.ask({ kind: "ours", database, url: streamer.url });
  await floorReader.ask({ kind: "floor", port: floor.server.port });
  const rounds = size.isShort ? 3 : 9;
  const figures: Figure[] = [];
  for (
    const [batch, rows, what] of [
      [100, size.isShort ? 20_000 : 100_000, "batches of 100"],
      [1, size.isShort ? 10_000 : 50_000, "one a transaction"],
    ] as const
  ) {
    figures.push(
      await compete({
        name: `committed rows, ${what}`,
        unit: "rows/s",
        against: "the same rows by hand",
        goal: batch === 1 ? undefined : "≥ 0.8",
        rounds,
        ours: async () => {
          const committed = await commit(writer, log.session, batch, rows);
          return await runOurs(streamer.publish, reader, committed, rows);
        },
        baseline: () => runFloor(floor, floorReader, batch, rows),
      }),
    );
  }
  await streamer.close();
  await log.close();
  reader.close();
  floorReader.close();
  floor.server.close();
  return figures;
}

/** Writes them, and reads them from the log. */
async function commit(
  writer: WriterStore<Database>,
  session: Session,
  batch: number,
  rows: number,
): Promise<LoggedTransaction[]> {
  const after = writer.position.get(writer.instance) as Token;
  for (let row = 0; row < rows; row += batch) {
    await writer.transaction("invalidate", (txn) => {
      for (let key = row; key < row + batch; key += 1) {
        txn.invalidate("get_user_by_id", [keyOf(key)]);
      }
      return Promise.resolve();
    });
  }
  const upTo = writer.position.get(writer.instance) as Token;
  const { instance } = writer;
  const committed: LoggedTransaction[] = [];
  for await (const page of catchUp(session, { instance, after, upTo })) {
    committed.push(...page);
  }
  // As the writer's own recorder hands them on.
  return committed.map((transaction, index) => ({
    ...transaction,
    invalidations: [{
      name: "get_user_by_id",
      ms: Date.now(),
      keys: Array.from(
        { length: batch },
        (_, key) => keyOf(index * batch + key),
      ),
    }],
  }));
}

async function runOurs(
  publish: (transaction: LoggedTransaction) => void,
  reader: Peer,
  committed: readonly LoggedTransaction[],
  rows: number,
): Promise<number> {
  await reader.ask({ kind: "fill", keys: rows });
  const began = performance.now();
  for (const [index, transaction] of committed.entries()) {
    publish(transaction);
    if (index % 10 === 9) await nextTurn();
  }
  await requireApplied(reader, committed.at(-1)?.token ?? 0);
  return perSecond(rows, performance.now() - began);
}
