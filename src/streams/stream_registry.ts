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

  /** Whether a stream has been declared. */
  has(name: string): boolean {
    return this.#streams.has(name);
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
