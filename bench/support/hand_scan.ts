/**
 * The least that a reader can do with the wire's bytes: find lines, cut them,
 * delete. What the baselines are made of.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { cachesStream } from "headwater";
import type { LRUCache } from "lru-cache";

/** What is deleted from. */
export type HandCache = LRUCache<string, Promise<string>>;

const ROW = `RDATA ${cachesStream.name} master `;

/**
 * Connects, and deletes what it is sent from a cache.
 *
 * @param applied Is told of the last token of each chunk that has one.
 */
export async function connectByHand(
  port: number,
  cache: HandCache,
  applied: (token: number) => void,
): Promise<Socket> {
  let rest = Buffer.alloc(0);
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  socket.on("data", (chunk: Buffer) => {
    const end = chunk.lastIndexOf(10) + 1;
    if (end === 0) {
      rest = Buffer.concat([rest, chunk]);
      return;
    }
    const whole = rest.length === 0
      ? chunk.subarray(0, end)
      : Buffer.concat([rest, chunk.subarray(0, end)]);
    rest = Buffer.from(chunk.subarray(end));
    const token = scan(whole.toString("latin1"), cache);
    if (token !== undefined) applied(token);
  });
  await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
  return socket;
}

function scan(text: string, cache: HandCache): number | undefined {
  let start = 0;
  let last: number | undefined;
  while (start < text.length) {
    const end = text.indexOf("\n", start);
    if (text.startsWith(ROW, start)) {
      const row = text.indexOf("[", start);
      deleteRow(text, row, cache);
      const token = text.slice(start + ROW.length, row - 1);
      if (token !== "batch") last = Number(token);
    }
    start = end + 1;
  }
  return last;
}

/** Deletes what the row that begins at `start` names. */
function deleteRow(text: string, start: number, cache: HandCache): void {
  const nameEnd = text.indexOf('"', start + 2);
  const keyEnd = text.indexOf('"', nameEnd + 4);
  cache.delete(text.slice(nameEnd + 4, keyEnd));
}
