// The real thing: writers on a database, and transactions of theirs that go on
// only as the test says. What became of each is kept, to be compared with the
// log, and with what readers saw.

import postgres from "postgres";
import type { Test } from "tap";
import { z } from "zod";
import {
  type Commit,
  defineStream,
  HeadwaterError,
  WriterStore,
  type WriterTransaction,
} from "../../mod.ts";
import type { ReadEngine, Session } from "../../src/database/engine.ts";
import { openForReading } from "../../src/database/open_database.ts";
import { until } from "../support/conditions.ts";
import type { ModelRow } from "./model.ts";

/** The tables of the test. */
export interface ModelDatabase {
  /** One row for each row of a stream, written in the same transaction. */
  notes: { id: string };
  /** What the projection took in, in that order. */
  projected: { place?: number; id: string };
}

/** A stream beside `events`. */
export const marks = defineStream("marks", z.object({ id: z.string() }));

/** How a transaction is to end. */
export type Decision = "commit" | "roll back";

/** A transaction, and what became of it. */
export interface Transaction {
  readonly id: number;
  readonly instance: string;
  readonly rows: ModelRow[];
  decision: Decision | undefined;
  /** Its process is gone, as far as the test goes: its function isn't run again. */
  isCrashed: boolean;
  commit: Commit<void> | undefined;
  error: unknown;
  /** Resolves once it has ended, either way. */
  ended: Promise<void>;
  /** Has it look again. */
  wake: () => void;
}

/** Holds PostgreSQL's commits back by the number of their transaction. */
const HOLD = `
  CREATE TABLE failing (id bigint PRIMARY KEY);
  CREATE FUNCTION hold_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_advisory_xact_lock_shared(split_part(new.body, '.', 2)::bigint);
    IF EXISTS (SELECT FROM failing
        WHERE id = split_part(new.body, '.', 2)::bigint) THEN
      RAISE EXCEPTION 'failed in its commit';
    END IF;
    RETURN NULL;
  END $$;
  CREATE CONSTRAINT TRIGGER hold_back AFTER INSERT ON headwater_log
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (new.body LIKE '["m.%') EXECUTE FUNCTION hold_back()`;

/** The test's own connections, which it doesn't cut. */
const OWN_NAME = "model";

/** A database that many runs share; each has writers of its own. */
export class World {
  readonly database: string;
  readonly isPostgres: boolean;
  /** Reads as no writer does: to know what is in the log. */
  readonly session: Session;
  /** Never closed: the pager reads by it. */
  readonly observer: WriterStore<ModelDatabase>;
  /** Holds the locks that commits wait for. */
  readonly #holder: postgres.Sql | undefined;
  /** The next run's first transaction. */
  nextId = 1;
  /** The next run's number: instances are named after it. */
  nextRun = 1;

  readonly #engine: ReadEngine<ModelDatabase>;
  readonly #counts = new Map<string, number>();

  private constructor(
    database: string,
    observer: WriterStore<ModelDatabase>,
    engine: ReadEngine<ModelDatabase>,
  ) {
    this.database = database;
    this.isPostgres = database.startsWith("postgres");
    this.observer = observer;
    this.#engine = engine;
    this.session = engine.session;
    this.#holder = this.isPostgres
      ? postgres(database, {
        max: 1,
        onnotice: () => {},
        connection: { application_name: OWN_NAME },
      })
      : undefined;
  }

  /** Opens one on an empty database. */
  static async open(t: Test, database: string): Promise<World> {
    const observer = await openStore(database, "observer", undefined);
    const engine = openForReading<ModelDatabase>(database, {});
    await observer.transaction("create", async ({ db }) => {
      await db.schema.createTable("notes")
        .addColumn("id", "text", (column) => column.primaryKey()).execute();
    });
    const world = new World(database, observer, engine);
    t.teardown(() => world.close());
    await world.#holder?.unsafe(HOLD);
    return world;
  }

  /** Notes that something happened. */
  count(what: string, times = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + times);
  }

  /** What happened, and how often. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** Closes it. */
  async close(): Promise<void> {
    await this.observer.close();
    await this.#engine.close();
    await this.#holder?.end({ timeout: 0 }).catch(() => {});
  }

  /** Has a transaction's commit wait from now on. */
  async hold(id: number): Promise<void> {
    await this.#holder?.unsafe(`SELECT pg_advisory_lock(${id})`);
  }

  /** Resolves once it waits, or has ended. */
  async whenHeld(transaction: Transaction): Promise<void> {
    let hasEnded = false;
    void transaction.ended.then(() => hasEnded = true);
    await until(
      `transaction ${transaction.id} is held in its commit`,
      async () => {
        const rows = await this.#holder?.unsafe(
          `SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND objid = ${transaction.id} AND database =
          (SELECT oid FROM pg_database WHERE datname = current_database())`,
        );
        return hasEnded || rows?.length === 1;
      },
    );
  }

  /** Lets its commit go on; or fail. */
  async release(id: number, how: Decision): Promise<void> {
    if (how === "roll back") {
      await this.#holder?.unsafe(`INSERT INTO failing VALUES (${id})`);
    }
    await this.#holder?.unsafe(`SELECT pg_advisory_unlock(${id})`);
  }

  /** Ends every connection but the test's own, as a failing network would. */
  async cut(): Promise<void> {
    // Not waited for: a server that is asked to looks every 100 ms only.
    await this.#holder?.unsafe(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND backend_type = 'client backend'
        AND application_name <> '${OWN_NAME}'`,
    );
  }

  /** Has an instance's lease run out, as if its process had died elsewhere. */
  async expire(instance: string): Promise<void> {
    const expired =
      `UPDATE headwater_instances SET expires_ms = 0 WHERE name = '${instance}'`;
    if (this.#holder !== undefined) await this.#holder.unsafe(expired);
    else {
      await this.observer.transaction("expire", async ({ db }) => {
        await db.updateTable("headwater_instances" as "notes")
          .set({ expires_ms: 0 } as object)
          .where("name" as "id", "=", instance).execute();
      });
    }
  }
}

/** Opens a writer; on another port, if the one that it had is taken by now. */
export async function openStore(
  database: string,
  instance: string,
  listen: string | undefined,
): Promise<WriterStore<ModelDatabase>> {
  const options = {
    database,
    instance,
    streams: [marks],
    synchronous: "normal",
    maxWriteConnections: 5,
    // Renewed by nobody while a run lasts.
    leaseMs: 120_000,
  } as const;
  try {
    return await WriterStore.open<ModelDatabase>({ ...options, listen });
  } catch (error) {
    const isTaken = error instanceof HeadwaterError &&
      error.code === "LISTEN_FAILED";
    if (!isTaken) throw error;
    return await WriterStore.open<ModelDatabase>({
      ...options,
      listen: "tcp://127.0.0.1:0",
    });
  }
}

/** Why a transaction is rolled back: the test wants it. */
export class RolledBack extends Error {}

/** Begins a transaction, which then goes on as its fields say. */
export function begin(
  store: WriterStore<ModelDatabase>,
  id: number,
): Transaction {
  let changed = Promise.withResolvers<void>();
  const transaction: Transaction = {
    id,
    instance: store.instance,
    rows: [],
    decision: undefined,
    isCrashed: false,
    commit: undefined,
    error: undefined,
    ended: Promise.resolve(),
    wake: () => changed.resolve(),
  };
  const work = async (txn: WriterTransaction<ModelDatabase>) => {
    let written = 0;
    while (true) {
      changed = Promise.withResolvers<void>();
      const { rows, decision, isCrashed } = transaction;
      if (decision === "roll back" || isCrashed) throw new RolledBack();
      for (; written < rows.length; written += 1) {
        await put(txn, id, rows[written] as ModelRow);
      }
      if (decision === "commit") return;
      await changed.promise;
    }
  };
  transaction.ended = store.transaction("model", work).then(
    (commit) => void (transaction.commit = commit),
    (error) => void (transaction.error = error),
  );
  return transaction;
}

async function put(
  txn: WriterTransaction<ModelDatabase>,
  transaction: number,
  { id, kind }: ModelRow,
): Promise<void> {
  await txn.db.insertInto("notes").values({ id }).execute();
  if (kind === "mark") txn.write(marks, { id });
  else {
    // Two aggregates in turn; the trigger reads the number in their names.
    const aggregate = `m.${transaction}.${id.endsWith("1") ? "odd" : "even"}`;
    await txn.append(aggregate, [{ type: "made", data: { id } }]);
  }
}
