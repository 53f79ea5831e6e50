/**
 * Amounts of memory, as people write them.
 *
 * @module
 */

import { HeadwaterError, show } from "./errors.ts";

/** Bytes: a number, or a text such as `"512KiB"`, `"256MiB"` or `"2GiB"`. */
export type ByteSize = number | string;

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  "B": 1,
  "KiB": 1024,
  "MiB": 1024 ** 2,
  "GiB": 1024 ** 3,
};

/**
 * Reads an amount of memory.
 *
 * @param size The amount.
 * @param option What it is for, for the error.
 * @returns Bytes, a positive integer.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for what is none.
 */
export function toBytes(size: ByteSize, option: string): number {
  const [, digits, unit = ""] =
    /^(\d+(?:\.\d+)?) ?(|B|KiB|MiB|GiB)$/.exec(String(size)) ?? [];
  const bytes = Math.floor(Number(digits) * (UNITS[unit] ?? NaN));
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot use ${
      show(size)
    } as ${option}: give a positive number of bytes, or a text such as ` +
      '"256MiB" (KiB, MiB, GiB)',
  );
}
