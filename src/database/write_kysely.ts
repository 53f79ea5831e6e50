/**
 * Kysely's transactions on transactions that an engine begins and ends itself.
 *
 * @module
 */

import {
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  type KyselyProps,
  type QueryExecutor,
  Transaction,
} from "kysely";
import { HeadwaterError } from "../runtime/errors.ts";

/** A transaction as users see it, and its end. */
export interface KyselyTransaction<Database> {
  /** Made when it is first asked for: many transactions only invalidate. */
  readonly db: Transaction<Database>;
  /** Cuts {@linkcode db} off: whoever kept it gets an error. */
  end(): void;
}

/** Makes a Kysely transaction of each of an engine's own. */
export class WriteKysely<Database> {
  readonly #props: KyselyProps;
  readonly #executor: QueryExecutor;

  /** Constructs one for a dialect whose driver is never used. */
  constructor(dialect: Dialect) {
    const kysely = new Kysely<Database>({ dialect });
    this.#executor = kysely.getExecutor();
    this.#props = {
      config: { dialect },
      driver: dialect.createDriver(),
      dialect,
      executor: this.#executor,
    };
  }

  /**
   * Opens the view of a transaction.
   *
   * @param name Whose, for errors.
   * @param connection Where its statements run.
   */
  begin(
    name: string,
    connection: DatabaseConnection,
  ): KyselyTransaction<Database> {
    let hasEnded = false;
    let db: Transaction<Database> | undefined;
    const open = () => {
      const executor = this.#executor.withConnectionProvider({
        provideConnection(consumer) {
          if (hasEnded) return Promise.reject(endedError(name));
          return consumer(connection);
        },
      });
      return new Transaction<Database>({ ...this.#props, executor });
    };
    return {
      get db() {
        return db ??= open();
      },
      end: () => void (hasEnded = true),
    };
  }
}

/** The engine begins and ends transactions itself; Kysely only runs statements. */
export function inertDriver(): Driver {
  const nothing = () => Promise.resolve();
  return {
    init: nothing,
    acquireConnection: () =>
      Promise.reject(
        new HeadwaterError("BUG", "Bug in headwater: a driver that is inert"),
      ),
    beginTransaction: nothing,
    commitTransaction: nothing,
    rollbackTransaction: nothing,
    releaseConnection: nothing,
    destroy: nothing,
  };
}

function endedError(name: string): HeadwaterError {
  return new HeadwaterError(
    "TRANSACTION_ENDED",
    `Cannot use txn.db: transaction "${name}" has ended; await every query within it`,
  );
}
