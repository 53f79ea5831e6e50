/**
 * Writing rows that are in no log.
 *
 * @module
 */

import { formatRdataPrefix } from "../protocol/codec.ts";
import { EphemeralLog } from "../replication/ephemeral_log.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import {
  EPHEMERAL_AGE_MS,
  MAX_EPHEMERAL_BYTES,
  MAX_EPHEMERAL_ROWS,
  MAX_LINE_BYTES,
} from "../runtime/limits.ts";
import { encodeRow } from "../streams/rows.ts";
import type { Stream } from "../streams/stream.ts";
import type { StreamRegistry } from "../streams/stream_registry.ts";
import type { WireNames } from "../streams/wire_names.ts";
import type { Token } from "../tokens/token.ts";
import type { EndpointOptions } from "./endpoint_options.ts";

/** What a publisher works with. */
export interface PublisherOptions {
  readonly instance: string;
  readonly streams: StreamRegistry;
  readonly wireNames: WireNames;
  readonly bounds: EndpointOptions & {
    readonly maxLineBytes?: number | undefined;
  };
  /** Tells readers. */
  readonly publish: (
    stream: string,
    token: Token,
    rows: readonly string[],
  ) => void;
  readonly clock: Clock;
}

/** Takes rows of ephemeral streams, holds them for a while, and tells readers. */
export class Publisher {
  readonly #options: PublisherOptions;
  /** By stream. */
  readonly logs: ReadonlyMap<string, EphemeralLog>;

  /** Constructs one that holds nothing. */
  constructor(options: PublisherOptions) {
    this.#options = options;
    const { streams, bounds, clock } = options;
    const held = {
      maxRows: bounds.maxEphemeralRows ?? MAX_EPHEMERAL_ROWS,
      maxChars: bounds.maxEphemeralBytes ?? MAX_EPHEMERAL_BYTES,
      maxAgeMs: bounds.ephemeralAgeMs ?? EPHEMERAL_AGE_MS,
    };
    this.logs = new Map(
      streams.ephemeral.map((
        { name },
      ) => [name, new EphemeralLog(held, clock)]),
    );
  }

  /** Publishes rows under a token of their own. */
  publish<Row>(stream: Stream<Row> | string, rows: readonly Row[]): Token {
    const name = typeof stream === "string" ? stream : stream.name;
    const known = this.#options.streams.get(name);
    const log = this.logs.get(name);
    if (log === undefined) {
      throw refusal(
        name,
        "its rows are in the log; write them with txn.write, or declare it with " +
          "durable: false",
      );
    }
    if (rows.length === 0) throw refusal(name, "give at least one row");
    const encoded = rows.map((row) => encodeRow(known, row));
    this.#requireRoom(name, encoded);
    const token = log.publish(encoded);
    this.#options.publish(name, token, encoded);
    return token;
  }

  #requireRoom(name: string, rows: readonly string[]): void {
    const { instance, wireNames, bounds } = this.#options;
    const {
      maxLineBytes = MAX_LINE_BYTES,
      maxEphemeralRows = MAX_EPHEMERAL_ROWS,
      maxEphemeralBytes = MAX_EPHEMERAL_BYTES,
    } = bounds;
    const wireName = wireNames.toWire(name);
    // Rows and prefixes are ASCII: their length is their size.
    const prefix = formatRdataPrefix(wireName, instance, LONGEST_TOKEN).length;
    const longest = rows.reduce((most, row) => Math.max(most, row.length), 0);
    if (prefix + longest > maxLineBytes) {
      throw new HeadwaterError(
        "ROW_TOO_LONG",
        `Cannot publish rows of stream "${name}": one takes a line of ` +
          `${prefix + longest} bytes, and maxLineBytes is ${maxLineBytes}; ` +
          "publish smaller rows",
      );
    }
    const bytes = rows.reduce((sum, row) => sum + row.length, 0);
    if (rows.length <= maxEphemeralRows && bytes <= maxEphemeralBytes) return;
    throw new HeadwaterError(
      "TRANSACTION_TOO_LARGE",
      `Cannot publish ${rows.length} rows of ${bytes} bytes of stream "${name}" ` +
        `at once: ${maxEphemeralRows} rows and ${maxEphemeralBytes} bytes are ` +
        "held; publish fewer, or raise maxEphemeralRows and maxEphemeralBytes",
    );
  }
}

const LONGEST_TOKEN = Number.MAX_SAFE_INTEGER as Token;

function refusal(name: string, problem: string): HeadwaterError {
  return new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot publish rows of stream "${name}": ${problem}`,
  );
}
