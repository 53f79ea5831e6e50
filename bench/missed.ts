/**
 * A reader that has missed a million invalidations: how long until it is
 * right, and what that takes.
 *
 * @module
 */

import { join } from "node:path";
import { type Token, WriterStore } from "headwater";
import { sharedPostgres } from "../tests/support/postgres.ts";
import type { Woken } from "./peers/sleeper.ts";
import { timeWriters } from "./support/load.ts";
import { alternate, type Figure, summarize } from "./support/measure.ts";
import { type Peer, startPeer } from "./support/peer.ts";
import { type Database, keyOf } from "./support/store.ts";
import type { Size } from "./main.ts";

const BATCH = 100;
const HELD_KEYS = 100_000;
const MAX_GROWTH_MIB = 128;

/** Where, and how quick it is to be. */
interface Place {
  readonly where: string;
  readonly goalS: number;
  readonly createDatabase: () => Promise<string>;
}

/** Seconds from the reader's waking to its having applied everything; MiB meanwhile. */
export async function benchMissed(size: Size): Promise<Figure[]> {
  const server = await sharedPostgres();
  let files = 0;
  const sqlite = () => {
    files += 1;
    return Promise.resolve(
      `sqlite:${join(size.folder, `missed-${files}.db`)}`,
    );
  };
  return [
    ...await measure(size, {
      where: "SQLite",
      goalS: 1.5,
      createDatabase: sqlite,
    }),
    ...await measure(size, {
      where: "PostgreSQL",
      goalS: 4,
      createDatabase: () => server.createDatabase(),
    }),
  ];
}

async function measure(size: Size, place: Place): Promise<Figure[]> {
  const { where, goalS, createDatabase } = place;
  const rows = size.isShort ? 100_000 : 1_000_000;
  const filled = { url: await createDatabase(), token: 0 };
  filled.token = await writeMissed(filled.url, rows);
  const pairs = await alternate(
    size.isShort ? 3 : 5,
    async () => await miss(await createDatabase(), rows),
    () => readByHand(filled.url, filled.token),
  );
  const against = "the driver's pages, split and deleted by hand";
  const name = `${rows.toLocaleString("en-US")} missed, ${where}`;
  return [
    summarize(
      {
        name: `${name}, until right`,
        unit: "s",
        against,
        goal: `ours ≤ ${goalS}`,
      },
      pairs.map(([own, other]) => [own.seconds, other.seconds]),
    ),
    summarize(
      {
        name: `${name}, memory above base`,
        unit: "MiB",
        against,
        goal: `ours ≤ ${MAX_GROWTH_MIB}`,
      },
      pairs.map(([own, other]) => [own.growthMiB, other.growthMiB]),
    ),
  ];
}

/** What it took. */
interface Result {
  readonly seconds: number;
  readonly growthMiB: number;
}

/** The reader is stopped, as if its machine had slept; its writer goes and comes back. */
async function miss(database: string, rows: number): Promise<Result> {
  const first = await open(database, "tcp://127.0.0.1:0");
  const { url } = first;
  const sleeper = startPeer("sleeper");
  await sleeper.ask({ kind: "open", database, url, keys: HELD_KEYS });
  sleeper.signal("SIGSTOP");
  await first.close();
  const token = await writeMissed(database, rows);
  await using _second = await open(database, url);
  const began = performance.now();
  sleeper.signal("SIGCONT");
  return await woken(sleeper, token, began);
}

async function readByHand(database: string, token: number): Promise<Result> {
  const sleeper = startPeer("sleeper");
  await sleeper.ask({ kind: "open", database, keys: HELD_KEYS });
  return await woken(sleeper, token, performance.now());
}

async function woken(
  sleeper: Peer,
  token: number,
  began: number,
): Promise<Result> {
  const { left, growthMiB } = await sleeper.ask<Woken>({ kind: "wait", token });
  const seconds = (performance.now() - began) / 1_000;
  sleeper.close();
  if (left !== 0) throw new Error(`${left} keys were left in the cache`);
  return { seconds, growthMiB };
}

function open(
  database: string,
  listen: string | undefined,
): Promise<WriterStore<Database>> {
  return WriterStore.open<Database>({
    database,
    listen,
    synchronous: "normal",
  });
}

/** Every key once, those that the reader holds among them. */
async function writeMissed(
  database: string,
  rows: number,
): Promise<Token> {
  await using writer = await open(database, undefined);
  let row = 0;
  await timeWriters(16, rows / BATCH, async () => {
    const from = row;
    row += BATCH;
    await writer.transaction("invalidate", (txn) => {
      for (let key = from; key < from + BATCH; key += 1) {
        txn.invalidate("get_user_by_id", [keyOf(key)]);
      }
      return Promise.resolve();
    });
  });
  return writer.position.get(writer.instance) as Token;
}
