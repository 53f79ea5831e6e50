/**
 * Streams: named, typed sequences of rows.
 *
 * @module
 */

import type { z } from "zod";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";

/** A stream's name and the schema of its rows. */
export interface Stream<Row = unknown> {
  /** The name, in the log and on the wire. */
  readonly name: string;
  /** What a row is. */
  readonly schema: z.ZodType<Row>;
  /** Whether its rows are in the log; if not, they are in the writer's memory. */
  readonly isDurable: boolean;
  /** Whether caches may hold what its rows tell of. */
  readonly touchesCaches: boolean;
}

/** How a stream is kept. */
export interface StreamOptions {
  /**
   * Whether rows are recorded in the log, under their transaction's token.
   * Those of a stream with `false` are kept in the writer's memory for a while
   * and written with `writer.publish`; its tokens are its own, and start over
   * when the writer does.
   *
   * @default {true}
   */
  readonly durable?: boolean | undefined;

  /**
   * With `durable: false`: whether a cache may hold what the rows tell of. If
   * rows were missed for good, a reader then clears every cache.
   *
   * @default {true}
   */
  readonly touchesCaches?: boolean | undefined;
}

/** The names of {@linkcode StreamOptions}. */
export const STREAM_OPTIONS: OptionNames<StreamOptions> = {
  durable: true,
  touchesCaches: true,
};

/** The row type of a stream. */
export type RowOf<S extends Stream> = S extends Stream<infer Row> ? Row : never;

// Names stand between spaces on the wire, so they hold none.
const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/;

/**
 * Declares a stream. Writers and readers share the declaration.
 *
 * @param name A letter or `_`, then up to 63 letters, digits, `_`, `.` or `-`.
 * @param schema What a row is; the row as the schema gives it back must be plain JSON.
 *   It answers at once: one with asynchronous refinements is refused by what asks it.
 * @param options How it is kept; in the log by default.
 * @returns The stream, for `txn.write`, or `writer.publish`, and `subscribe`.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for another name, or an option
 *   that there isn't.
 *
 * @example Usage
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { defineStream } from "headwater";
 * import { z } from "zod";
 *
 * const orders = defineStream("orders", z.object({ id: z.string(), cents: z.int() }));
 * equal(orders.name, "orders");
 * ```
 */
export function defineStream<Row>(
  name: string,
  schema: z.ZodType<Row>,
  options: StreamOptions = {},
): Stream<Row> {
  if (!isName(name)) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot define stream ${quote(String(name))}: give a letter or "_", ` +
        'then up to 63 letters, digits, "_", "." or "-"',
    );
  }
  requireNames(`define stream ${quote(name)}`, STREAM_OPTIONS, options);
  const { durable = true, touchesCaches = true } = options;
  return Object.freeze({ name, schema, isDurable: durable, touchesCaches });
}

/** Whether a text may name a stream or an instance. */
export function isName(text: unknown): text is string {
  return typeof text === "string" && NAME.test(text);
}
