/**
 * Connections that one caller holds at a time.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { Gate } from "../runtime/gate.ts";
import { PostgresConnection } from "./postgres_connection.ts";
import { type ClientOptions, openClient } from "./postgres_client.ts";
import type { Rename } from "./table_names.ts";

/** What {@linkcode PostgresClients} works with. */
export interface PostgresClientsOptions extends ClientOptions {
  /** What is waited for, as it stands in errors: "a write connection". */
  readonly subject: string;
  readonly maxConnections: number;
  readonly maxQueued: number;
  readonly queueTimeoutMs: number;
  readonly rename: Rename;
  readonly clock: Clock;
  /** Called with the end of each connection. */
  readonly disconnected: () => void;
}

/**
 * Each connection is a client of postgres.js by itself, and is thrown away once
 * it is lost: in a pool of its own making (3.4.9) a reserved connection that is
 * lost during a query would never come back.
 */
export class PostgresClients {
  readonly #options: PostgresClientsOptions;
  readonly #gate: Gate;
  readonly #idle: PostgresConnection[] = [];
  readonly #busy = new Set<PostgresConnection>();
  /** Those that begin a transaction with their commit, for whoever is next in line. */
  readonly #promised = new Set<PostgresConnection>();
  #isClosed = false;

  /** Constructs one without connections. */
  constructor(options: PostgresClientsOptions) {
    this.#options = options;
    const { subject, maxConnections, maxQueued, queueTimeoutMs, clock } =
      options;
    this.#gate = new Gate({
      subject,
      permits: maxConnections,
      maxQueued,
      timeoutMs: queueTimeoutMs,
      clock,
    });
  }

  /** A connection, if one is there that nobody holds; else `undefined`. */
  takeIdle(name: string): PostgresConnection | undefined {
    if (this.#isClosed || this.#idle.at(-1)?.isLost !== false) return undefined;
    if (!this.#gate.tryEnter(name)) return undefined;
    const connection = this.#pop() as PostgresConnection;
    this.#busy.add(connection);
    return connection;
  }

  /**
   * Waits for a connection, to be given back.
   *
   * @param name Who wants it, for the errors of others.
   */
  async take(name: string): Promise<PostgresConnection> {
    await this.#gate.enter(name);
    try {
      if (this.#isClosed) throw closedError(name);
      let connection = this.#pop();
      while (connection?.isLost) connection = this.#pop();
      connection ??= await this.#connect();
      if (this.#isClosed) {
        await connection.close();
        throw closedError(name);
      }
      this.#busy.add(connection);
      return connection;
    } catch (error) {
      this.#gate.leave();
      throw error;
    }
  }

  /** Whether somebody waits whom none of the others is promised to; he is now. */
  promise(connection: PostgresConnection): boolean {
    const isWanted = this.#gate.queued > this.#promised.size;
    if (isWanted) this.#promised.add(connection);
    return isWanted;
  }

  /** Gives a connection back; one that is lost is forgotten. */
  give(connection: PostgresConnection): void {
    this.#busy.delete(connection);
    this.#promised.delete(connection);
    // Nobody waits any more: it must not stay in a transaction.
    if (this.#gate.queued === 0) connection.giveUpNext();
    if (!connection.isLost) this.#idle.push(connection);
    this.#gate.leave();
  }

  /** Closes all at once: what their holders do fails. */
  async cut(): Promise<void> {
    this.#isClosed = true;
    const all = [...this.#idle, ...this.#busy];
    this.#idle.length = 0;
    await Promise.all(all.map((connection) => connection.close()));
  }

  /** Waits for those who hold any, and closes all. */
  async close(): Promise<void> {
    const { maxConnections } = this.#options;
    for (let left = maxConnections; left > 0; left -= 1) {
      await this.#gate.enterLast("close");
    }
    this.#isClosed = true;
    await Promise.all(this.#idle.map((connection) => connection.close()));
    this.#idle.length = 0;
    for (let left = maxConnections; left > 0; left -= 1) this.#gate.leave();
  }

  /** One that is in a transaction already must not be left in it. */
  #pop(): PostgresConnection | undefined {
    const at = this.#idle.findLastIndex(({ hasBegun }) => hasBegun);
    return this.#idle.splice(at, 1)[0];
  }

  async #connect(): Promise<PostgresConnection> {
    const client = openClient(this.#options);
    const connection = await PostgresConnection.open(
      client,
      this.#options.rename,
    );
    connection.onLost(this.#options.disconnected);
    return connection;
  }
}

function closedError(name: string): HeadwaterError {
  return new HeadwaterError(
    "CLOSED",
    `Cannot run "${name}": the database is closed; open it again`,
  );
}
