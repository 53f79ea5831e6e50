/**
 * Invalidating by prefix: all members of one room, of a thousand rooms in one
 * cache, beside as many deletions from `lru-cache` by keys that are known.
 *
 * @module
 */

import { WriterStore } from "headwater";
import { LRUCache } from "lru-cache";
import { CACHES } from "../src/caches/cached.ts";
import {
  roomOf,
  shuffle,
  TREE_CACHE,
  TreeMembers,
  userOf,
} from "./support/cached_store.ts";
import { compete, type Figure, median } from "./support/measure.ts";
import type { Database } from "./support/store.ts";
import type { Size } from "./main.ts";

const USERS = 1_000;

/** ms for all entries of one prefix. */
export async function benchCachedPrefix(size: Size): Promise<Figure[]> {
  const rooms = size.isShort ? 100 : 1_000;
  const [rounds, aRound] = size.isShort ? [5, 5] : [15, 30];
  await using writer = await WriterStore.open<Database>({
    database: "sqlite::memory:",
  });
  const members = writer.attach(TreeMembers);
  const registry = members[CACHES];
  const raw = new LRUCache<string, Promise<string>>({ max: rooms * USERS });
  for (let room = 0; room < rooms; room += 1) {
    const roomId = roomOf(room);
    for (let user = 0; user < USERS; user += 1) {
      const userId = userOf(user);
      await members.getMember(roomId, userId);
      raw.set(`${roomId} ${userId}`, Promise.resolve(userId));
    }
  }
  const users = shuffle(Array.from({ length: USERS }, (_, at) => userOf(at)));
  const entriesOf = () => registry.cacheStats()[0]?.entries ?? NaN;
  /** Each room goes once: what is timed is never an empty prefix. */
  const side = (entries: () => number, prepare: Prepare) => {
    const left = shuffle(Array.from({ length: rooms }, (_, at) => roomOf(at)));
    return () => {
      const times: number[] = [];
      for (let done = 0; done < aRound; done += 1) {
        const before = entries();
        const drop = prepare(left.pop() as string);
        const began = performance.now();
        drop();
        times.push(performance.now() - began);
        if (before - entries() !== USERS) throw new Error("not all were there");
      }
      return median(times);
    };
  };
  const all = (rooms * USERS).toLocaleString("en-US");
  return [
    await compete({
      name: `invalidation by prefix of 1,000 entries, of ${all}`,
      unit: "ms",
      against: "lru-cache delete of each",
      goal: "ours ≤ 1.5 ms",
      rounds,
      ours: side(entriesOf, (room) => () => registry.apply(TREE_CACHE, [room])),
      baseline: side(() => raw.size, (room) => {
        const keys = users.map((user) => `${room} ${user}`);
        return () => {
          for (const key of keys) raw.delete(key);
        };
      }),
    }),
  ];
}

type Prepare = (room: string) => () => void;
