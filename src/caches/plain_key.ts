/**
 * What the caches that nobody streams to are keyed by.
 *
 * @module
 */

/** A key that is compared by what it is, not by where it stands in memory. */
export type PlainKey = string | number | bigint | boolean;
