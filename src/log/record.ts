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
  /**
   * The lines of its body, of ASCII; at least one. Each is a row as JSON; one of
   * the `caches` stream may stand for many, as the wire's short form does.
   */
  readonly lines: readonly string[];
}

/** What a record is to hold. */
export interface RecordBody {
  readonly rowCount: number;
  /** The rows' lines, `ROW_SEPARATOR` between them. */
  readonly body: string;
}

/** What one transaction leaves in the log. */
export interface LogEntry {
  /** The records, by stream; may be empty. */
  readonly bodies: ReadonlyMap<string, RecordBody>;
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
