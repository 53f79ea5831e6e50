/**
 * The floor's writer: formats and sends rows by itself, as one without a log
 * would.
 *
 * @module
 */

import { cachesStream } from "headwater";
import { nextTurn, perSecond } from "./measure.ts";
import type { Peer } from "./peer.ts";
import { type BareServer, listenBare } from "./server.ts";
import { keyOf } from "./store.ts";

/** A server, and the last token that it has sent. */
export interface Floor {
  readonly server: BareServer;
  token: number;
}

/** Listens. */
export async function listenFloor(): Promise<Floor> {
  return { server: await listenBare(), token: 0 };
}

const PREFIX = `RDATA ${cachesStream.name} master `;

/** The next token's lines, one for each key; they end with its POSITION. */
export function formatNext(floor: Floor, keys: readonly string[]): string {
  floor.token += 1;
  const now = Date.now();
  const last = keys.length - 1;
  let lines = "";
  for (let index = 0; index <= last; index += 1) {
    const token = index === last ? floor.token : "batch";
    lines += `${PREFIX}${token} ["get_user_by_id",["${keys[index]}"],${now}]\n`;
  }
  return `${lines}POSITION caches master ${floor.token} ${floor.token}\n`;
}

/** Rows a second, until the reader has applied them. */
export async function runFloor(
  floor: Floor,
  peer: Peer,
  batch: number,
  rows: number,
): Promise<number> {
  await peer.ask({ kind: "fill", keys: rows });
  const keys = Array.from({ length: rows }, (_, key) => keyOf(key));
  const socket = floor.server.socket();
  const began = performance.now();
  for (let row = 0; row < rows; row += batch) {
    const lines = formatNext(floor, keys.slice(row, row + batch));
    if (!socket.write(lines)) {
      await new Promise<void>((resolve) => socket.once("drain", resolve));
    } else if (floor.token % 10 === 0) await nextTurn();
  }
  await requireApplied(peer, floor.token);
  return perSecond(rows, performance.now() - began);
}

/** Waits until a reader has applied a token, and nothing is left in its cache. */
export async function requireApplied(peer: Peer, token: number): Promise<void> {
  const left = await peer.ask({ kind: "wait", token });
  if (left !== 0) throw new Error(`${left} keys were left in the cache`);
}
