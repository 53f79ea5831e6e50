/**
 * What a connection reads: whole lines, up to one that can't be.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import { LineError, LineSplitter } from "./line_splitter.ts";
import { isTls, SPEAKS_TLS } from "./tls_errors.ts";
import type { ConnectionHandler } from "./transport.ts";

/** Cuts chunks into lines. After one that can't be it reads nothing more. */
export class LineReader {
  readonly #splitter: LineSplitter;
  #failure: LineError | undefined;
  #hasBegun = false;
  #isTold = false;

  /** Constructs one; `maxLineBytes` is a line's bound without its newline. */
  constructor(maxLineBytes: number) {
    this.#splitter = new LineSplitter(maxLineBytes);
  }

  /** Takes a chunk, and gives the lines that are whole by now; may be empty. */
  read(chunk: Buffer): string {
    if (this.#failure !== undefined) return "";
    // It may hold no newline at all, and would be waited for.
    if (!this.#hasBegun && isTls(chunk)) {
      const problem = `failed to parse line: ${SPEAKS_TLS}`;
      this.#failure = new LineError(
        "LINE_INVALID",
        problem,
        chunk.subarray(0, 2),
        "",
      );
      return "";
    }
    this.#hasBegun = true;
    try {
      return this.#splitter.push(chunk);
    } catch (error) {
      this.#failure = error as LineError;
      return this.#failure.before;
    }
  }

  /** Tells of a line that can't be, once: to be called when those before it were taken. */
  tellFailure(handler: ConnectionHandler | undefined): void {
    if (this.#failure === undefined || this.#isTold) return;
    this.#isTold = true;
    handler?.failed(this.#failure);
  }
}
