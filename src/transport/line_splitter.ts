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

/** A line that can't be, and what stood before it. */
export class LineError extends HeadwaterError {
  /** The lines before it that were not handed on, each with its newline; may be empty. */
  readonly before: string;

  /**
   * Constructs an error that quotes the line.
   *
   * @param code `LINE_TOO_LONG`, or `LINE_INVALID` for bytes that are not UTF-8.
   * @param problem What is wrong with it.
   * @param line Its bytes, or their beginning.
   * @param before The lines before it.
   */
  constructor(
    code: "LINE_INVALID" | "LINE_TOO_LONG",
    problem: string,
    line: Buffer,
    before: string,
  ) {
    super(code, `${problem} (${quote(line.toString("latin1", 0, 201))})`);
    this.before = before;
  }
}

/**
 * Cuts chunks at their last newline and keeps what follows for the next.
 *
 * Lines are handed on together: decoding a chunk once and finding newlines in
 * the text is a third of the work of decoding line by line. A newline is never
 * part of another character in UTF-8, so no character is cut. Only once
 * something is wrong are they looked at one by one, to find out which it is.
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
   * @throws {LineError} `LINE_TOO_LONG`, or `LINE_INVALID` for bytes that are
   *   not UTF-8. It has the good lines before that one; nothing may follow it.
   */
  push(chunk: Buffer): string {
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end === 0) {
      this.#keep(chunk, "");
      return "";
    }
    const whole = this.#keptBytes === 0
      ? chunk.subarray(0, end)
      : Buffer.concat([...this.#kept, chunk.subarray(0, end)]);
    this.#kept = [];
    this.#keptBytes = 0;
    if (whole.length > this.#maxLineBytes) this.#checkLengths(whole);
    const text = decode(whole) ?? this.#failAtFirst(whole);
    if (end < chunk.length) this.#keep(chunk.subarray(end), text);
    return text;
  }

  /** Keeps a copy of what has no end yet. */
  #keep(part: Buffer, before: string): void {
    this.#kept.push(Buffer.from(part));
    this.#keptBytes += part.length;
    if (this.#keptBytes > this.#maxLineBytes) {
      throw this.#tooLong(Buffer.concat(this.#kept), before);
    }
  }

  #checkLengths(whole: Buffer): void {
    let start = 0;
    while (start < whole.length) {
      const end = whole.indexOf(NEWLINE, start);
      if (end - start > this.#maxLineBytes) this.#failAtFirst(whole);
      start = end + 1;
    }
  }

  /** Fails with the first line that can't be; there is one. */
  #failAtFirst(whole: Buffer): never {
    let before = "";
    let start = 0;
    while (true) {
      const end = whole.indexOf(NEWLINE, start) + 1;
      const line = whole.subarray(start, end - 1);
      if (line.length > this.#maxLineBytes) throw this.#tooLong(line, before);
      const text = decode(whole.subarray(start, end));
      if (text === undefined) throw notText(line, before);
      before += text;
      start = end;
    }
  }

  #tooLong(line: Buffer, before: string): LineError {
    const problem =
      `Line length exceeded: more than ${this.#maxLineBytes} bytes`;
    return new LineError("LINE_TOO_LONG", problem, line, before);
  }
}

function notText(line: Buffer, before: string): LineError {
  const problem = "failed to parse line: not UTF-8";
  return new LineError("LINE_INVALID", problem, line, before);
}

/** The text of some lines; `undefined` if they are not UTF-8. */
function decode(bytes: Buffer): string | undefined {
  if (isAscii(bytes)) return bytes.toString("latin1");
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}
