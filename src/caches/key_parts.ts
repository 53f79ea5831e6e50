/**
 * The parts of a cache's key: a method's arguments, and what becomes of them on
 * the wire.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";
import type { KeyPart } from "../streams/builtin_streams.ts";

/**
 * An argument that can be part of a key. On the wire, which is JSON, a bigint is
 * its decimal text and `undefined` is `null`; trailing `undefined`s are left
 * out, as if they had not been given. Entries are told apart all the same: an
 * invalidation drops all that would be alike on the wire.
 */
export type KeyArgument = KeyPart | bigint | undefined;

/** How many parts a key has: trailing `undefined`s were as good as not given. */
export function countParts(parts: readonly unknown[]): number {
  let count = parts.length;
  while (count > 0 && parts[count - 1] === undefined) count -= 1;
  return count;
}

/** A key as it is on the wire. The parts are valid: see {@linkcode checkKey}. */
export function toWireKey(parts: readonly KeyArgument[]): KeyPart[] {
  const key: KeyPart[] = [];
  for (let index = 0; index < countParts(parts); index += 1) {
    const part = parts[index];
    key.push(typeof part === "bigint" ? String(part) : part ?? null);
  }
  return key;
}

/** What a part from the wire may stand for besides itself, if anything. */
export function otherMeaning(part: KeyPart): KeyArgument | typeof NO_OTHER {
  if (part === null) return undefined;
  if (typeof part !== "string" || !INTEGER.test(part)) return NO_OTHER;
  return BigInt(part);
}

/** Whether a part is alike on the wire with one of another kind. */
export function isAmbiguous(part: KeyArgument): boolean {
  return part === undefined || typeof part === "bigint";
}

/** A part that stands for itself alone. */
export const NO_OTHER: unique symbol = Symbol("no other");

/** The bigints that texts from the wire may stand for; longer ones are no keys. */
const INTEGER = /^(?:0|-?[1-9]\d{0,999})$/;
const BIGINT_LIMIT = 10n ** 1_000n;

/**
 * A text of one piece. One made by slicing or joining keeps its sources alive
 * and takes up to 2.4 times as long to look up, each time.
 */
export function flatten(part: KeyArgument): KeyArgument {
  return typeof part === "string" ? JSON.parse(JSON.stringify(part)) : part;
}

/**
 * Refuses what can't name an entry in every process alike.
 *
 * @param name The cache's name, for the error.
 * @param parts The arguments.
 * @throws {HeadwaterError} `KEY_INVALID`.
 */
export function checkKey(name: string, parts: readonly unknown[]): void {
  if (!Array.isArray(parts)) {
    throw new HeadwaterError(
      "KEY_INVALID",
      `Cannot use ${
        quote(String(parts))
      } as a key of "${name}": give the array of its arguments`,
    );
  }
  for (let index = 0; index < parts.length; index += 1) {
    if (isKeyArgument(parts[index])) continue;
    throw new HeadwaterError(
      "KEY_INVALID",
      `Cannot use argument ${index + 1} of "${name}" as a key: it is ` +
        `${show(parts[index])}; give a string, a finite number, a bigint, ` +
        "a boolean, null or undefined",
    );
  }
}

function isKeyArgument(part: unknown): boolean {
  switch (typeof part) {
    case "string":
    case "boolean":
    case "undefined":
      return true;
    case "bigint":
      return part < BIGINT_LIMIT && part > -BIGINT_LIMIT;
    case "number":
      return Number.isFinite(part);
    default:
      return part === null;
  }
}

function show(part: unknown): string {
  if (typeof part === "object") return "an object";
  if (typeof part === "bigint") return "a bigint of more than 1,000 digits";
  return typeof part === "function" ? "a function" : String(part);
}
