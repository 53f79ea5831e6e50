/**
 * Invalidating one key, as a row of the stream does, beside `lru-cache`'s
 * `delete`: of keys that are there, and of others.
 *
 * @module
 */

import { WriterStore } from "headwater";
import { LRUCache } from "lru-cache";
import { CACHES } from "../src/caches/cached.ts";
import {
  MAX_ENTRIES,
  Members,
  shuffle,
  USER_CACHE,
  userOf,
} from "./support/cached_store.ts";
import { callTimer } from "./support/loops.ts";
import { compete, type Figure, median, nextTurn } from "./support/measure.ts";
import type { Database } from "./support/store.ts";
import type { Size } from "./main.ts";

/** A round: some keys dropped and put back, so many times. */
interface Scale {
  readonly keys: number;
  readonly rounds: number;
  readonly batches: number;
  readonly batch: number;
  /** How many absent keys a round asks for. */
  readonly absent: number;
}

/** Ns a key. */
export async function benchCachedInvalidation(size: Size): Promise<Figure[]> {
  const scales: Scale[] = size.isShort
    ? [
      { keys: 10_000, rounds: 5, batches: 10, batch: 5_000, absent: 200_000 },
      { keys: 100_000, rounds: 3, batches: 1, batch: 50_000, absent: 200_000 },
    ]
    : [
      {
        keys: 10_000,
        rounds: 11,
        batches: 20,
        batch: 5_000,
        absent: 1_000_000,
      },
      {
        keys: 1_000_000,
        rounds: 5,
        batches: 1,
        batch: 200_000,
        absent: 400_000,
      },
    ];
  const figures: Figure[] = [];
  for (const scale of scales) figures.push(...await benchScale(scale));
  return figures;
}

async function benchScale(scale: Scale): Promise<Figure[]> {
  await using writer = await WriterStore.open<Database>({
    database: "sqlite::memory:",
  });
  const members = writer.attach(Members);
  const registry = members[CACHES];
  const raw = new LRUCache<string, Promise<string>>({ max: MAX_ENTRIES });
  const fillOurs = (key: string) => members.getUser(key);
  const fillRaw = (key: string) => {
    const kept = raw.get(key);
    if (kept !== undefined) return kept;
    const loading = Promise.resolve(key);
    raw.set(key, loading);
    return loading;
  };
  for (let key = 0; key < scale.keys; key += 1) {
    await fillOurs(userOf(key));
    await fillRaw(userOf(key));
  }
  const order = shuffle(Array.from({ length: scale.keys }, (_, key) => key));
  // Others' strings than those stored, as they come from the stream.
  const present = order.map(userOf);
  // Loaded under strings that nobody else has, as each request brings its own.
  const refill = (number: number) =>
    userOf(order[number % order.length] as number);
  const absent = shuffle(
    Array.from({ length: scale.keys }, (_, key) => userOf(scale.keys + key)),
  );
  const drop = (key: string) => registry.applyOne(USER_CACHE, key);
  const dropRaw = (key: string) => raw.delete(key);
  const left = () =>
    [
      registry.cacheStats().find(({ name }) => name === USER_CACHE)?.entries,
      raw.size,
    ] as const;

  /** A round of one side, on which each present key must go. */
  const side = (call: (key: string) => unknown, own: 0 | 1) => {
    const time = callTimer(call);
    const fill = own === 0 ? fillOurs : fillRaw;
    let from = 0;
    return async (): Promise<number> => {
      const times: number[] = [];
      for (let batch = 0; batch < scale.batches; batch += 1) {
        times.push(time(scale.batch, [present], call, from));
        if (left()[own] !== scale.keys - scale.batch) {
          throw new Error("a key was not dropped");
        }
        for (let done = 0; done < scale.batch; done += 1) {
          await fill(refill(from + done));
        }
        from = (from + scale.batch) % present.length;
        await nextTurn();
        // What the loads leave behind pushes entries out of the processor's
        // caches; both sides begin with those of the next batch in them.
        for (let next = 0; next < scale.batch; next += 1) {
          fill(refill(from + next));
        }
      }
      return median(times);
    };
  };
  const sideAbsent = (call: (key: string) => unknown) => {
    const time = callTimer(call);
    return () => time(scale.absent, [absent], call);
  };
  const keys = scale.keys.toLocaleString("en-US");
  const subject = { unit: "ns", against: "lru-cache delete" };
  return [
    await compete({
      ...subject,
      name: `invalidation of a present key, of ${keys}`,
      goal: "≤ 1.5",
      rounds: scale.rounds,
      ours: side(drop, 0),
      baseline: side(dropRaw, 1),
    }),
    await compete({
      ...subject,
      name: `invalidation of an absent key, beside ${keys} others`,
      goal: "≤ 1.3",
      rounds: scale.rounds,
      ours: sideAbsent(drop),
      baseline: sideAbsent(dropRaw),
    }),
  ];
}
