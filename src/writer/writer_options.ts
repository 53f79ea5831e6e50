/**
 * How a writer store is opened.
 *
 * @module
 */

import {
  DATABASE_OPTIONS,
  type DatabaseOptions,
} from "../database/open_database.ts";
import {
  DECLARATION_OPTIONS,
  type DeclarationOptions,
} from "../store/declarations.ts";
import {
  JOURNAL_OPTIONS,
  type JournalOptions,
} from "../replication/invalidation_journal.ts";
import {
  KEEP_ALIVE_OPTIONS,
  type KeepAliveOptions,
} from "../replication/keep_alive.ts";
import { ENDPOINT_OPTIONS, type EndpointOptions } from "./endpoint_options.ts";
import {
  ENVIRONMENT_OPTIONS,
  type EnvironmentOptions,
} from "../runtime/environment.ts";
import type { RetentionPolicies } from "../log/retention.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { MAX_LINE_BYTES, SYNAPSE_MAX_LINE_BYTES } from "../runtime/limits.ts";
import type { OptionNames } from "../runtime/option_names.ts";
import { isName } from "../streams/stream.ts";
import type { Address, TlsOptions } from "../transport/transport.ts";

/** Options of `WriterStore.open`. */
export interface WriterStoreOptions
  extends
    DatabaseOptions,
    KeepAliveOptions,
    DeclarationOptions,
    EndpointOptions,
    JournalOptions,
    EnvironmentOptions {
  /** `sqlite:FILE`, `sqlite::memory:` or `postgres://USER@HOST/DATABASE`. */
  readonly database: string;

  /**
   * Where readers connect: `tcp://HOST:PORT` or `tls://HOST:PORT`, port 0 for
   * any that is free and no host for loopback; `unix:PATH`, a file that only
   * this user may connect to; `memory:NAME`, within this process; a
   * `MessagePort` to another thread; or a transport. Several, if you like.
   *
   * Whoever can connect can read every row.
   *
   * `redis://[USER:PASSWORD@]HOST:PORT[/DATABASE][?channel=NAME]`, or
   * `rediss://`, to publish to a channel of Redis, which is called as
   * `serverName` unless the address says otherwise; needs the package `redis`.
   * Commits don't need Redis: while it is away readers read on, and are told
   * what they missed once it is back. `notify:`, on PostgreSQL, to do no more
   * than tell readers by NOTIFY when to look in the database.
   *
   * @default {nobody can}
   */
  readonly listen?: Address | readonly Address[] | undefined;

  /**
   * The key and the certificate of `tls:` and `https:`, and whose readers and
   * callers may connect; what `rediss:` trusts, and how this process shows
   * itself there.
   */
  readonly tls?: TlsOptions | undefined;

  /**
   * Whether `tcp:` may listen beyond loopback, where whoever reaches the port
   * reads every row, in the clear; and whether `http:` may take requests there
   * without a secret. Only on a network of your own.
   *
   * @default {false}
   */
  readonly allowPlaintext?: boolean | undefined;

  /**
   * The name that this process writes under. One live process holds it at a time.
   *
   * @default {"master"}
   */
  readonly instance?: string | undefined;

  /**
   * What the server calls itself to readers: a name, or `HOST:PORT`.
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
   * Whether Synapse's workers may listen, of the versions 1.22 to 1.66: no line
   * is then longer than what they take, and over connections of two ends they
   * are sent no command that they don't know. A `streamPrefix` keeps the
   * built-in streams apart from theirs.
   *
   * @default {false}
   */
  readonly synapseCompatible?: boolean | undefined;

  /**
   * Bytes of one line of the wire. A row that would take more is refused.
   *
   * @default {1048576, or 16384 if synapseCompatible}
   */
  readonly maxLineBytes?: number | undefined;

  /**
   * Bytes that may wait for one reader. Beyond, it is disconnected, and
   * catches up from the log. What leaves at once and is larger, as one large
   * transaction may be, may wait beside them: once, until it is read.
   *
   * @default {16777216}
   */
  readonly maxOutboxBytes?: number | undefined;

  /**
   * Readers connected at a time. Over TLS those count, too, whose handshake is
   * under way; each has 5 s for it.
   *
   * @default {10000}
   */
  readonly maxConnections?: number | undefined;

  /**
   * How long a connection may take to say anything, in ms; 0 for ever. One that
   * has not by then is closed.
   *
   * @default {10000}
   */
  readonly firstCommandTimeoutMs?: number | undefined;

  /**
   * How often Redis is asked whether it is there, in ms, and how long it may
   * take to answer. One that doesn't is connected to again.
   *
   * @default {30000}
   */
  readonly redisPingIntervalMs?: number | undefined;

  /**
   * How long a process whose connection was lost keeps its present users, in ms.
   *
   * @default {10000}
   */
  readonly presenceGraceMs?: number | undefined;

  /**
   * How long a process that says nothing at all keeps its present users, in ms:
   * above 0.
   *
   * @default {300000}
   */
  readonly presenceTimeoutMs?: number | undefined;

  /**
   * Users, by process and device, that are known to be present at a time.
   *
   * @default {100000}
   */
  readonly maxPresentUsers?: number | undefined;

  /**
   * How often a transaction is run at most, where the database gives it up for
   * others' sake.
   *
   * @default {5}
   */
  readonly maxAttempts?: number | undefined;

  /**
   * How long rows are kept, by stream: `{ orders: { maxAgeMs: 86_400_000 } }`.
   * A reader that was away for longer clears its caches. What no store declares
   * any more is for `headwater retain`.
   *
   * @default {caches: 7 days; every other stream for ever}
   */
  readonly retention?: RetentionPolicies | undefined;

  /**
   * How long the answers to calls are kept, in ms, for workers that ask again.
   *
   * @default {86400000}
   */
  readonly callRetentionMs?: number | undefined;

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

/** The names of {@linkcode WriterStoreOptions}. */
export const WRITER_OPTIONS: OptionNames<WriterStoreOptions> = {
  ...DATABASE_OPTIONS,
  ...KEEP_ALIVE_OPTIONS,
  ...DECLARATION_OPTIONS,
  ...ENDPOINT_OPTIONS,
  ...JOURNAL_OPTIONS,
  ...ENVIRONMENT_OPTIONS,
  database: true,
  listen: true,
  tls: true,
  allowPlaintext: true,
  instance: true,
  serverName: true,
  leaseMs: true,
  synapseCompatible: true,
  maxLineBytes: true,
  maxOutboxBytes: true,
  maxConnections: true,
  firstCommandTimeoutMs: true,
  redisPingIntervalMs: true,
  presenceGraceMs: true,
  presenceTimeoutMs: true,
  maxPresentUsers: true,
  maxAttempts: true,
  retention: true,
  callRetentionMs: true,
  retentionIntervalMs: true,
  maxRowsPerTransaction: true,
};

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

/**
 * Refuses what a server can't call itself on the wire.
 *
 * @param name The name.
 * @throws {HeadwaterError} `INVALID_ARGUMENT`.
 */
export function requireServerName(name: unknown): void {
  if (typeof name === "string" && /^[!-~]{1,255}$/.test(name)) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot open a writer store: serverName is ${
      quote(String(name))
    }; give up ` +
      "to 255 characters of ASCII without spaces: example.org, localhost:8823",
  );
}

/** The longest line of the wire, in bytes. */
export function lineLimit(
  { maxLineBytes, synapseCompatible }: Pick<
    WriterStoreOptions,
    "maxLineBytes" | "synapseCompatible"
  >,
): number {
  if (maxLineBytes !== undefined) return maxLineBytes;
  return synapseCompatible ? SYNAPSE_MAX_LINE_BYTES : MAX_LINE_BYTES;
}
