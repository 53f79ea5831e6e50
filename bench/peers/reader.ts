/**
 * The reading process of the invalidation benchmark, ours or the floor.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import process from "node:process";
import { cachesStream, SlavedStore } from "headwater";
import { LRUCache } from "lru-cache";
import { type Database, keyOf, Names } from "../support/store.ts";

/** What the reader is asked to do next. */
export type ReaderRequest =
  | { readonly kind: "ours"; readonly database: string; readonly url: string }
  | { readonly kind: "floor"; readonly port: number }
  /** Fill the cache; answers once it is. */
  | { readonly kind: "fill"; readonly keys: number }
  /** Answers once the token is applied, with how many keys are left. */
  | { readonly kind: "wait"; readonly token: number };

interface Side {
  fill(keys: number): Promise<void>;
  wait(token: number): Promise<number>;
}

let side: Side | undefined;

process.on("message", async (request: ReaderRequest) => {
  process.send?.(await answer(request));
});

async function answer(request: ReaderRequest): Promise<unknown> {
  switch (request.kind) {
    case "ours":
      side = await openOurs(request.database, request.url);
      return "ready";
    case "floor":
      side = await openFloor(request.port);
      return "ready";
    case "fill":
      await side?.fill(request.keys);
      return "filled";
    case "wait":
      return await side?.wait(request.token);
  }
}

async function openOurs(database: string, replicate: string): Promise<Side> {
  const slaved = await SlavedStore.connect<Database>({ database, replicate });
  const names = slaved.attach(Names);
  return {
    async fill(keys) {
      for (let key = 0; key < keys; key += 1) await names.getName(keyOf(key));
    },
    async wait(token) {
      await slaved.waitFor({ instance: "master", token }, {
        timeoutMs: 60_000,
      });
      return slaved.caches()[0]?.entries ?? NaN;
    },
  };
}

/** The least that can be done with the same bytes: find lines, cut them, delete. */
async function openFloor(port: number): Promise<Side> {
  const cache = new LRUCache<string, Promise<string>>({ max: 200_000 });
  const waiting: { token: number; done: () => void }[] = [];
  let applied = 0;
  let rest = Buffer.alloc(0);
  const socket: Socket = connect({ host: "127.0.0.1", port, noDelay: true });
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
    applied = scan(whole.toString("latin1"), cache, applied);
    const [first] = waiting;
    if (first !== undefined && applied >= first.token) {
      waiting.shift();
      first.done();
    }
  });
  await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
  return {
    fill(keys) {
      for (let key = 0; key < keys; key += 1) {
        const name = keyOf(key);
        cache.set(name, Promise.resolve(name));
      }
      return Promise.resolve();
    },
    async wait(token) {
      if (applied < token) {
        await new Promise<void>((done) => waiting.push({ token, done }));
      }
      return cache.size;
    },
  };
}

const ROW = `RDATA ${cachesStream.name} master `;

function scan(
  text: string,
  cache: LRUCache<string, Promise<string>>,
  applied: number,
): number {
  let start = 0;
  let last = applied;
  while (start < text.length) {
    const end = text.indexOf("\n", start);
    if (text.startsWith(ROW, start)) {
      const row = text.indexOf("[", start);
      const nameEnd = text.indexOf('"', row + 2);
      const keyEnd = text.indexOf('"', nameEnd + 4);
      cache.delete(text.slice(nameEnd + 4, keyEnd));
      const token = text.slice(start + ROW.length, row - 1);
      if (token !== "batch") last = Number(token);
    }
    start = end + 1;
  }
  return last;
}
