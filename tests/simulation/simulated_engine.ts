// A writer's connections to the simulated database: transactions that are
// committed at once or later, fail, or are never answered.

import {
  DummyDriver,
  Kysely,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import type {
  Engine,
  Session,
  SqlParameter,
  SqlValue,
  TransactionOptions,
  WriteSession,
} from "../../src/database/engine.ts";
import { CommitUnknownError } from "../../src/database/postgres_errors.ts";
import { HeadwaterError } from "../../src/runtime/errors.ts";
import type { Plan } from "./plan.ts";
import type {
  OpenTransaction,
  SimulatedDatabase,
} from "./simulated_database.ts";
import type { SimulatedProcess } from "./simulated_process.ts";
import { Violation } from "./violation.ts";

// Nobody queries through it; a session must have one.
const kysely = new Kysely<unknown>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
});
const db = await kysely.startTransaction().execute();

/** How often a commit takes its time, fails, or is not answered. */
export interface CommitFaults {
  readonly slow: number;
  readonly fail: number;
  readonly unanswered: number;
}

type Statement = readonly [sql: string, parameters: readonly SqlParameter[]];

/** A transaction under way. */
class Transaction implements WriteSession<unknown> {
  readonly dialect;
  readonly db = db;
  readonly statements: Statement[] = [];
  /** What it does to the application's table, if it does. */
  plan: Plan | undefined;
  readonly #engine: SimulatedEngine;
  readonly #rollbacks: (() => void)[] = [];

  constructor(engine: SimulatedEngine) {
    this.#engine = engine;
    this.dialect = engine.dialect;
  }

  run(sql: string, parameters: readonly SqlParameter[]): number {
    this.statements.push([sql, parameters]);
    return this.#engine.database.direct.run(sql, parameters);
  }

  rows(sql: string, parameters: readonly SqlParameter[]): SqlValue[][] {
    return this.#engine.database.query(sql, parameters);
  }

  hasWritten(): boolean {
    return this.plan !== undefined && !this.plan.isEmpty;
  }

  onRollback(callback: () => void): void {
    this.#rollbacks.push(callback);
  }

  rolledBack(): void {
    for (const callback of this.#rollbacks) callback();
  }

  commit(
    _sql: string,
    parameters: readonly SqlParameter[],
  ): Promise<SqlValue[][]> {
    return this.#engine.commitOpen(this, parameters);
  }
}

export class SimulatedEngine implements Engine<unknown> {
  readonly database: SimulatedDatabase;
  readonly process: SimulatedProcess;
  readonly session: Session;
  readonly disconnections = 0;
  faults: CommitFaults;
  /** The process's lease: which holder of the name it is. */
  fence: number | undefined;
  readonly #broken: (error: unknown) => void;

  constructor(
    database: SimulatedDatabase,
    process: SimulatedProcess,
    faults: CommitFaults,
    broken: (error: unknown) => void,
  ) {
    this.#broken = broken;
    this.database = database;
    this.process = process;
    this.faults = faults;
    this.session = database.reader(process);
  }

  get dialect() {
    return this.database.dialect;
  }

  get db(): never {
    throw new HeadwaterError("BUG", "the simulation has no Kysely");
  }

  reopenIfReplaced(): boolean {
    return false;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Says what a transaction does to the application's table. */
  intend(session: WriteSession<unknown>, plan: Plan): void {
    if (session instanceof Transaction) session.plan = plan;
  }

  async transaction<Value>(
    _name: string,
    work: (session: WriteSession<unknown>) => Promise<Value>,
    options: TransactionOptions<Value> = {},
  ): Promise<Value> {
    this.database.requireUp();
    const transaction = new Transaction(this);
    if (this.dialect === "postgres") {
      // The library's own run in one step; others end in commitOpen().
      const value = await work(transaction);
      options.committed?.(value);
      return value;
    }
    await this.database.lock(this.process);
    try {
      const value = await this.#serial(transaction, work);
      options.committed?.(value);
      return value;
    } finally {
      this.database.unlock(this.process);
    }
  }

  async #serial<Value>(
    transaction: Transaction,
    work: (session: WriteSession<unknown>) => Promise<Value>,
  ): Promise<Value> {
    const { database, process, faults } = this;
    const { random } = process;
    database.requireUp();
    const { direct, outages } = database;
    direct.run("BEGIN", []);
    let value: Value;
    try {
      value = await work(transaction);
    } catch (error) {
      direct.run("ROLLBACK", []);
      transaction.rolledBack();
      throw error;
    }
    const { plan } = transaction;
    if (plan === undefined) {
      direct.run("COMMIT", []);
      return value;
    }
    const isSlow = random.chance(faults.slow);
    const isFailing = random.chance(faults.fail);
    if (isSlow || isFailing) {
      // Nobody may see it meanwhile: it is done once more when its time comes.
      direct.run("ROLLBACK", []);
      if (isSlow) await process.wait(random.within([0, 40]));
      try {
        database.requireUp(outages);
        if (isFailing) throw new HeadwaterError("DATABASE_FULL", "no room");
      } catch (error) {
        transaction.rolledBack();
        throw error;
      }
      direct.run("BEGIN", []);
      for (const [sql, parameters] of transaction.statements) {
        direct.run(sql, parameters);
      }
    }
    direct.run("COMMIT", []);
    const written = transaction.statements.find(([sql]) =>
      sql.includes("INTO headwater_log")
    );
    if (written !== undefined) {
      const [row] = direct.rows(
        "SELECT token, instance FROM headwater_log ORDER BY token DESC LIMIT 1",
        [],
      );
      this.#show(String(row?.[1]), Number(row?.[0]), plan);
    }
    // The disk: others see it, and nobody is told yet.
    if (random.chance(faults.slow)) {
      await process.wait(random.within([0, 20]));
    }
    return value;
  }

  #show(instance: string, token: number, plan: Plan): void {
    // On PostgreSQL the token was taken while the lease stood: whoever has the
    // name by now must not have begun.
    const [row] = this.database.direct.rows(
      this.dialect === "sqlite"
        ? "SELECT fence FROM headwater_instances WHERE name = ?"
        : "SELECT max(fence) FROM headwater_holders WHERE instance = ?",
      [instance],
    );
    if (Number(row?.[0]) !== this.fence) {
      this.#broken(
        new Violation(
          8,
          `${this.process.name} commits ${instance}/${token} as holder ` +
            `${this.fence}, and ${row?.[0]} holds the name`,
        ),
      );
    }
    this.database.show(instance, token, plan);
  }

  /** Takes a token, and commits some time later, as the server has it. */
  async commitOpen(
    { plan }: Transaction,
    parameters: readonly SqlParameter[],
  ): Promise<SqlValue[][]> {
    const { database, process, faults } = this;
    const { random } = process;
    const [instance, fence] = parameters as [string, number];
    const [held] = database.direct.rows(
      "SELECT holder FROM headwater_instances WHERE name = ? AND fence = ?",
      [instance, fence],
    );
    if (held === undefined) throw new LeaseLost();
    const token = database.sequence += 1;
    const open: OpenTransaction = {
      id: `${instance}/${token}`,
      holder: String(held[0]),
      instance,
      token,
      plan,
      isEnded: false,
    };
    database.open.add(open);
    const { outages } = database;
    const isUnanswered = random.chance(faults.unanswered);
    if (random.chance(faults.slow)) {
      const ms = random.within([0, random.chance(0.2) ? 400 : 40]);
      await database.server.wait(ms);
    }
    // Of a process that has died meanwhile, COMMIT had been sent, or had not.
    const isFailing = random.chance(process.isAlive ? faults.fail : 0.5);
    const wasEnded = open.isEnded;
    database.open.delete(open);
    open.isEnded = true;
    if (!wasEnded && !isFailing) {
      insert(database, token, parameters);
      if (plan !== undefined) this.#show(instance, token, plan);
    }
    if (plan !== undefined) database.unlockRows(plan);
    if (random.chance(faults.slow)) await process.wait(random.within([0, 20]));
    if (isUnanswered || outages !== database.outages) {
      throw new CommitUnknownError(undefined, undefined);
    }
    if (wasEnded) throw new CommitUnknownError(undefined, undefined);
    if (isFailing) throw new HeadwaterError("DATABASE_FULL", "no room");
    return [[token]];
  }
}

/** As PostgreSQL says that the token is NULL. */
class LeaseLost extends Error {
  readonly code = "23502";
  readonly column_name = "token";
}

function insert(
  { direct }: SimulatedDatabase,
  token: number,
  parameters: readonly SqlParameter[],
): void {
  const add = (...record: SqlParameter[]) =>
    direct.run(
      "INSERT INTO headwater_log VALUES (?, ?, ?, ?, ?, ?, ?)",
      record,
    );
  if (parameters.length === 8) {
    const [, , stream, instance, id, ms, count, body] =
      parameters as SqlParameter[];
    add(
      token,
      stream ?? "",
      instance ?? "",
      id ?? "",
      ms ?? 0,
      count ?? 0,
      body ?? "",
    );
    return;
  }
  const [, , instance, id, ms, streams, counts, bodies] = parameters as [
    string,
    number,
    string,
    string,
    number,
    string[],
    number[],
    string[],
  ];
  for (const [index, stream] of streams.entries()) {
    add(
      token,
      stream,
      instance,
      id,
      ms,
      counts[index] ?? 0,
      bodies[index] ?? "",
    );
  }
}
