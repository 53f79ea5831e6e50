// A projection that adds amounts up, and what it must have come to.

import type { Test } from "tap";
import { HeadwaterError, WriterStore } from "../../mod.ts";
import { openDatabase } from "../../src/database/open_database.ts";
import {
  defineProjection,
  type Projection,
  ProjectionRunner,
  type ProjectionRunnerOptions,
} from "../../src/projections/mod.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { until } from "../support/conditions.ts";

/** What the projection writes. */
export interface Database {
  totals: { type: string; amount: number; events: number; mark?: number };
  marks: { mark: number };
}

/** What a projection's handler is to do wrong, or besides. */
export interface Mood {
  failAt?: number | undefined;
  handling?: ((amount: number, isRebuild: boolean) => void) | undefined;
  seen: number[];
}

/** A failure that is not the event's fault: the database's own word for it. */
export const conflict = (): Error =>
  new HeadwaterError("DATABASE_UNAVAILABLE", "a conflict");

/** Adds up amounts by type; a version adds them up times that version. */
export function totals(
  mood: Mood = { seen: [] },
  options: Partial<Projection<Database>> = {},
): Projection<Database> {
  const { version = 1 } = options;
  return defineProjection<Database>({
    name: "totals",
    tables: ["totals"],
    async create({ db, table }) {
      await db.schema.createTable(table("totals"))
        .addColumn("type", "text", (column) => column.primaryKey())
        .addColumn("amount", "integer", (column) => column.notNull())
        .addColumn("events", "integer", (column) => column.notNull()).execute();
      await db.schema.createIndex(table("ix_totals")).on(table("totals"))
        .column("amount").execute();
    },
    async handle({ type, data }, { db, table }) {
      const { amount } = data as { amount: number };
      mood.seen.push(amount);
      const name = table("totals");
      await db.insertInto(name)
        .values({ type, amount: amount * version, events: 1 })
        .onConflict((conflict) =>
          conflict.column("type").doUpdateSet((eb) => ({
            amount: eb(`${name}.amount`, "+", amount * version),
            events: eb(`${name}.events`, "+", 1),
          }))
        ).execute();
      // After its effects: they must be undone.
      if (amount === mood.failAt) throw new RangeError(`no ${amount}`);
      mood.handling?.(amount, name.length > "totals".length);
    },
    ...options,
  });
}

/** Opens a writer for a test. */
export async function openWriter(
  t: Test,
  database: string,
): Promise<WriterStore<Database>> {
  const writer = await WriterStore.open<Database>({ database });
  t.teardown(() => writer.close());
  return writer;
}

/** Opens a runner for a test. */
export async function openRunner(
  t: Test,
  database: string,
  projection: Projection<Database>,
  options: Partial<ProjectionRunnerOptions<Database>> = {},
): Promise<ProjectionRunner<Database>> {
  const runner = await ProjectionRunner.open<Database>({
    database,
    projections: [projection],
    pollIntervalMs: 10,
    ...options,
  });
  t.teardown(() => runner.close());
  return runner;
}

/** Opens a writer, and a runner that parks an amount after so many tries. */
export async function openFailing(
  t: Test,
  database: string,
  failAt: number,
  maxTries: number,
): Promise<{
  readonly writer: WriterStore<Database>;
  readonly mood: Mood;
  readonly runner: ProjectionRunner<Database>;
}> {
  const writer = await openWriter(t, database);
  const mood: Mood = { seen: [], failAt };
  const runner = await openRunner(t, database, totals(mood), { maxTries });
  return { writer, mood, runner };
}

/** Appends amounts, each in a transaction of its own. */
export async function append(
  writer: WriterStore<Database>,
  from: number,
  to: number,
): Promise<{ token: number }> {
  let commit = { token: 0 };
  for (let amount = from; amount <= to; amount += 1) {
    const type = amount % 2 === 0 ? "even" : "odd";
    commit = await writer.transaction(
      "append",
      (txn) =>
        txn.append(`account:${amount % 5}`, [{ type, data: { amount } }]),
    );
  }
  return commit;
}

/** Amounts and numbers of events, by type. */
export async function read(
  writer: WriterStore<Database>,
): Promise<Record<string, [number, number]>> {
  const { result } = await writer.transaction(
    "read",
    async ({ db }) => await db.selectFrom("totals").selectAll().execute(),
  );
  return Object.fromEntries(
    result.map(({ type, amount, events }) => [type, [amount, events]]),
  );
}

/** What must stand there for the amounts from 1 on. */
export function expected(
  to: number,
  times = 1,
): Record<string, [number, number]> {
  const sums: Record<string, [number, number]> = {};
  for (let amount = 1; amount <= to; amount += 1) {
    const sum = sums[amount % 2 === 0 ? "even" : "odd"] ??= [0, 0];
    sum[0] += amount * times;
    sum[1] += 1;
  }
  return sums;
}

/** Runs statements of the library's, as another process may. */
export async function change(
  database: string,
  ...statements: readonly string[]
): Promise<void> {
  const engine = openDatabase(database, systemClock, {});
  try {
    await engine.transaction("change", async (session) => {
      for (const sql of statements) await session.run(sql, []);
    });
  } finally {
    await engine.close();
  }
}

/** Waits until no tables are being built. */
export async function rebuilt(
  runner: ProjectionRunner<Database>,
): Promise<void> {
  await until(
    "it is rebuilt",
    async () => !(await runner.progress("totals")).isRebuilding,
  );
}
