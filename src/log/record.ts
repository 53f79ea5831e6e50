/**
 * What the log is made of.
 *
 * @module
 */

import type { Token } from "../tokens/token.ts";

/** The rows of one stream under one token. */
export interface LogRecord {
  /** The transaction's token. */
  readonly token: Token;
  /** The stream's name. */
  readonly stream: string;
  /** The rows, each as JSON on one line of ASCII; at least one. */
  readonly rows: readonly string[];
}

/** What one transaction leaves in the log. */
export interface LogEntry {
  /** Rows as JSON, by stream; may be empty. */
  readonly rows: ReadonlyMap<string, readonly string[]>;
  /** The transaction's random mark. */
  readonly commitId: string;
  /** The wall-clock time, in ms. */
  readonly committedMs: number;
  /** Which versions of which aggregates are among the rows. */
  readonly appends?: readonly AppendedVersions[] | undefined;
  /** The events among them whose ids users gave. */
  readonly eventIds?: readonly GivenEventId[] | undefined;
}

/** The versions of one aggregate that stand under one token. */
export interface AppendedVersions {
  readonly aggregate: string;
  readonly first: number;
  readonly last: number;
  /** Whether the aggregate is closed with them. */
  readonly isLast: boolean;
}

/** An event's id, where a user gave it. */
export interface GivenEventId {
  readonly eventId: string;
  readonly aggregate: string;
  readonly version: number;
}
