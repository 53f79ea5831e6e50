/**
 * What an audit is asked for, and what it tells.
 *
 * @module
 */

import type { CachedMethod } from "../caches/cached_method.ts";
import type { KeyArgument } from "../caches/key_parts.ts";
import type { KeyTrace } from "../replication/key_trace.ts";
import type { OptionNames } from "../runtime/option_names.ts";
import type { Position } from "../tokens/position.ts";

/** Options of `audit`. */
export interface AuditOptions {
  /**
   * The share of a cache's entries that is read anew each time it is gone
   * through: more than 0, at most 1.
   *
   * @default {0.1}
   */
  readonly sampleRate?: number | undefined;

  /**
   * Entries that are read anew in a second, at most. It is one at a time.
   *
   * @default {10}
   */
  readonly budgetPerSecond?: number | undefined;

  /**
   * The caches to go through, by method or by name: of stores that are attached.
   *
   * @default {all}
   */
  readonly caches?: readonly (CachedMethod | string)[] | undefined;

  /**
   * Caches to leave alone: of methods that give another answer each time, or one
   * that may be old by design.
   *
   * @default {none}
   */
  readonly except?: readonly (CachedMethod | string)[] | undefined;

  /** Is told of each difference, beside the logger. What it throws is logged. */
  readonly onDifference?: ((difference: AuditDifference) => void) | undefined;

  /**
   * Whether a difference shows the two values. Else it shows digests of them,
   * which tell that they differ and nothing more.
   *
   * @default {false}
   */
  readonly showValues?: boolean | undefined;

  /**
   * How long to wait, in ms, until this process has reached the token at which
   * an entry is to be judged. One that takes longer is skipped.
   *
   * @default {10000}
   */
  readonly timeoutMs?: number | undefined;

  /** Ends the audit. */
  readonly signal?: AbortSignal | undefined;
}

/** The names of {@linkcode AuditOptions}. */
export const AUDIT_OPTIONS: OptionNames<AuditOptions> = {
  sampleRate: true,
  budgetPerSecond: true,
  caches: true,
  except: true,
  onDifference: true,
  showValues: true,
  timeoutMs: true,
  signal: true,
};

/** An entry that differs from the database, though it must not. */
export interface AuditDifference {
  /** The cache's name. */
  readonly cache: string;
  /** The entry's arguments. */
  readonly key: readonly KeyArgument[];
  /** The value in the cache; with `showValues: false`, a digest. */
  readonly cached: unknown;
  /** The value that was read anew; with `showValues: false`, a digest. */
  readonly database: unknown;
  /** What this process had reached, with the entry still there: all that was read is contained. */
  readonly position: Position;
  /** When the entry was loaded, and what has invalidated it last. */
  readonly trace: KeyTrace;
}

/** What an audit has done so far. */
export interface AuditStats {
  /** Entries that were judged: those that differ included. */
  readonly checked: number;
  /** Entries that differed from the database at a token that had been reached. Must be 0. */
  readonly differing: number;
  /** Entries that differed at first, and had gone once the token was reached: as it should be. */
  readonly behind: number;
  /** Entries that could not be judged: loading, failing to load, or the token not reached in time. */
  readonly skipped: number;
  /**
   * -log10 of the share that differed, where none counts as one: 3 says that of
   * 1,000 none or one did.
   */
  readonly nines: number;
}

/** An audit that goes on until it is closed, or its store is. */
export interface Audit extends AsyncDisposable {
  /** What it has done so far. */
  readonly stats: AuditStats;
  /** Ends it. */
  close(): Promise<void>;
}
