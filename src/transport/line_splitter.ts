/**
 * From chunks of bytes to whole lines, bounded.
 *
 * @module
 */

import { Buffer, isAscii } from "node:buffer";
import { HeadwaterError, quote } from "../runtime/errors.ts";

const NEWLINE = 0x0a;
// A byte order mark is part of its line, wherever the chunk begins.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Cuts chunks at their last newline and keeps what follows for the next.
 *
 * Lines are handed on together: decoding a chunk once and finding newlines in
 * the text is a third of the work of decoding line by line. A newline is never
 * part of another character in UTF-8, so no character is cut.
 */
export class LineSplitter {
  readonly #maxLineBytes: number;
  #kept: Buffer[] = [];
  #keptBytes = 0;

  /** Constructs a splitter; `maxLineBytes` is a line's bound without its newline. */
  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /**
   * Takes a chunk.
   *
   * @param chunk What arrived. May be reused by its owner afterwards.
   * @returns The lines that are whole by now, each with its newline; may be empty.
   * @throws {HeadwaterError} `LINE_TOO_LONG`, or `LINE_INVALID` for bytes that are not UTF-8.
   */
  push(chunk: Buffer): string {
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end === 0) {
      this.#keep(Buffer.from(chunk));
      return "";
    }
    const whole = this.#keptBytes === 0
      ? chunk.subarray(0, end)
      : Buffer.concat([...this.#kept, chunk.subarray(0, end)]);
    this.#kept = [];
    this.#keptBytes = 0;
    if (whole.length > this.#maxLineBytes) this.#checkLengths(whole);
    const text = decode(whole);
    if (end < chunk.length) this.#keep(Buffer.from(chunk.subarray(end)));
    return text;
  }

  #keep(part: Buffer): void {
    this.#kept.push(part);
    this.#keptBytes += part.length;
    if (this.#keptBytes > this.#maxLineBytes) {
      throw tooLong(Buffer.concat(this.#kept), this.#maxLineBytes);
    }
  }

  #checkLengths(whole: Buffer): void {
    let start = 0;
    while (start < whole.length) {
      const end = whole.indexOf(NEWLINE, start);
      if (end - start > this.#maxLineBytes) {
        throw tooLong(whole.subarray(start), this.#maxLineBytes);
      }
      start = end + 1;
    }
  }
}

function decode(bytes: Buffer): string {
  if (isAscii(bytes)) return bytes.toString("latin1");
  try {
    return decoder.decode(bytes);
  } catch (error) {
    throw new HeadwaterError(
      "LINE_INVALID",
      `failed to parse line: not UTF-8 (${
        quote(bytes.toString("latin1", 0, 201))
      })`,
      { cause: error },
    );
  }
}

function tooLong(line: Buffer, maxLineBytes: number): HeadwaterError {
  return new HeadwaterError(
    "LINE_TOO_LONG",
    `Line length exceeded: more than ${maxLineBytes} bytes (${
      quote(line.toString("latin1", 0, 201))
    })`,
  );
}
