/**
 * (c) A transaction with one log row, beside the same write through Kysely
 * alone. One after another.
 *
 * @module
 */

import { join } from "node:path";
import { WriterStore } from "headwater";
import type { Kysely } from "kysely";
import { sharedPostgres } from "../tests/support/postgres.ts";
import { openBareKysely, openBarePostgres } from "./support/bare_kysely.ts";
import { timeWriters } from "./support/load.ts";
import { compete, type Figure } from "./support/measure.ts";
import { createUsers, rename, renameBare } from "./support/rename.ts";
import type { Database } from "./support/store.ts";
import type { Size } from "./main.ts";

/** µs a transaction. */
export async function benchTransactions(size: Size): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const synchronous of ["normal", "full"] as const) {
    const path = (whose: string) =>
      join(size.folder, `${whose}-${synchronous}.db`);
    await using writer = await WriterStore.open<Database>({
      database: `sqlite:${path("ours")}`,
      synchronous,
    });
    const bare = openBareKysely(path("bare"), synchronous);
    const count = synchronous === "normal" ? 10_000 : 1_000;
    figures.push(
      await measure(
        `SQLite, synchronous=${synchronous}`,
        size.isShort ? count / 10 : count,
        size.isShort ? 3 : 9,
        writer,
        bare,
        synchronous === "normal" ? "≤ 1.4" : undefined,
      ),
    );
    await bare.destroy();
  }
  const server = await sharedPostgres();
  await using writer = await WriterStore.open<Database>({
    database: await server.createDatabase(),
  });
  const bare = openBarePostgres(await server.createDatabase(), 1);
  figures.push(
    await measure(
      "PostgreSQL",
      size.isShort ? 150 : 1_500,
      size.isShort ? 3 : 9,
      writer,
      bare,
      "≤ 1.15",
    ),
  );
  await bare.destroy();
  return figures;
}

async function measure(
  where: string,
  count: number,
  rounds: number,
  writer: WriterStore<Database>,
  bare: Kysely<Database>,
  goal: string | undefined,
): Promise<Figure> {
  await writer.transaction("create", ({ db }) => createUsers(db));
  await createUsers(bare);
  const us = async (write: () => Promise<void>) =>
    await timeWriters(1, count, write) * 1_000 / count;
  return await compete({
    name: `transaction with one log row, ${where}`,
    unit: "µs",
    against: "the same write in a bare Kysely transaction",
    goal,
    rounds,
    ours: () => us(() => rename(writer)),
    baseline: () => us(() => renameBare(bare)),
  });
}
