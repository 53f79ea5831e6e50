/**
 * (d) From the commit to its application in another process, beside
 * the floor's way there, and a raw TCP ping-pong's.
 *
 * @module
 */

import { join } from "node:path";
import { type Token, WriterStore } from "headwater";
import { offsetOf, type Ping, ping } from "./support/clock_offset.ts";
import { type Floor, formatNext, listenFloor } from "./support/floor.ts";
import { type Figure, percentile, summarize } from "./support/measure.ts";
import { type Peer, startPeer } from "./support/peer.ts";
import { type BareServer, listenBare } from "./support/server.ts";
import type { Database } from "./support/store.ts";
import type { Size } from "./main.ts";

const PACE_MS = 3;

/** What is measured, and the other process. */
interface Sides {
  readonly writer: WriterStore<Database>;
  readonly floor: Floor;
  readonly echo: BareServer;
  readonly peer: Peer;
}

/** What one round took, each in µs. */
interface Round {
  readonly ours: readonly number[];
  readonly floor: readonly number[];
  readonly ways: readonly number[];
}

/** µs, paced, in turn. */
export async function benchLatency(size: Size): Promise<Figure[]> {
  const database = `sqlite:${join(size.folder, "latency.db")}`;
  await using writer = await WriterStore.open<Database>({
    database,
    listen: "tcp://127.0.0.1:0",
    synchronous: "normal",
  });
  const floor = await listenFloor();
  const echo = await listenBare();
  const peer = startPeer("clock");
  await peer.ask({
    kind: "open",
    database,
    url: writer.url,
    echoPort: echo.port,
    floorPort: floor.server.port,
  });
  const rounds: Round[] = [];
  for (let round = 0; round < (size.isShort ? 3 : 9); round += 1) {
    rounds.push(
      await measure({ writer, floor, echo, peer }, size.isShort ? 100 : 300),
    );
  }
  peer.close();
  echo.close();
  floor.server.close();
  return [0.5, 0.99].flatMap((share) => toFigures(share, rounds));
}

function toFigures(share: number, rounds: readonly Round[]): Figure[] {
  const at = (values: readonly number[]) => percentile(values, share);
  const name = `commit to applied, p${share * 100}`;
  return [
    summarize(
      {
        name,
        unit: "µs",
        against: "the same line by hand, without a database, paced alike",
        goal: share === 0.5 ? "≤ 2" : "≤ 3",
      },
      rounds.map(({ ours, floor }) => [at(ours), at(floor)]),
    ),
    summarize(
      {
        name: `${name} (beside a ping)`,
        unit: "µs",
        against: "half a raw TCP round trip, paced alike",
      },
      rounds.map(({ ours, ways }) => [at(ours), at(ways)]),
    ),
  ];
}

/** The three take turns, so that none has a quieter machine than another. */
async function measure(
  { writer, floor, echo, peer }: Sides,
  count: number,
): Promise<Round> {
  const pings: Ping[] = [];
  const committed = new Map<number, number>();
  const sent = new Map<number, number>();
  for (let index = 0; index < count; index += 1) {
    const key = `@user${index}:example.com`;
    pings.push(await ping(echo.socket()));
    await pace();
    let committedMs = NaN;
    const { token } = await writer.transaction("invalidate", (txn) => {
      txn.invalidate("get_user_by_id", [key]);
      // Readers may have it before its caller's turn comes.
      txn.afterCommit(() => committedMs = performance.now());
      return Promise.resolve();
    });
    committed.set(token, committedMs);
    await pace();
    const beganMs = performance.now();
    floor.server.socket().write(formatNext(floor, [key]));
    sent.set(floor.token, beganMs);
    await pace();
  }
  const applied = await peer.ask<Applied>({
    kind: "times",
    token: Math.max(...committed.keys()) as Token,
  });
  const offsetMs = offsetOf(pings);
  return {
    ours: delays(committed, applied.ours, offsetMs),
    floor: delays(sent, applied.floor, offsetMs),
    ways: pings.map(({ roundTripMs }) => roundTripMs / 2 * 1_000),
  };
}

/** When each token was applied, on the other clock. */
interface Applied {
  readonly ours: readonly [number, number][];
  readonly floor: readonly [number, number][];
}

function delays(
  begun: ReadonlyMap<number, number>,
  applied: readonly [number, number][],
  offsetMs: number,
): number[] {
  return applied.map(([token, appliedMs]) =>
    (appliedMs - offsetMs - (begun.get(token) ?? NaN)) * 1_000
  );
}

function pace(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PACE_MS));
}
