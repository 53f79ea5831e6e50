/**
 * (h) How long the event loop of a writer's process is held up under full load,
 * beside the same load with node:sqlite in the caller's thread, and on another.
 *
 * @module
 */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { WriterStore } from "headwater";
import { sampleDelays } from "./support/delays.ts";
import {
  alternate,
  type Figure,
  nextTurn,
  percentile,
  perSecond,
  summarize,
} from "./support/measure.ts";
import { createUsers, nextVersion, rename } from "./support/rename.ts";
import { openBareKysely } from "./support/bare_kysely.ts";
import { openThread } from "./support/sqlite_thread.ts";
import type { Database } from "./support/store.ts";
import type { Size } from "./main.ts";

const WRITERS = 64;

const STATEMENTS = [
  "BEGIN IMMEDIATE",
  "UPDATE users SET name = ?, version = ? WHERE id = ?",
  "COMMIT",
] as const;

/** ms that a timer is late, while 64 write as fast as they can; and how fast that is. */
export async function benchEventLoop(size: Size): Promise<Figure[]> {
  const path = (whose: string) => join(size.folder, `${whose}-loop.db`);
  await using writer = await WriterStore.open<Database>({
    database: `sqlite:${path("ours")}`,
  });
  await writer.transaction("create", ({ db }) => createUsers(db));
  const figures: Figure[] = [];
  for (
    const [against, open] of [
      ["node:sqlite in the caller's thread", openHere],
      ["node:sqlite on a thread of its own, a message a statement", openThere],
    ] as const
  ) {
    const bare = openBareKysely(path("bare"), "full");
    await createUsers(bare);
    await bare.destroy();
    const other = open(path("bare"));
    figures.push(...await measure(size, against, writer, other.write));
    await other.close();
    rmSync(path("bare"));
  }
  return figures;
}

async function measure(
  size: Size,
  against: string,
  writer: WriterStore<Database>,
  write: () => Promise<void>,
): Promise<Figure[]> {
  const ms = size.isShort ? 250 : 3_000;
  const sample = async (write: () => Promise<void>) => {
    let count = 0;
    const delays = await sampleDelays(async () => {
      count = await writeFor(ms, write);
    });
    return { delays, rate: perSecond(count, ms) };
  };
  const pairs = await alternate(
    size.isShort ? 3 : 5,
    () => sample(() => rename(writer)),
    () => sample(write),
  );
  const about = `${WRITERS} writers, SQLite, synchronous=full`;
  const shares: [string, number, string?][] = [
    ["p50", 0.5],
    ["p99", 0.99, "ours < 20 ms"],
    ["max", 1],
  ];
  return [
    ...shares.map(([name, share, goal]) =>
      summarize(
        {
          name: `event loop delay, ${about}, ${name}`,
          unit: "ms",
          against,
          goal,
        },
        pairs.map(([ours, other]) => [
          percentile(ours.delays, share),
          percentile(other.delays, share),
        ]),
      )
    ),
    summarize(
      { name: `meanwhile, ${about}`, unit: "transactions/s", against },
      pairs.map(([ours, other]) => [ours.rate, other.rate]),
    ),
  ];
}

/** Another way to write, without a log. */
interface Other {
  readonly write: () => Promise<void>;
  readonly close: () => Promise<unknown>;
}

function openHere(path: string): Other {
  const database = new DatabaseSync(path);
  database.exec("PRAGMA synchronous = full; PRAGMA wal_autocheckpoint = 10000");
  const [begin, update, commit] = STATEMENTS.map((sql) =>
    database.prepare(sql)
  );
  return {
    async write() {
      const version = nextVersion();
      begin?.run();
      update?.run(`name ${version}`, version, version % 1_000);
      commit?.run();
      // As if the next one came with a request.
      await nextTurn();
    },
    close: () => Promise.resolve(database.close()),
  };
}

/** One transaction at a time, as there is one connection. */
function openThere(path: string): Other {
  const thread = openThread(path);
  const [begin, update, commit] = STATEMENTS;
  let last = Promise.resolve();
  const write = async () => {
    const version = nextVersion();
    await thread.run(begin, []);
    await thread.run(update, [`name ${version}`, version, version % 1_000]);
    await thread.run(commit, []);
  };
  return {
    write: () => last = last.then(write),
    close: thread.close,
  };
}

/** Gives how often it was written. */
async function writeFor(
  ms: number,
  write: () => Promise<void>,
): Promise<number> {
  const end = performance.now() + ms;
  let count = 0;
  await Promise.all(
    Array.from({ length: WRITERS }, async () => {
      for (; performance.now() < end; count += 1) await write();
    }),
  );
  return count;
}
