// The application that the tests of conflicts write: accounts, and traces of
// each run of a transaction.

import { sql } from "kysely";
import type { Test } from "tap";
import {
  WriterStore,
  type WriterStoreOptions,
  type WriterTransaction,
} from "../../mod.ts";
import { postgresDatabase, sharedPostgres } from "../support/postgres.ts";

/** Its tables. */
export interface Accounts {
  accounts: { id: number; amount: number };
}
/** Its writer. */
export type Writer = WriterStore<Accounts>;
/** Its transactions. */
export type Txn = WriterTransaction<Accounts>;

/** The accounts there are, and what is on each. */
export const ACCOUNTS = [1, 2, 3, 4];
export const START_AMOUNT = 100;

/** A database of accounts, whose deadlocks are found soon, and a writer store. */
export async function openAccounts(
  t: Test,
  options: Partial<WriterStoreOptions> = {},
): Promise<{ database: string; writer: Writer }> {
  const database = await postgresDatabase(t);
  const server = await sharedPostgres();
  const name = new URL(database).pathname.slice(1);
  await server.run(`ALTER DATABASE ${name} SET deadlock_timeout = '10ms'`);
  const writer = await openWriter(t, database, options);
  await writer.transaction("create", async ({ db }) => {
    await sql`CREATE TABLE accounts (id int PRIMARY KEY, amount int NOT NULL)`
      .execute(db);
    await db.insertInto("accounts")
      .values(ACCOUNTS.map((id) => ({ id, amount: START_AMOUNT }))).execute();
  });
  return { database, writer };
}

/** Opens a writer store; it is closed with the test. */
export async function openWriter(
  t: Test,
  database: string,
  options: Partial<WriterStoreOptions> = {},
): Promise<Writer> {
  const writer = await WriterStore.open<Accounts>({ database, ...options });
  t.teardown(() => writer.close());
  return writer;
}

/** An amount, as the transaction sees it. */
export async function amountOf(
  { db }: Pick<Txn, "db">,
  id: number,
): Promise<number> {
  const { amount } = await db.selectFrom("accounts").select("amount")
    .where("id", "=", id).executeTakeFirstOrThrow();
  return amount;
}

/** Sets an amount, which may have been read before. */
export async function setAmount(
  { db }: Pick<Txn, "db">,
  id: number,
  amount: number,
): Promise<void> {
  await db.updateTable("accounts").set({ amount }).where("id", "=", id)
    .execute();
}

/** Leaves something everywhere, to be found if a run that failed is not quite gone. */
export async function leaveTraces(txn: Txn, calls: string[]): Promise<void> {
  const { attempt } = txn;
  calls.push(`run ${attempt}`);
  txn.afterCommit(() => calls.push(`committed ${attempt}`));
  txn.afterRollback(() => calls.push(`rolled back ${attempt}`));
  txn.invalidate("getAmount", [attempt]);
  await txn.append("traces", [{ type: "run", data: attempt }]);
}

/** What is left of all runs: the attempts that events and invalidations name. */
export async function readTraces(
  writer: Writer,
): Promise<{ events: unknown[]; keys: unknown[] }> {
  const events: unknown[] = [];
  for await (const { data } of writer.readAggregate("traces")) {
    events.push(data);
  }
  const { rows } = await writer.readRows<[string, [number] | null, number]>(
    "caches",
  );
  const keys = rows.map(([, row]) => row[1]);
  return { events, keys };
}

/** Changes an amount in the database, whatever it is. */
export async function add(
  { db }: Txn,
  id: number,
  amount: number,
): Promise<void> {
  await db.updateTable("accounts")
    .set((eb) => ({ amount: eb("amount", "+", amount) }))
    .where("id", "=", id).execute();
}

/** An amount, as everybody sees it now. */
export async function readAmount(writer: Writer, id: number): Promise<number> {
  const { result } = await writer.transaction(
    "look",
    (txn) => amountOf(txn, id),
  );
  return result;
}
