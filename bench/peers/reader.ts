/**
 * The reading process of the invalidation benchmarks, ours or the floor.
 *
 * @module
 */

import process from "node:process";
import { SlavedStore } from "headwater";
import { LRUCache } from "lru-cache";
import { connectByHand } from "../support/hand_scan.ts";
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

/** The least that can be done with the same bytes. */
async function openFloor(port: number): Promise<Side> {
  const cache = new LRUCache<string, Promise<string>>({ max: 200_000 });
  const waiting: { token: number; done: () => void }[] = [];
  let applied = 0;
  await connectByHand(port, cache, (token) => {
    applied = token;
    const [first] = waiting;
    if (first === undefined || applied < first.token) return;
    waiting.shift();
    first.done();
  });
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
