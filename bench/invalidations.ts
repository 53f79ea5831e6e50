/**
 * (a) Invalidations: from the commit in one process to the cache of another.
 *
 * @module
 */

import { join } from "node:path";
import { cachesStream, type Token, WriterStore } from "headwater";
import {
  compete,
  type Figure,
  nextTurn,
  perSecond,
} from "./support/measure.ts";
import { type Peer, startPeer } from "./support/peer.ts";
import { type BareServer, listenBare } from "./support/server.ts";
import { type Database, keyOf } from "./support/store.ts";
import type { Size } from "./main.ts";

const LEFT_OVER = "keys were left in the cache";

/** Rows a second, in batches and one by one, beside the same bytes by hand. */
export async function benchInvalidations(size: Size): Promise<Figure[]> {
  const database = `sqlite:${join(size.folder, "invalidations.db")}`;
  await using writer = await WriterStore.open<Database>({
    database,
    listen: "tcp://127.0.0.1:0",
    synchronous: "normal",
  });
  const floor: Floor = { server: await listenBare(), token: 0 };
  const peers = { ours: startPeer("reader"), floor: startPeer("reader") };
  await peers.ours.ask({ kind: "ours", database, url: writer.url });
  await peers.floor.ask({ kind: "floor", port: floor.server.port });
  const figures: Figure[] = [];
  for (
    const [batch, transactions, what] of [
      [100, size.isShort ? 200 : 1_000, "batches of 100"],
      [1, size.isShort ? 1_000 : 5_000, "one by one"],
    ] as const
  ) {
    const rows = batch * transactions;
    figures.push(
      await compete({
        name: `invalidations, ${what}`,
        unit: "rows/s",
        against: "the same bytes by hand, without a database",
        rounds: size.isShort ? 3 : 9,
        ours: () => runOurs(writer, peers.ours, batch, rows),
        baseline: () => runFloor(floor, peers.floor, batch, rows),
      }),
    );
  }
  peers.ours.close();
  peers.floor.close();
  floor.server.close();
  return figures;
}

/** Every row names a key that the reader holds. */
async function runOurs(
  writer: WriterStore<Database>,
  peer: Peer,
  batch: number,
  rows: number,
): Promise<number> {
  await peer.ask({ kind: "fill", keys: rows });
  const keys = Array.from({ length: rows }, (_, key) => keyOf(key));
  const began = performance.now();
  let token = 0 as Token;
  for (let row = 0; row < rows; row += batch) {
    const commit = await writer.transaction("invalidate", (txn) => {
      for (let key = row; key < row + batch; key += 1) {
        txn.invalidate("get_user_by_id", [keys[key] as string]);
      }
      return Promise.resolve();
    });
    token = commit.token;
  }
  const left = await peer.ask({ kind: "wait", token });
  if (left !== 0) throw new Error(`${left} ${LEFT_OVER}`);
  return perSecond(rows, performance.now() - began);
}

/** A server, and the last token that it has sent. */
interface Floor {
  readonly server: BareServer;
  token: number;
}

/** Formats and sends each batch by itself, as a writer without a log would. */
async function runFloor(
  floor: Floor,
  peer: Peer,
  batch: number,
  rows: number,
): Promise<number> {
  await peer.ask({ kind: "fill", keys: rows });
  const keys = Array.from({ length: rows }, (_, key) => keyOf(key));
  const socket = floor.server.socket();
  const began = performance.now();
  const prefix = `RDATA ${cachesStream.name} master `;
  for (let row = 0; row < rows; row += batch) {
    floor.token += 1;
    const now = Date.now();
    let lines = "";
    for (let key = row; key < row + batch; key += 1) {
      const token = key === row + batch - 1 ? floor.token : "batch";
      lines += `${prefix}${token} ["get_user_by_id",["${keys[key]}"],${now}]\n`;
    }
    lines += `POSITION caches master ${floor.token} ${floor.token}\n`;
    if (!socket.write(lines)) {
      await new Promise<void>((resolve) => socket.once("drain", resolve));
    } else if (floor.token % 10 === 0) await nextTurn();
  }
  const left = await peer.ask({ kind: "wait", token: floor.token });
  if (left !== 0) throw new Error(`${left} ${LEFT_OVER}`);
  return perSecond(rows, performance.now() - began);
}
