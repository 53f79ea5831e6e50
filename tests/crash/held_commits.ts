// Commits that PostgreSQL holds back for as long as the test likes: a deferred
// trigger on the log runs within COMMIT, when the token has been taken for
// long, and waits for a lock that the test holds.

import postgres from "postgres";
import type { Test } from "tap";
import type { Commit, WriterStore } from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { sharedPostgres } from "../support/postgres.ts";
import type { TestDatabase } from "../support/stores.ts";

/** An aggregate of this name has its transaction's commit held back. */
export const HELD = "held";

/** Likewise; and it is rolled back then. */
export const HELD_AND_FAILING = "held and failing";

const LOCK = 823;
const TRIGGER = `
  CREATE FUNCTION hold_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_advisory_xact_lock_shared(${LOCK});
    IF new.body LIKE '["${HELD_AND_FAILING}"%' THEN
      RAISE EXCEPTION 'failed in its commit';
    END IF;
    RETURN NULL;
  END $$;
  CREATE CONSTRAINT TRIGGER hold_back AFTER INSERT ON headwater_log
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (new.body LIKE '["${HELD}%') EXECUTE FUNCTION hold_back()`;
const WAITERS = `SELECT pid FROM pg_locks WHERE locktype = 'advisory'
  AND NOT granted AND database =`;
const WAITERS_HERE = `${WAITERS}
  (SELECT oid FROM pg_database WHERE datname = current_database())`;

/** What the test holds back. */
export interface HeldCommits {
  /** Resolves once so many wait. */
  waiting(count: number): Promise<void>;
  /** The last token that was taken, committed or not. */
  lastTaken(): Promise<number>;
  /** Lets them end, and all that come. */
  release(): Promise<void>;
  /** Has the server end the connections of those that wait. */
  terminate(): Promise<void>;
}

/** Holds commits back in a database that has the library's tables. */
export async function holdCommits(
  t: Test,
  database: string,
): Promise<HeldCommits> {
  const server = await sharedPostgres();
  await server.run(TRIGGER, database);
  const holder = postgres(database, { max: 1, onnotice: () => {} });
  t.teardown(() => holder.end({ timeout: 0 }).catch(() => {}));
  await holder.unsafe(`SELECT pg_advisory_lock(${LOCK})`);
  const waiters = () => server.run(WAITERS_HERE, database);
  return {
    waiting: (count) =>
      until(
        `${count} commits are held back`,
        async () => (await waiters()).length === count,
      ),
    async lastTaken() {
      const [row] = await server.run(
        "SELECT last_value FROM headwater_tokens",
        database,
      );
      return Number(row?.[0]);
    },
    async release() {
      await holder.unsafe(`SELECT pg_advisory_unlock(${LOCK})`);
    },
    async terminate() {
      await server.terminateBackends(database, `pid IN (${WAITERS} datid)`);
    },
  };
}

/** Writes a user and an event of the aggregate of that name, under one token. */
export function write(
  writer: WriterStore<TestDatabase>,
  name: string,
): Promise<Commit<void>> {
  return writer.transaction("write", async (txn) => {
    // Run again, it isn't held any more.
    const id = txn.attempt === 1 ? name : `${name} again`.slice(HELD.length);
    await txn.db.insertInto("users").values({ id, name: id, version: 1 })
      .execute();
    txn.invalidate("getUserById", [id]);
    await txn.append(id, [{ type: "written" }]);
  });
}
