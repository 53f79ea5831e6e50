/**
 * (h) How long the event loop of a writer's process is held up under full load,
 * beside the same load with node:sqlite in the caller's thread.
 *
 * @module
 */

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { WriterStore } from "headwater";
import { sampleDelays } from "./support/delays.ts";
import {
  alternate,
  type Figure,
  nextTurn,
  percentile,
  summarize,
} from "./support/measure.ts";
import { createUsers, nextVersion, rename } from "./support/rename.ts";
import { openBareKysely } from "./support/bare_kysely.ts";
import type { Database } from "./support/store.ts";
import type { Size } from "./main.ts";

const WRITERS = 64;

/** ms that a timer is late, while 64 write as fast as they can. */
export async function benchEventLoop(size: Size): Promise<Figure[]> {
  const path = (whose: string) => join(size.folder, `${whose}-loop.db`);
  await using writer = await WriterStore.open<Database>({
    database: `sqlite:${path("ours")}`,
  });
  await writer.transaction("create", ({ db }) => createUsers(db));
  const bare = openBareKysely(path("bare"), "full");
  await createUsers(bare);
  await bare.destroy();
  const database = new DatabaseSync(path("bare"));
  database.exec("PRAGMA synchronous = full; PRAGMA wal_autocheckpoint = 10000");
  const [begin, update, commit] = [
    "BEGIN IMMEDIATE",
    "UPDATE users SET name = ?, version = ? WHERE id = ?",
    "COMMIT",
  ].map((sql) => database.prepare(sql));
  const write = async () => {
    const version = nextVersion();
    begin?.run();
    update?.run(`name ${version}`, version, version % 1_000);
    commit?.run();
    // As if the next one came with a request.
    await nextTurn();
  };
  const ms = size.isShort ? 250 : 3_000;
  const pairs = await alternate(
    size.isShort ? 3 : 5,
    () => sampleDelays(() => writeFor(ms, () => rename(writer))),
    () => sampleDelays(() => writeFor(ms, write)),
  );
  database.close();
  const shares: [string, number, string?][] = [
    ["p50", 0.5],
    ["p99", 0.99, "ours < 20 ms"],
    ["max", 1],
  ];
  return shares.map(([name, share, goal]) =>
    summarize(
      {
        name: `event loop delay, ${WRITERS} writers, synchronous=full, ${name}`,
        unit: "ms",
        against: "node:sqlite in the caller's thread",
        goal,
      },
      pairs.map(([ours, bare]) => [
        percentile(ours, share),
        percentile(bare, share),
      ]),
    )
  );
}

async function writeFor(
  ms: number,
  write: () => Promise<void>,
): Promise<void> {
  const end = performance.now() + ms;
  await Promise.all(
    Array.from({ length: WRITERS }, async () => {
      while (performance.now() < end) await write();
    }),
  );
}
