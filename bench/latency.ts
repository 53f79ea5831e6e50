/**
 * (d) From the commit's return to its application in another process, beside a
 * raw TCP ping-pong's way there.
 *
 * @module
 */

import type { Socket } from "node:net";
import { join } from "node:path";
import { type Token, WriterStore } from "headwater";
import { type Figure, percentile } from "./support/measure.ts";
import { startPeer } from "./support/peer.ts";
import { listenBare } from "./support/server.ts";
import type { Database } from "./support/store.ts";
import type { Size } from "./main.ts";

const PACE_MS = 3;

/** One way there and back. */
interface Ping {
  readonly roundTripMs: number;
  /** The other clock's time, less this one's in the middle of the way. */
  readonly offsetMs: number;
}

/** µs, paced, in the same rounds. */
export async function benchLatency(size: Size): Promise<Figure[]> {
  const database = `sqlite:${join(size.folder, "latency.db")}`;
  await using writer = await WriterStore.open<Database>({
    database,
    listen: "tcp://127.0.0.1:0",
    synchronous: "normal",
  });
  const echo = await listenBare();
  const peer = startPeer("clock");
  await peer.ask({
    kind: "open",
    database,
    url: writer.url,
    echoPort: echo.port,
  });
  const rounds = size.isShort ? 3 : 9;
  const count = size.isShort ? 100 : 300;
  const waysUs: number[][] = [];
  const delaysUs: number[][] = [];
  for (let round = 0; round < rounds; round += 1) {
    const pings = await pingPaced(echo.socket(), count);
    // Two processes' clocks share no zero. The quickest round trip tells the
    // distance between them best: half of it is the most it can be wrong by.
    const [best] = pings.toSorted((a, b) => a.roundTripMs - b.roundTripMs);
    const offsetMs = best?.offsetMs ?? NaN;
    const committed = await commitPaced(writer, count);
    const token = Math.max(...committed.keys());
    const applied = await peer.ask<[number, number][]>({
      kind: "times",
      token,
    });
    waysUs.push(pings.map(({ roundTripMs }) => roundTripMs / 2 * 1_000));
    delaysUs.push(
      applied.map(([token, appliedMs]) =>
        (appliedMs - offsetMs - (committed.get(token as Token) ?? NaN)) * 1_000
      ),
    );
  }
  peer.close();
  echo.close();
  return [0.5, 0.99].map((share) => toFigure(share, delaysUs, waysUs));
}

function toFigure(
  share: number,
  delaysUs: readonly number[][],
  waysUs: readonly number[][],
): Figure {
  const ratios = delaysUs.map((delays, round) =>
    percentile(delays, share) / percentile(waysUs[round] ?? [], share)
  );
  return {
    name: `commit to applied, p${share * 100}`,
    unit: "µs",
    against: "half a raw TCP round trip, paced alike",
    ours: percentile(delaysUs.map((delays) => percentile(delays, share)), 0.5),
    baseline: percentile(waysUs.map((ways) => percentile(ways, share)), 0.5),
    ratio: percentile(ratios, 0.5),
    ratioMin: Math.min(...ratios),
    ratioMax: Math.max(...ratios),
  };
}

/** Token → when its commit returned. */
async function commitPaced(
  writer: WriterStore<Database>,
  count: number,
): Promise<Map<Token, number>> {
  const committed = new Map<Token, number>();
  for (let index = 0; index < count; index += 1) {
    const { token } = await writer.transaction("invalidate", (txn) => {
      txn.invalidate("get_user_by_id", [`@user${index}:example.com`]);
      return Promise.resolve();
    });
    committed.set(token, performance.now());
    await pace();
  }
  return committed;
}

async function pingPaced(socket: Socket, count: number): Promise<Ping[]> {
  const pings: Ping[] = [];
  for (let index = 0; index < count; index += 1) {
    const sentMs = performance.now();
    socket.write("?");
    const text = await new Promise<string>((resolve) =>
      socket.once("data", (chunk) => resolve(String(chunk)))
    );
    const backMs = performance.now();
    const roundTripMs = backMs - sentMs;
    const offsetMs = Number(text) - (sentMs + roundTripMs / 2);
    pings.push({ roundTripMs, offsetMs });
    await pace();
  }
  return pings;
}

function pace(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PACE_MS));
}
