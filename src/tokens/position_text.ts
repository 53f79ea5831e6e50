/**
 * Positions as text that fits in a header, a cookie or a URL.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { MAX_POSITION_TEXT } from "../runtime/limits.ts";
import { isHolderText } from "./holders.ts";
import { parseToken, type Token } from "./token.ts";

/**
 * The first byte.
 *
 * 1. Names and tokens.
 * 2. After each token who held the name: the fence, or 0 if nobody is known,
 *    and then the check sum of the holder's id, 4. Written where one is known.
 */
const TOKENS_ONLY = 1;
const WITH_HOLDERS = 2;
const LOG_ID = /^[0-9a-f]{16}$/;
const LOG_ID_BYTES = 8;
const CHECK_BYTES = 2;
const HOLDER_BYTES = 4;
const TEXT = /^[A-Za-z0-9_-]+$/;
const NAME = /^[\x21-\x7e]+$/;

/** What a text says. */
export interface PositionText {
  /** The log that the position is of. */
  readonly logId: string;
  /** How far in it. */
  readonly position: ReadonlyMap<string, Token>;
  /** By instance, who held its name then, as text; as far as it is said. */
  readonly marks: ReadonlyMap<string, string>;
}

/**
 * Writes a position as text: letters, digits, `-` and `_` only; about 40
 * characters for one instance.
 *
 * In bytes, then base64url without padding: the form's version; the log's
 * identity, 8; the number of instances; for each the length of its name, its
 * name, its token, its holder; a check sum of it all, 2. Numbers are base 128, lowest
 * digits first. Instances stand in the order of their names, so that equal
 * positions have equal texts.
 *
 * @param logId The log's identity, 16 hexadecimal digits.
 * @param position The position.
 * @param marks By instance, who holds its name, as text; as far as it is known.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` if it would be longer than 4,096
 *   characters, or a name or token can't be.
 */
export function formatPositionText(
  logId: string,
  position: ReadonlyMap<string, Token>,
  marks: ReadonlyMap<string, string> = new Map(),
): string {
  if (!LOG_ID.test(logId)) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot write a position of log ${quote(String(logId))}: give its ` +
        "identity, 16 hexadecimal digits",
    );
  }
  const version = marks.size === 0 ? TOKENS_ONLY : WITH_HOLDERS;
  const bytes = [version, ...Buffer.from(logId, "hex")];
  pushNumber(bytes, position.size);
  const names = [...position.keys()].sort();
  for (const name of names) {
    if (!NAME.test(name)) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot write a position of instance ${quote(name)}: a name is ASCII ` +
          "without spaces",
      );
    }
    pushNumber(bytes, name.length);
    bytes.push(...Buffer.from(name, "latin1"));
    pushNumber(bytes, parseToken(position.get(name) as Token));
    if (version === WITH_HOLDERS) pushHolder(bytes, marks.get(name));
  }
  bytes.push(...checkSum(bytes));
  const text = Buffer.from(bytes).toString("base64url");
  if (text.length <= MAX_POSITION_TEXT) return text;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot write a position of ${position.size} instances: it would have ` +
      `${text.length} characters, and ${MAX_POSITION_TEXT} are allowed; ` +
      "wait for the commits themselves",
  );
}

/**
 * Reads what {@linkcode formatPositionText} wrote. Nothing that was cut off,
 * changed or made up is taken for a position.
 *
 * @param text The text, perhaps from outside.
 * @throws {HeadwaterError} `POSITION_INVALID`, saying what is wrong.
 */
export function parsePositionText(text: string): PositionText {
  if (typeof text !== "string" || text.length > MAX_POSITION_TEXT) {
    throw invalid(text, `it is longer than ${MAX_POSITION_TEXT} characters`);
  }
  if (!TEXT.test(text)) {
    throw invalid(
      text,
      'it has other characters than letters, digits, "-", "_"',
    );
  }
  const bytes = Buffer.from(text, "base64url");
  const version = bytes[0];
  if (version !== TOKENS_ONLY && version !== WITH_HOLDERS) {
    throw invalid(
      text,
      `its version is ${version ?? "missing"}, and this release knows ` +
        `${TOKENS_ONLY} and ${WITH_HOLDERS}`,
    );
  }
  const end = bytes.length - CHECK_BYTES;
  const [high, low] = checkSum(bytes.subarray(0, Math.max(0, end)));
  if (
    end < 1 + LOG_ID_BYTES + 1 || bytes[end] !== high ||
    bytes[end + 1] !== low ||
    bytes.toString("base64url") !== text
  ) {
    throw invalid(text, "it was cut off or changed on its way");
  }
  const reader = new ByteReader(text, bytes.subarray(0, end));
  reader.skip(1);
  const logId = reader.take(LOG_ID_BYTES).toString("hex");
  const position = new Map<string, Token>();
  const marks = new Map<string, string>();
  let before = "";
  for (let left = reader.number(); left > 0; left -= 1) {
    const name = reader.take(reader.number()).toString("latin1");
    if (!NAME.test(name) || name <= before) {
      throw invalid(text, "a name can't be");
    }
    position.set(name, parseToken(reader.number()));
    const holder = version === WITH_HOLDERS ? reader.holder() : undefined;
    if (holder !== undefined) marks.set(name, holder);
    before = name;
  }
  if (!reader.isAtEnd) throw invalid(text, "something follows its last token");
  return { logId, position, marks };
}

/** Takes bytes one after another; none beyond the last. */
class ByteReader {
  readonly #text: string;
  readonly #bytes: Buffer;
  #at = 0;

  constructor(text: string, bytes: Buffer) {
    this.#text = text;
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  skip(count: number): void {
    this.#at += count;
  }

  take(count: number): Buffer {
    const start = this.#at;
    if (count > this.#bytes.length - start) {
      throw invalid(this.#text, "it ends too early");
    }
    this.#at += count;
    return this.#bytes.subarray(start, this.#at);
  }

  /** Who held the name; `undefined` if that wasn't known. */
  holder(): string | undefined {
    const fence = this.number();
    if (fence === 0) return undefined;
    const holder = `${fence}-${this.take(HOLDER_BYTES).toString("hex")}`;
    if (isHolderText(holder)) return holder;
    throw invalid(this.#text, "a holder can't be");
  }

  number(): number {
    let value = 0;
    for (let factor = 1;; factor *= 128) {
      const byte = this.take(1).readUInt8();
      value += (byte & 127) * factor;
      if (value > Number.MAX_SAFE_INTEGER || factor > Number.MAX_SAFE_INTEGER) {
        throw invalid(this.#text, "a number is too large");
      }
      if (byte < 128) return value;
    }
  }
}

function pushNumber(bytes: number[], value: number): void {
  let left = value;
  while (left >= 128) {
    bytes.push(left % 128 + 128);
    left = Math.floor(left / 128);
  }
  bytes.push(left);
}

function pushHolder(bytes: number[], holder: string | undefined): void {
  const [fence, check] = holder?.split("-") ?? [];
  pushNumber(bytes, Number(fence ?? 0));
  bytes.push(...Buffer.from(check ?? "", "hex"));
}

/** Fletcher's, of 16 bits: finds what was cut, swapped or mistyped. It guards nothing. */
function checkSum(bytes: Iterable<number>): [number, number] {
  let sum = 0;
  let sums = 0;
  for (const byte of bytes) {
    sum = (sum + byte) % 255;
    sums = (sums + sum) % 255;
  }
  return [sums, sum];
}

function invalid(text: unknown, problem: string): HeadwaterError {
  return new HeadwaterError(
    "POSITION_INVALID",
    `Cannot read position ${quote(String(text))}: ${problem}; give a text ` +
      "that currentToken() gave",
  );
}
