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
    return new OpenedView(name, connection, this.#props, this.#executor);
  }
}

/** A class: an accessor in an object literal is defined anew for each object. */
class OpenedView<Database> implements KyselyTransaction<Database> {
  readonly #name: string;
  readonly #connection: DatabaseConnection;
  readonly #props: KyselyProps;
  readonly #executor: QueryExecutor;
  #hasEnded = false;
  #db: Transaction<Database> | undefined;

  constructor(
    name: string,
    connection: DatabaseConnection,
    props: KyselyProps,
    executor: QueryExecutor,
  ) {
    this.#name = name;
    this.#connection = connection;
    this.#props = props;
    this.#executor = executor;
  }

  get db(): Transaction<Database> {
    return this.#db ??= this.#open();
  }

  end(): void {
    this.#hasEnded = true;
  }

  #open(): Transaction<Database> {
    const executor = this.#executor.withConnectionProvider({
      provideConnection: (consumer) =>
        this.#hasEnded
          ? Promise.reject(endedError(this.#name))
          : consumer(this.#connection),
    });
    return new Transaction<Database>({ ...this.#props, executor });
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
