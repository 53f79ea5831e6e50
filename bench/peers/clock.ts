/**
 * The other process of the latency benchmark: echoes what it is sent over TCP,
 * and notes when invalidations were applied, ours and the floor's.
 *
 * @module
 */

import process from "node:process";
import { SlavedStore } from "headwater";
import { LRUCache } from "lru-cache";
import { echoTime } from "../support/clock_offset.ts";
import { connectByHand, type HandCache } from "../support/hand_scan.ts";
import { type Database, keyOf, Names } from "../support/store.ts";

/** What the clock process is asked to do next. */
export type ClockRequest =
  | {
    readonly kind: "open";
    readonly database: string;
    readonly url: string;
    readonly echoPort: number;
    readonly floorPort: number;
  }
  /** Answers with token → when it was applied, on this process's clock. */
  | { readonly kind: "times"; readonly token: number };

const KEYS = 10_000;

const applied = new Map<number, number>();
const byHand = new Map<number, number>();
let slaved: SlavedStore<Database> | undefined;

process.on("message", async (request: ClockRequest) => {
  if (request.kind === "open") await open(request);
  else {
    await slaved?.waitFor({ instance: "master", token: request.token });
    process.send?.({ ours: [...applied], floor: [...byHand] });
    applied.clear();
    byHand.clear();
    return;
  }
  process.send?.("ready");
});

async function open(
  { database, url, echoPort, floorPort }: ClockRequest & { kind: "open" },
): Promise<void> {
  slaved = await SlavedStore.connect<Database>({ database, replicate: url });
  const names = slaved.attach(Names);
  slaved.subscribe("caches", ({ token }) => {
    applied.set(token, performance.now());
  });
  const cache: HandCache = new LRUCache({ max: 200_000 });
  for (let key = 0; key < KEYS; key += 1) {
    await names.getName(keyOf(key));
    cache.set(keyOf(key), Promise.resolve(keyOf(key)));
  }
  await connectByHand(floorPort, cache, (token) => {
    byHand.set(token, performance.now());
  });
  await echoTime(echoPort);
}
