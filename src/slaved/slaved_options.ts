/**
 * How a slaved store is connected.
 *
 * @module
 */

import {
  DATABASE_OPTIONS,
  type DatabaseOptions,
} from "../database/open_database.ts";
import type { CatchUpProgress } from "../replication/catch_up_progress.ts";
import {
  DECLARATION_OPTIONS,
  type DeclarationOptions,
} from "../store/declarations.ts";
import {
  ENVIRONMENT_OPTIONS,
  type EnvironmentOptions,
} from "../runtime/environment.ts";
import {
  JOURNAL_OPTIONS,
  type JournalOptions,
} from "../replication/invalidation_journal.ts";
import {
  KEEP_ALIVE_OPTIONS,
  type KeepAliveOptions,
} from "../replication/keep_alive.ts";
import type { OptionNames } from "../runtime/option_names.ts";
import type { Address, TlsOptions } from "../transport/transport.ts";
import type { WriterHttpOptions } from "./writer_calls.ts";

/** Options of `SlavedStore.connect`. */
export interface SlavedStoreOptions
  extends
    DatabaseOptions,
    KeepAliveOptions,
    DeclarationOptions,
    WriterHttpOptions,
    JournalOptions,
    EnvironmentOptions {
  /**
   * The writer's database: `sqlite:FILE` or `postgres://USER@HOST/DATABASE`. Its
   * sessions are read-only; SQL that means to can switch that off on PostgreSQL,
   * so for SQL that isn't trusted give a user that may only `SELECT`.
   */
  readonly database: string;

  /**
   * Where the writer listens: `tcp://HOST:PORT`, `tls://HOST:PORT`, `unix:PATH`,
   * `memory:NAME`, a `MessagePort` that a writer or a relay serves, or a
   * transport; several, where several write. An instance that is not among them
   * is followed through the database.
   *
   * `redis://HOST:PORT` for writers that publish there: the channel is
   * `serverName`, or what `?channel=NAME` says. `notify:` for writers that do
   * nothing but poke through PostgreSQL; their rows are read from the database.
   * `[]` for none: it looks there every `pollIntervalMs`.
   */
  readonly replicate: Address | readonly Address[];

  /**
   * What `tls:`, `rediss:` and `https:` trust, and how this process shows who it
   * is.
   */
  readonly tls?: TlsOptions | undefined;

  /**
   * PostgreSQL: a read replica of the database, `postgres://USER@HOST/DATABASE`,
   * that stores read from. A token counts as reached once it is visible there.
   *
   * @default {stores read from the database}
   */
  readonly replica?: string | undefined;

  /**
   * How often to look in the database for instances without a connection, in
   * ms; 0 for never.
   *
   * @default {1000}
   */
  readonly pollIntervalMs?: number | undefined;

  /**
   * What this process is called in the writer's logs.
   *
   * @default {"slaved"}
   */
  readonly name?: string | undefined;

  /**
   * The name that the writer's server must have.
   *
   * @default {any}
   */
  readonly serverName?: string | undefined;

  /**
   * How long to try for a first connection, in ms.
   *
   * @default {10000}
   */
  readonly connectTimeoutMs?: number | undefined;

  /**
   * Keys of one cache that a catch-up invalidates one by one in each of its
   * steps, of thousands of transactions; beyond, it clears the cache.
   *
   * @default {10000}
   */
  readonly maxCatchUpKeys?: number | undefined;

  /** Is told how a catch-up comes along, page by page. What it throws is logged. */
  readonly onProgress?: ((progress: CatchUpProgress) => void) | undefined;

  /**
   * Whether each transaction that is applied makes a span, `headwater.apply`, for
   * the OpenTelemetry tracer that is installed when the store connects.
   *
   * @default {false}
   */
  readonly traceApplied?: boolean | undefined;

  /** Gives up connecting. */
  readonly signal?: AbortSignal | undefined;

  /**
   * The longest line that is taken from the writer, and the longest command that
   * is sent to it, in bytes: not more than the writer's own `maxLineBytes`, which
   * is 16,384 where it is `synapseCompatible`.
   *
   * @default {1048576}
   */
  readonly maxLineBytes?: number | undefined;

  /**
   * How often Redis is asked whether it is there, in ms, and how long it may
   * take to answer. One that doesn't is connected to again.
   *
   * @default {30000}
   */
  readonly redisPingIntervalMs?: number | undefined;

  /**
   * Users, by device, that are told to be connected to this process at a time.
   *
   * @default {100000}
   */
  readonly maxPresentUsers?: number | undefined;

  /**
   * The first pause before connecting again, in ms; each next is e times longer.
   *
   * @default {100}
   */
  readonly minBackoffMs?: number | undefined;

  /**
   * The longest pause before connecting again, in ms.
   *
   * @default {2000}
   */
  readonly maxBackoffMs?: number | undefined;
}

/** The names of {@linkcode SlavedStoreOptions}. */
export const SLAVED_OPTIONS: OptionNames<SlavedStoreOptions> = {
  ...DATABASE_OPTIONS,
  ...KEEP_ALIVE_OPTIONS,
  ...DECLARATION_OPTIONS,
  ...JOURNAL_OPTIONS,
  ...ENVIRONMENT_OPTIONS,
  database: true,
  replicate: true,
  tls: true,
  replica: true,
  pollIntervalMs: true,
  name: true,
  serverName: true,
  connectTimeoutMs: true,
  maxCatchUpKeys: true,
  onProgress: true,
  traceApplied: true,
  signal: true,
  maxLineBytes: true,
  redisPingIntervalMs: true,
  maxPresentUsers: true,
  minBackoffMs: true,
  maxBackoffMs: true,
  http: true,
  httpSecret: true,
};
