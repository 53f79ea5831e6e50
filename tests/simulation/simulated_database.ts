// One database for all processes of a history: the library's own tables in a
// real SQLite in memory, the application's table in the truth. It speaks as
// SQLite does, one transaction at a time, or answers as PostgreSQL would: tokens
// are taken from a sequence, and transactions end in any order.

import { DatabaseSync, type StatementSync } from "node:sqlite";
import type {
  Session,
  SqlParameter,
  SqlValue,
} from "../../src/database/engine.ts";
import { migrate } from "../../src/database/migrator.ts";
import {
  bindable,
  returnArrays,
  toArray,
} from "../../src/database/sqlite_statement.ts";
import { LOG_MIGRATIONS } from "../../src/log/log_schema.ts";
import { HeadwaterError } from "../../src/runtime/errors.ts";
import type { SimulatedProcess } from "./simulated_process.ts";
import type { Plan } from "./plan.ts";
import { formatHolder } from "../../src/tokens/holders.ts";
import type { Commit, Truth } from "./truth.ts";

export type Dialect = "sqlite" | "postgres";

const TABLES = [
  "headwater_log",
  "headwater_instances",
  "headwater_holders",
  "headwater_retained",
] as const;

/** The first migrations, whose tables are the same on both. */
const SHARED_MIGRATIONS = 2;

/** A transaction that has its token and is not committed, as PostgreSQL has them. */
export interface OpenTransaction {
  readonly id: string;
  readonly holder: string;
  readonly instance: string;
  readonly token: number;
  readonly plan: Plan | undefined;
  isEnded: boolean;
}

/** All that a restore brings back. */
export interface Copy {
  readonly tables: readonly SqlValue[][][];
  readonly sequence: number;
  readonly length: number;
}

/** A session that answers at once. */
interface SyncSession extends Session {
  run(sql: string, parameters: readonly SqlParameter[]): number;
  rows(sql: string, parameters: readonly SqlParameter[]): SqlValue[][];
}

/** The tables, shared by all histories of a process of the test; emptied for each. */
class Tables {
  readonly #database = new DatabaseSync(":memory:");
  readonly #statements = new Map<string, StatementSync>();

  /** What was migrated further on SQLite alone is not on PostgreSQL's side. */
  static async open(dialect: Dialect): Promise<Tables> {
    const tables = new Tables();
    const migrations = dialect === "sqlite"
      ? LOG_MIGRATIONS
      : LOG_MIGRATIONS.slice(0, SHARED_MIGRATIONS);
    await migrate(tables.session("sqlite"), migrations, 0);
    return tables;
  }

  session(dialect: Dialect): SyncSession {
    return {
      dialect,
      run: (sql, parameters) =>
        // Nobody waits for a lock here.
        sql.startsWith("SET LOCAL ")
          ? 0
          : Number(this.#prepare(sql).run(...parameters.map(bindable)).changes),
      rows: (sql, parameters) =>
        this.#prepare(sql).all(...parameters.map(bindable)).map(toArray),
    };
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      returnArrays(statement);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

const TABLES_OF: Readonly<Record<Dialect, Tables>> = {
  sqlite: await Tables.open("sqlite"),
  postgres: await Tables.open("postgres"),
};

export class SimulatedDatabase {
  readonly dialect: Dialect;
  readonly truth: Truth;
  /** The server's own time. */
  readonly server: SimulatedProcess;
  /** Everything at once, without delay. */
  readonly direct: SyncSession;
  readonly open = new Set<OpenTransaction>();
  /** Is told of each commit, in the moment that it is visible. */
  committed: (commit: Commit) => void = () => {};
  /** The rows that transactions have written and not committed. */
  readonly #rowLocks = new Map<
    string,
    { process: SimulatedProcess; plan: Plan }
  >();
  sequence = 0;
  /** Grows with each time that the database is taken away. */
  #outages = 0;
  #isUp = true;
  #locks: (() => void)[] = [];
  #lockedBy: SimulatedProcess | undefined;

  constructor(dialect: Dialect, truth: Truth, server: SimulatedProcess) {
    this.server = server;
    this.dialect = dialect;
    this.direct = TABLES_OF[dialect].session("sqlite");
    this.truth = truth;
    for (const table of TABLES) this.direct.run(`DELETE FROM ${table}`, []);
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Ends what is under way; nobody is answered until it is up again. */
  down(): void {
    this.#isUp = false;
    this.#outages += 1;
    for (const transaction of this.open) transaction.isEnded = true;
    this.open.clear();
  }

  up(): void {
    this.#isUp = true;
  }

  requireUp(since = this.#outages): void {
    if (this.#isUp && since === this.#outages) return;
    throw new HeadwaterError("DATABASE_UNAVAILABLE", "the database is down");
  }

  get outages(): number {
    return this.#outages;
  }

  /** A process's connection for queries: each answered at once, or some time later. */
  reader(process: SimulatedProcess): Session {
    return {
      dialect: this.dialect,
      run: () => {
        throw new HeadwaterError("DATABASE_READ_ONLY", "for reading only");
      },
      rows: (sql, parameters) => this.#answer(process, sql, parameters),
    };
  }

  /** What a statement gives now. */
  query(
    sql: string,
    parameters: readonly SqlParameter[],
  ): SqlValue[][] {
    if (this.dialect === "sqlite") return this.direct.rows(sql, parameters);
    if (sql.includes("clock_timestamp")) {
      return [[Math.round(this.server.wallMs())]];
    }
    // The sequence is restored with the log, and so never behind it.
    if (sql.includes("known.token")) return [];
    if (sql.includes("last_value")) return [[this.sequence]];
    if (sql.includes("pg_postmaster_start_time")) {
      return [[String(this.truth.timeline)]];
    }
    if (sql.includes("pg_current_wal_lsn")) {
      return [[toLsn(this.truth.history.length)]];
    }
    if (sql.includes("pg_terminate_backend")) {
      return [[this.#terminate(String(parameters[0]))]];
    }
    if (sql.includes("count(*) FROM pg_locks")) {
      return [[this.#openOf(String(parameters[0])).length]];
    }
    if (sql.includes("FROM pg_locks")) {
      return Array.from(this.open, ({ id }) => [id]);
    }
    const own = sql.replace(" FOR UPDATE", "").replace("chr(10)", "char(10)");
    return this.direct.rows(own, parameters);
  }

  /** Shows a transaction of the application to everybody. */
  show(instance: string, token: number, plan: Plan): void {
    const [row] = this.direct.rows(
      `SELECT fence, holder FROM headwater_holders
      WHERE instance = ? ORDER BY fence DESC LIMIT 1`,
      [instance],
    );
    const [fence, holder] = row ?? [];
    const mark = { fence: Number(fence), holder: String(holder) };
    const text = formatHolder(mark);
    this.committed(this.truth.add(instance, token, text, plan));
  }

  /** Whether an open transaction has written a row. */
  isRowLocked(key: string): boolean {
    return this.#rowLocks.has(key);
  }

  /** A transaction is about to write its rows; another would wait for it. */
  lockRows(process: SimulatedProcess, plan: Plan): void {
    for (const key of plan.keys) this.#rowLocks.set(key, { process, plan });
  }

  unlockRows(plan: Plan): void {
    for (const key of plan.keys) {
      if (this.#rowLocks.get(key)?.plan === plan) this.#rowLocks.delete(key);
    }
  }

  /** A process is gone; what it has not given to the server yet is gone with it. */
  forget(process: SimulatedProcess): void {
    this.unlock(process);
    const given = new Set(Array.from(this.open, ({ plan }) => plan));
    for (const lock of [...this.#rowLocks.values()]) {
      const isGone = lock.process === process && !given.has(lock.plan);
      if (isGone) this.unlockRows(lock.plan);
    }
  }

  /** SQLite's one write lock. */
  async lock(process: SimulatedProcess): Promise<void> {
    while (this.#lockedBy?.isAlive) {
      await new Promise<void>((resolve) => this.#locks.push(resolve));
      if (!process.isAlive) await new Promise(() => {});
    }
    this.#lockedBy = process;
  }

  unlock(process: SimulatedProcess): void {
    if (this.#lockedBy !== process) return;
    this.#lockedBy = undefined;
    for (const resolve of this.#locks.splice(0)) resolve();
  }

  copy(): Copy {
    return {
      tables: TABLES.map((table) =>
        this.direct.rows(`SELECT ${this.#columnsOf(table)} FROM ${table}`, [])
      ),
      sequence: this.sequence,
      length: this.truth.history.length,
    };
  }

  restore(copy: Copy): void {
    for (const [index, table] of TABLES.entries()) {
      const columns = this.#columnsOf(table);
      this.direct.run(`DELETE FROM ${table}`, []);
      for (const row of copy.tables[index] ?? []) {
        const marks = row.map(() => "?").join(", ");
        this.direct.run(
          `INSERT INTO ${table} (${columns}) VALUES (${marks})`,
          row,
        );
      }
    }
    this.sequence = copy.sequence;
    this.truth.restore(copy.length);
  }

  /** The machine knows that the process which held a name is gone. */
  forgetHolder(instance: string): void {
    this.direct.run(
      "UPDATE headwater_instances SET expires_ms = 0 WHERE name = ?",
      [instance],
    );
  }

  #answer(
    process: SimulatedProcess,
    sql: string,
    parameters: readonly SqlParameter[],
  ): SqlValue[][] | Promise<SqlValue[][]> {
    this.requireUp();
    const { random } = process;
    if (random.chance(0.6)) return this.query(sql, parameters);
    const outages = this.#outages;
    // What it sees is what was there when it began, or when it ends.
    const early = random.chance(0.5) ? this.query(sql, parameters) : undefined;
    return process.wait(random.within([0, 12])).then(() => {
      this.requireUp(outages);
      return early ?? this.query(sql, parameters);
    });
  }

  /** Those that are not computed. */
  #columnsOf(table: string): string {
    const rows = this.direct.rows(
      `SELECT name FROM pragma_table_info('${table}')`,
      [],
    );
    return rows.map(([name]) => name).join(", ");
  }

  #openOf(holder: string): OpenTransaction[] {
    return [...this.open].filter((each) => each.holder === holder);
  }

  #terminate(holder: string): number {
    const ended = this.#openOf(holder);
    for (const transaction of ended) {
      transaction.isEnded = true;
      this.open.delete(transaction);
    }
    return ended.length;
  }
}

/** How much was committed, as PostgreSQL writes places in its own log. */
export function toLsn(commits: number): string {
  return `0/${commits.toString(16).toUpperCase()}`;
}
