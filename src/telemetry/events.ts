/**
 * What is told on `node:diagnostics_channel`.
 *
 * @module
 */

import type { Token } from "../tokens/token.ts";

/** A transaction is durable. One that changed nothing is not told of. */
export interface CommitEvent {
  /** Who wrote it. */
  readonly instance: string;
  /** Its token. */
  readonly token: Token;
  /** What `transaction` was told that it does. */
  readonly name: string;
  /** Its rows, in all streams. */
  readonly rows: number;
  /** How often it was run. */
  readonly attempts: number;
}

/** A reader has applied what an instance wrote: one transaction, or a step of a catch-up. */
export interface AppliedEvent {
  /** Who wrote it. */
  readonly instance: string;
  /** The token that the reader has reached. */
  readonly token: Token;
  /** Transactions that were applied together: 1, or more in a catch-up. */
  readonly transactions: number;
  /** Their rows, in all streams. */
  readonly rows: number;
}

/** A reader has fetched from the log what it had missed. */
export interface CatchUpEvent {
  /** Whose log was fetched. */
  readonly instance: string;
  /** Where it began: the token that had been reached. */
  readonly after: Token;
  /** Where it ended. */
  readonly upTo: Token;
  /** Rows that were fetched, in all streams. */
  readonly rows: number;
}

/** A reader has cleared every cache, for it could not have what it had missed. */
export interface ResetEvent {
  /** Whose log it was. */
  readonly instance: string;
  /** Where it starts over. */
  readonly token: Token;
  /** Why, for people. */
  readonly reason: string;
}

/** Which end of a connection tells of it. */
export type Side = "writer" | "reader";

/** A connection has been made. */
export interface ConnectedEvent {
  /** Who tells of it. */
  readonly side: Side;
  /** The writer's instance; on the reader's side, the name it gives itself. */
  readonly name: string;
  /** Who is at the other end, as far as is known: for the writer an address. */
  readonly peer: string | undefined;
}

/**
 * Why a connection has ended. For the writer: the reader couldn't keep up, it
 * pinged and then fell silent, it never said anything, it said what nobody may,
 * there were too many, the writer closes, or the reader left. For the reader:
 * it closes, or the connection was lost.
 */
export type EndReason =
  | "laggard"
  | "silent"
  | "mute"
  | "invalid"
  | "refused"
  | "closing"
  | "left"
  | "lost";

/** A connection has ended. */
export interface DisconnectedEvent extends ConnectedEvent {
  /** Why. */
  readonly reason: EndReason;
}

/** A reader could not keep up; `headwater:disconnected` follows. */
export interface LaggardEvent {
  /** Who tells of it. */
  readonly side: Side;
  /** The writer's instance. */
  readonly name: string;
  /** The reader, by its name and its address. */
  readonly peer: string;
  /** Bytes that waited for it. */
  readonly queuedBytes: number;
}

/** A part of a cache's key. */
export type CacheKeyPart =
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined;

/** Something happened to one entry of a cache. */
export interface CacheEntryEvent {
  /** The cache's name. */
  readonly cache: string;
  /** The entry's arguments. */
  readonly key: readonly CacheKeyPart[];
}

/** A load of a cache's entry has ended. */
export interface CacheLoadEvent extends CacheEntryEvent {
  /** How long it took, in ms. */
  readonly ms: number;
  /** Whether there is a value; else it failed. */
  readonly isLoaded: boolean;
}

/** Entries of a cache have gone because they may be wrong. */
export interface CacheInvalidateEvent {
  /** The cache's name. */
  readonly cache: string;
  /** What named them: a key, the beginning of keys, or `null` for the whole cache. */
  readonly key: readonly CacheKeyPart[] | null;
  /** How many there were; at least one. */
  readonly entries: number;
}

/** An auditor has found an entry that differs from the database. */
export interface AuditDifferenceEvent extends CacheEntryEvent {
  /** What is known of the entry, for people: when it was loaded, and last invalidated. */
  readonly trace: string;
}

/** What is told, by the channel. */
export interface TelemetryEvents {
  /** A transaction is durable. */
  readonly "headwater:commit": CommitEvent;
  /** A transaction is applied. */
  readonly "headwater:applied": AppliedEvent;
  /** A catch-up is done. */
  readonly "headwater:catch-up": CatchUpEvent;
  /** Every cache was cleared. */
  readonly "headwater:reset": ResetEvent;
  /** A connection has been made. */
  readonly "headwater:connected": ConnectedEvent;
  /** A connection has ended. */
  readonly "headwater:disconnected": DisconnectedEvent;
  /** A reader could not keep up. */
  readonly "headwater:laggard": LaggardEvent;
  /** A cache had what was asked for. */
  readonly "headwater:cache-hit": CacheEntryEvent;
  /** A cache did not, and loads it. */
  readonly "headwater:cache-miss": CacheEntryEvent;
  /** A load has ended. */
  readonly "headwater:cache-load": CacheLoadEvent;
  /** An entry has gone for lack of room. */
  readonly "headwater:cache-evict": CacheEntryEvent;
  /** Entries have gone because they may be wrong. */
  readonly "headwater:cache-invalidate": CacheInvalidateEvent;
  /** A load has ended after its entry had gone, and was not kept. */
  readonly "headwater:cache-fenced": CacheEntryEvent;
  /** An auditor has found an entry that differs from the database. */
  readonly "headwater:audit-difference": AuditDifferenceEvent;
}
