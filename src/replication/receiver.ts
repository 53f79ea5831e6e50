/**
 * Who takes what a connection to a writer brings.
 *
 * @module
 */

import type { InvalidateCommand } from "../protocol/command.ts";
import type { Token } from "../tokens/token.ts";

/**
 * What to do with what a writer sends. Where a call returns a promise, the
 * next line is read once it has resolved; what it throws is sent to the writer
 * as ERROR, and ends the connection.
 */
export interface Receiver {
  /** An RDATA line; `token` is `undefined` for `batch`. */
  row(
    stream: string,
    instance: string,
    token: Token | undefined,
    row: string,
  ): void | Promise<void>;
  /**
   * An INVALIDATE line, and how long it is. Only a receiver that has this is
   * ever sent one.
   */
  invalidations?(
    command: InvalidateCommand,
    chars: number,
  ): void | Promise<void>;
  /** A POSITION line. */
  position(
    stream: string,
    instance: string,
    previous: Token,
    token: Token,
  ): void | Promise<void>;
  /** A HELD line: from here on this holder of the instance's name writes. */
  held?(instance: string, holder: string): void;
  /** The connection is lost: what was not complete will come again. */
  disconnected(): void;
  /** Whether it has caught up on this connection, so that the next backoff is a first one. */
  readonly isLive: boolean;
}
