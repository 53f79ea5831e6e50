/**
 * (b) A cached hit, beside `lru-cache` by itself: of one argument and of two,
 * at ten thousand keys and at a million.
 *
 * @module
 */

import { WriterStore } from "headwater";
import { LRUCache } from "lru-cache";
import {
  MAX_ENTRIES,
  Members,
  roomOf,
  shuffle,
  userOf,
} from "./support/cached_store.ts";
import { awaitedTimer, type Call, hitTimer } from "./support/loops.ts";
import { compete, type Figure, type Subject } from "./support/measure.ts";
import type { Database } from "./support/store.ts";
import type { Size } from "./main.ts";

/** How much is asked of a cache of so many keys. */
interface Scale {
  readonly keys: number;
  readonly rounds: number;
  readonly hits: number;
}

/** Ns a hit: the promise returned, and the promise awaited. */
export async function benchCachedHit(size: Size): Promise<Figure[]> {
  const scales: Scale[] = size.isShort
    ? [
      { keys: 10_000, rounds: 5, hits: 200_000 },
      { keys: 90_000, rounds: 3, hits: 200_000 },
    ]
    : [
      { keys: 10_000, rounds: 15, hits: 1_000_000 },
      { keys: 1_000_000, rounds: 7, hits: 300_000 },
    ];
  const figures: Figure[] = [];
  for (const scale of scales) {
    figures.push(...await benchOneArgument(scale));
    figures.push(...await benchTwoArguments(scale));
  }
  return figures;
}

type Hit = Promise<string> | undefined;

async function benchOneArgument(scale: Scale): Promise<Figure[]> {
  await using writer = await openWriter();
  const members = writer.attach(Members);
  const raw = new LRUCache<string, Promise<string>>({ max: MAX_ENTRIES });
  for (let key = 0; key < scale.keys; key += 1) {
    const kept = userOf(key);
    raw.set(kept, Promise.resolve(kept));
    await members.getUser(kept);
  }
  // Others' strings than those stored, as they come with requests.
  const lists: [string[]] = [
    shuffle(Array.from({ length: scale.keys }, (_, key) => userOf(key))),
  ];
  const ours = (key: string): Hit => members.getUser(key);
  const get = (key: string): Hit => raw.get(key);
  return [
    await race(scale, lists, ours, get, {
      name: "cached hit, before the await",
      against: "lru-cache get",
      goal: "≤ 1.25",
    }),
    await raceAwaited(scale, lists, ours, get, {
      name: "cached hit, awaited",
      against: "lru-cache get of a promise, awaited",
      goal: "≤ 1.1",
    }),
  ];
}

async function benchTwoArguments(scale: Scale): Promise<Figure[]> {
  await using writer = await openWriter();
  const members = writer.attach(Members);
  const json = new LRUCache<string, Promise<string>>({ max: MAX_ENTRIES });
  const nested = new Map<string, Map<string, Promise<string>>>();
  const side = Math.sqrt(scale.keys);
  const rooms = Array.from({ length: side }, (_, room) => roomOf(room));
  const users = Array.from({ length: side }, (_, user) => userOf(user));
  for (const room of rooms) {
    const inner = new Map<string, Promise<string>>();
    nested.set(room, inner);
    for (const user of users) {
      json.set(jsonKey(room, user), Promise.resolve(user));
      inner.set(user, Promise.resolve(user));
      await members.getMember(room, user);
    }
  }
  const pairs = shuffle(
    Array.from({ length: side * side }, (_, at) =>
      [
        roomOf(Math.floor(at / side)),
        userOf(at % side),
      ] as const),
  );
  const lists: [string[], string[]] = [
    pairs.map(([room]) => room),
    pairs.map(([, user]) => user),
  ];
  const ours = (room: string, user: string): Hit =>
    members.getMember(room, user);
  return [
    await race(
      scale,
      lists,
      ours,
      (room: string, user: string): Hit => json.get(jsonKey(room, user)),
      {
        name: "cached hit of two arguments",
        against: "lru-cache get by a JSON key",
        goal: "≤ 0.5",
      },
    ),
    await race(
      scale,
      lists,
      ours,
      (room: string, user: string): Hit => nested.get(room)?.get(user),
      {
        name: "cached hit of two arguments",
        against: "maps in a map, without a bound",
      },
    ),
  ];
}

type Lists<Keys extends readonly unknown[]> = Parameters<
  ReturnType<typeof hitTimer<Keys>>
>[1];

function race<Keys extends readonly string[]>(
  scale: Scale,
  lists: Lists<Keys>,
  ours: Call<Keys, Hit>,
  baseline: Call<Keys, Hit>,
  subject: Omit<Subject, "unit">,
): Promise<Figure> {
  const [timeOurs, timeBaseline] = [hitTimer(ours), hitTimer(baseline)];
  return compete({
    ...named(subject, scale),
    rounds: scale.rounds,
    ours: () => timeOurs(scale.hits, lists, ours),
    baseline: () => timeBaseline(scale.hits, lists, baseline),
  });
}

function raceAwaited<Keys extends readonly string[]>(
  scale: Scale,
  lists: Lists<Keys>,
  ours: Call<Keys, Hit>,
  baseline: Call<Keys, Hit>,
  subject: Omit<Subject, "unit">,
): Promise<Figure> {
  const [timeOurs, timeBaseline] = [awaitedTimer(ours), awaitedTimer(baseline)];
  const hits = Math.ceil(scale.hits / 2);
  return compete({
    ...named(subject, scale),
    rounds: scale.rounds,
    ours: () => timeOurs(hits, lists, ours),
    baseline: () => timeBaseline(hits, lists, baseline),
  });
}

function named(subject: Omit<Subject, "unit">, scale: Scale): Subject {
  const keys = scale.keys.toLocaleString("en-US");
  return { ...subject, name: `${subject.name}, ${keys} keys`, unit: "ns" };
}

function openWriter(): Promise<WriterStore<Database>> {
  return WriterStore.open<Database>({ database: "sqlite::memory:" });
}

function jsonKey(...args: readonly string[]): string {
  return JSON.stringify(args);
}
