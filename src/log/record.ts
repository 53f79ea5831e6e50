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
