/**
 * The streams that a store knows, by name.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";
import { cachesStream, eventsStream } from "./builtin_streams.ts";
import type { Stream } from "./stream.ts";

/** The built-in streams, and the user's own. */
export class StreamRegistry {
  readonly #streams = new Map<string, Stream>();

  /**
   * Constructs a registry.
   *
   * @param streams The user's streams.
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if two have one name, or one a built-in name.
   */
  constructor(streams: readonly Stream[]) {
    for (const stream of [cachesStream, eventsStream, ...streams]) {
      if (this.#streams.has(stream.name)) {
        throw new HeadwaterError(
          "INVALID_ARGUMENT",
          `Cannot declare stream "${stream.name}" twice; give it another name`,
        );
      }
      this.#streams.set(stream.name, stream as Stream);
    }
  }

  /** Every name, the built-in ones first. */
  get names(): readonly string[] {
    return [...this.#streams.keys()];
  }

  /** Those whose rows are in the log. */
  get durableNames(): readonly string[] {
    return this.names.filter((name) => this.get(name).isDurable);
  }

  /** Those whose rows are in the writer's memory. */
  get ephemeral(): readonly Stream[] {
    return [...this.#streams.values()].filter(({ isDurable }) => !isDurable);
  }

  /** Whether a stream has been declared. */
  has(name: string): boolean {
    return this.#streams.has(name);
  }

  /**
   * Refuses a stream whose rows are in no log.
   *
   * @throws {HeadwaterError} `STREAM_UNKNOWN`, or `INVALID_ARGUMENT`.
   */
  requireDurable(name: string): void {
    if (this.get(name).isDurable) return;
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot read stream "${name}" from the log: it is declared with ` +
        "durable: false; subscribe to it",
    );
  }

  /**
   * Finds a stream by name.
   *
   * @throws {HeadwaterError} `STREAM_UNKNOWN`, listing the known ones.
   */
  get(name: string): Stream {
    const stream = this.#streams.get(name);
    if (stream !== undefined) return stream;
    throw new HeadwaterError(
      "STREAM_UNKNOWN",
      `Cannot use stream ${quote(String(name))}: the streams are ` +
        `${this.names.join(", ")}; declare it in the option "streams"`,
    );
  }
}
