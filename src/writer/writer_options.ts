/**
 * How a writer store is opened.
 *
 * @module
 */

import type { DatabaseOptions } from "../database/open_database.ts";
import type { DeclarationOptions } from "../store/declarations.ts";
import type { KeepAliveOptions } from "../replication/keep_alive.ts";
import type { EnvironmentOptions } from "../runtime/environment.ts";
import type { RetentionPolicies } from "../log/retention.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { isName } from "../streams/stream.ts";

/** Options of `WriterStore.open`. */
export interface WriterStoreOptions
  extends
    DatabaseOptions,
    KeepAliveOptions,
    DeclarationOptions,
    EnvironmentOptions {
  /** `sqlite:FILE`, `sqlite::memory:` or `postgres://USER@HOST/DATABASE`. */
  readonly database: string;

  /**
   * Where readers connect: `tcp://HOST:PORT`, port 0 for any that is free.
   * Whoever can connect can read every row: keep it on loopback, or on a
   * network of your own.
   *
   * @default {nobody can}
   */
  readonly listen?: string | undefined;

  /**
   * The name that this process writes under. One live process holds it at a time.
   *
   * @default {"master"}
   */
  readonly instance?: string | undefined;

  /**
   * What the server calls itself to readers.
   *
   * @default {"headwater"}
   */
  readonly serverName?: string | undefined;

  /**
   * How long the instance's name stays ours without being renewed, in ms. It
   * matters where a holder's death can't be seen: on another machine.
   *
   * @default {15000}
   */
  readonly leaseMs?: number | undefined;

  /**
   * Bytes of one line of the wire. A row that would take more is refused.
   *
   * @default {1048576}
   */
  readonly maxLineBytes?: number | undefined;

  /**
   * Bytes that may wait for one reader. Beyond, it is disconnected, and
   * catches up from the log.
   *
   * @default {16777216}
   */
  readonly maxOutboxBytes?: number | undefined;

  /**
   * Readers connected at a time.
   *
   * @default {10000}
   */
  readonly maxConnections?: number | undefined;

  /**
   * How often a transaction is run at most, where the database gives it up for
   * others' sake.
   *
   * @default {5}
   */
  readonly maxAttempts?: number | undefined;

  /**
   * How long rows are kept, by stream: `{ orders: { maxAgeMs: 86_400_000 } }`.
   * A reader that was away for longer clears its caches.
   *
   * @default {caches: 7 days; every other stream for ever}
   */
  readonly retention?: RetentionPolicies | undefined;

  /**
   * How often what need not be kept is deleted, in ms; 0 for never.
   *
   * @default {3600000}
   */
  readonly retentionIntervalMs?: number | undefined;

  /**
   * Rows that one transaction may write.
   *
   * @default {100000}
   */
  readonly maxRowsPerTransaction?: number | undefined;
}

/**
 * Refuses a name that can't stand between spaces on the wire.
 *
 * @param name The name.
 * @param option The option that gave it, for the error.
 * @throws {HeadwaterError} `INVALID_ARGUMENT`.
 */
export function requireName(name: unknown, option: string): void {
  if (isName(name)) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot open a writer store: ${option} is ${
      quote(String(name))
    }; give a letter or "_", ` +
      'then up to 63 letters, digits, "_", "." or "-"',
  );
}
