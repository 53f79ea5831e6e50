/**
 * One writer's rows to a hundred followers, beside writing a ready-made buffer
 * to a hundred sockets.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import process from "node:process";
import type { Token } from "headwater";
import type { LoggedTransaction } from "../src/replication/transaction.ts";
import { type Floor, formatNext, listenFloor } from "./support/floor.ts";
import {
  alternate,
  type Figure,
  nextTurn,
  perSecond,
  summarize,
} from "./support/measure.ts";
import { type Peer, startPeer } from "./support/peer.ts";
import { keyOf } from "./support/store.ts";
import { type BareStreamer, openStreamer } from "./support/streamer.ts";
import type { Size } from "./main.ts";

const FOLLOWERS = 100;
const PROCESSES = 2;
const BATCH = 100;

/** What a round took. */
interface Result {
  /** Rows that arrived in a second, over all followers. */
  readonly deliveries: number;
  /** Of the writing process, a row and follower. */
  readonly cpuNs: number;
}

/** Deliveries a second, and what they cost the writer's process. */
export async function benchFanOut(size: Size): Promise<Figure[]> {
  const batches = size.isShort ? 300 : 1_500;
  const streamer = await openStreamer();
  const floor = await listenFloor();
  const sides = {
    ours: await startFollowers(streamer.url),
    floor: await startFollowers(`tcp://127.0.0.1:${floor.server.port}`),
  };
  const rows = Array.from(
    { length: BATCH },
    (_, key) => `["get_user_by_id",["${keyOf(key)}"],1760000000000]`,
  );
  const ready = makeReady(floor);
  const told = { token: 0 };
  const pairs = await alternate(
    size.isShort ? 3 : 9,
    () =>
      timed(batches, () => sendOurs(streamer, sides.ours, told, rows, batches)),
    () => timed(batches, () => sendReady(floor, sides.floor, ready, batches)),
  );
  for (const peer of [...sides.ours, ...sides.floor]) peer.close();
  await streamer.close();
  floor.server.close();
  const against = `a ready-made buffer to ${FOLLOWERS} sockets`;
  return [
    summarize(
      {
        name: `fan-out to ${FOLLOWERS} followers, batches of ${BATCH}`,
        unit: "deliveries/s",
        against,
        goal: "≥ 0.7",
      },
      pairs.map(([own, other]) => [own.deliveries, other.deliveries]),
    ),
    summarize(
      {
        name: `fan-out to ${FOLLOWERS} followers, the writer's processor`,
        unit: "ns a delivery",
        against,
      },
      pairs.map(([own, other]) => [own.cpuNs, other.cpuNs]),
    ),
  ];
}

function startFollowers(url: string): Promise<Peer[]> {
  return Promise.all(
    Array.from({ length: PROCESSES }, async () => {
      const peer = startPeer("followers");
      await peer.ask({ kind: "connect", url, count: FOLLOWERS / PROCESSES });
      return peer;
    }),
  );
}

async function timed(
  batches: number,
  send: () => Promise<void>,
): Promise<Result> {
  const rows = batches * BATCH * FOLLOWERS;
  const usage = process.cpuUsage();
  const began = performance.now();
  await send();
  const ms = performance.now() - began;
  const { user, system } = process.cpuUsage(usage);
  return {
    deliveries: perSecond(rows, ms),
    cpuNs: (user + system) * 1_000 / rows,
  };
}

/** Rows that are committed already, as the writer's store gives them. */
async function sendOurs(
  streamer: BareStreamer,
  followers: readonly Peer[],
  told: { token: number },
  rows: readonly string[],
  batches: number,
): Promise<void> {
  for (let batch = 0; batch < batches; batch += 1) {
    told.token += 1;
    const token = told.token as Token;
    const record = { token, stream: "caches", lines: rows };
    const transaction: LoggedTransaction = {
      instance: "master",
      token,
      records: [record],
    };
    streamer.publish(transaction);
    await nextTurn();
    if (batch % IN_FLIGHT === IN_FLIGHT - 1) await reached(followers, token);
  }
  await reached(followers, told.token);
}

/** As many bytes; the last ones tell the token. */
async function sendReady(
  floor: Floor,
  followers: readonly Peer[],
  ready: Buffer,
  batches: number,
): Promise<void> {
  for (let batch = 0; batch < batches; batch += 1) {
    for (const socket of floor.server.sockets()) socket.write(ready);
    await nextTurn();
    if (batch % IN_FLIGHT === IN_FLIGHT - 1) {
      await reached(followers, mark(floor));
    }
  }
  await reached(followers, mark(floor));
}

/** Batches on their way: far fewer bytes than a reader may be behind. */
const IN_FLIGHT = 100;

async function reached(
  followers: readonly Peer[],
  token: number,
): Promise<void> {
  await Promise.all(followers.map((peer) => peer.ask({ kind: "wait", token })));
}

/** A POSITION, so that readers can tell that all has come. */
function mark(floor: Floor): number {
  floor.token += 1;
  const { token } = floor;
  const line = Buffer.from(`POSITION caches master ${token} ${token}\n`);
  for (const socket of floor.server.sockets()) socket.write(line);
  return token;
}

function makeReady(floor: Floor): Buffer {
  const keys = Array.from({ length: BATCH }, (_, key) => keyOf(key));
  return Buffer.from(formatNext(floor, keys));
}
