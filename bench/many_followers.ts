/**
 * A thousand followers on one writer, of which one hangs: what it costs the
 * writer's memory and the others' delay.
 *
 * @module
 */

import { join } from "node:path";
import process from "node:process";
import { type Token, WriterStore } from "headwater";
import { offsetOf, type Ping, ping } from "./support/clock_offset.ts";
import { type Figure, percentile, summarize } from "./support/measure.ts";
import { type Peer, startPeer } from "./support/peer.ts";
import { type BareServer, listenBare } from "./support/server.ts";
import { type Database, keyOf } from "./support/store.ts";
import type { Size } from "./main.ts";

const PROCESSES = 2;
const BATCH = 100;
/** Bytes that may wait for the one that hangs, so that it need not take long. */
const MAX_OUTBOX_BYTES = 2 * 1024 * 1024;
const SILENCE_TIMEOUT_MS = 600_000;
/** Of a round, until the one that hangs is dropped. */
const MAX_TRANSACTIONS = 20_000;
const MEBIBYTE = 1024 * 1024;

/** A writer and its followers. */
interface Scene {
  readonly writer: WriterStore<Database>;
  readonly crowd: readonly Member[];
  readonly followers: number;
  readonly transactions: number;
}

/** A process of many followers, and a connection that tells its clock. */
interface Member {
  readonly peer: Peer;
  readonly echo: BareServer;
}

/** What one round was like. */
interface Round {
  readonly p99Ms: number;
  readonly growthMiB: number;
}

/** The others' delay and the writer's memory, with one that hangs beside without. */
export async function benchManyFollowers(size: Size): Promise<Figure[]> {
  const followers = size.isShort ? 200 : 1_000;
  const database = `sqlite:${join(size.folder, "many-followers.db")}`;
  await using writer = await WriterStore.open<Database>({
    database,
    listen: "tcp://127.0.0.1:0",
    synchronous: "normal",
    maxOutboxBytes: MAX_OUTBOX_BYTES,
    // It is to be dropped for what waits for it, not for being silent.
    silenceTimeoutMs: SILENCE_TIMEOUT_MS,
  });
  const { url } = writer;
  const crowd = await Promise.all(
    Array.from({ length: PROCESSES }, async () => {
      const peer = startPeer("followers");
      const echo = await listenBare();
      const count = followers / PROCESSES;
      await peer.ask({ kind: "connect", url, count, echoPort: echo.port });
      return { peer, echo };
    }),
  );
  const scene = { writer, crowd, followers, transactions: 1_000 };
  const hanging = startPeer("reader");
  await hanging.ask({ kind: "ours", database, url });
  // One to warm up.
  await load(scene);
  const pairs: [Round, Round][] = [];
  for (let round = 0; round < (size.isShort ? 1 : 3); round += 1) {
    // In turn, so that neither always finds the machine as the other left it.
    const before = round % 2 === 0 ? await load(scene) : undefined;
    const own = await loadWithHanging(scene, hanging);
    pairs.push([own, before ?? await load(scene)]);
  }
  hanging.close();
  for (const { peer, echo } of crowd) {
    peer.close();
    echo.close();
  }
  const name = `${followers.toLocaleString("en-US")} followers, one hangs`;
  const against = "without it";
  return [
    summarize(
      { name: `${name}: the others' p99`, unit: "ms", against, goal: "≤ 2" },
      pairs.map(([own, other]) => [own.p99Ms, other.p99Ms]),
    ),
    summarize(
      {
        name: `${name}: the writer's memory above base`,
        unit: "MiB",
        against,
        goal: "ours ≤ 64",
      },
      pairs.map(([own, other]) => [own.growthMiB, other.growthMiB]),
    ),
  ];
}

/** It is stopped in the middle of things, must be dropped, and be right later. */
async function loadWithHanging(scene: Scene, hanging: Peer): Promise<Round> {
  const { writer, followers } = scene;
  const { laggards } = writer.stats;
  await hanging.ask({ kind: "fill", keys: BATCH });
  hanging.signal("SIGSTOP");
  const hasDropped = () => writer.stats.laggards > laggards;
  const round = await load(scene, hasDropped);
  const dropped = writer.stats.laggards - laggards;
  if (dropped !== 1) throw new Error(`${dropped} readers were dropped, not 1`);
  hanging.signal("SIGCONT");
  const token = writer.position.get(writer.instance);
  const left = await hanging.ask({ kind: "wait", token });
  if (left !== 0) throw new Error(`${left} keys were left in the cache`);
  const { connections } = writer.stats;
  if (connections < followers) {
    throw new Error(`${followers - connections} others were dropped, too`);
  }
  return round;
}

/**
 * Writes as quickly as the followers take it, and gives them a rest in between.
 *
 * @param isDone What else must be, before it ends: what the kernel holds for a
 *   reader that hangs differs from one to the next.
 */
async function load(
  scene: Scene,
  isDone: () => boolean = () => true,
): Promise<Round> {
  const { writer, crowd, transactions } = scene;
  const baseBytes = process.memoryUsage.rss();
  let mostBytes = baseBytes;
  const committed = new Map<number, number>();
  const delaysMs: number[] = [];
  for (
    let index = 0;
    index < transactions || (!isDone() && index < MAX_TRANSACTIONS);
    index += 1
  ) {
    const [token, ms] = await invalidate(writer);
    committed.set(token, ms);
    mostBytes = Math.max(mostBytes, process.memoryUsage.rss());
    if (index % 10 !== 9) continue;
    const all = await Promise.all(
      crowd.map((member) => collect(member, token, committed)),
    );
    for (const delays of all) delaysMs.push(...delays);
    committed.clear();
  }
  return {
    p99Ms: percentile(delaysMs, 0.99),
    growthMiB: (mostBytes - baseBytes) / MEBIBYTE,
  };
}

async function invalidate(
  writer: WriterStore<Database>,
): Promise<[Token, number]> {
  let committedMs = NaN;
  const { token } = await writer.transaction("invalidate", (txn) => {
    for (let key = 0; key < BATCH; key += 1) {
      txn.invalidate("get_user_by_id", [keyOf(key)]);
    }
    txn.afterCommit(() => committedMs = performance.now());
    return Promise.resolve();
  });
  return [token, committedMs];
}

/** From each commit to its arrival at each follower of a process. */
async function collect(
  { peer, echo }: Member,
  token: Token,
  committed: ReadonlyMap<number, number>,
): Promise<number[]> {
  const arrivals = await peer.ask<[number, number][]>({
    kind: "arrivals",
    token,
  });
  const pings: Ping[] = [await ping(echo.socket()), await ping(echo.socket())];
  const offsetMs = offsetOf(pings);
  return arrivals.map(([token, arrivedMs]) =>
    arrivedMs - offsetMs - (committed.get(token) ?? NaN)
  );
}
