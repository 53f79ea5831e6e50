/**
 * What a connection has told of positions.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";
import { MAX_FOLLOWED_STREAMS, MAX_INSTANCES } from "../runtime/limits.ts";
import type { Token } from "../tokens/token.ts";

/** Remembers, of one connection, who has told his position, and where streams stood. */
export class ToldPositions {
  readonly #instances = new Set<string>();
  readonly #tokens = new Map<string, Token>();

  /**
   * Promise 9, bounded: an instance's name costs memory and a look in the log,
   * so one connection may bring so many of them only.
   *
   * @throws {HeadwaterError} `LINE_INVALID` for one more.
   */
  admit(instance: string): void {
    if (this.#instances.has(instance)) return;
    if (this.#instances.size >= MAX_INSTANCES) {
      throw new HeadwaterError(
        "LINE_INVALID",
        `Cannot follow instance ${quote(instance)}: this connection has told ` +
          `of ${MAX_INSTANCES} others; look at who writes at the other end`,
      );
    }
    this.#instances.add(instance);
  }

  /** Notes where a stream of an instance is; says whether that is further back. */
  movesBack(stream: string, instance: string, token: Token): boolean {
    const key = `${instance} ${stream}`;
    const told = this.#tokens.get(key);
    // One stream that is forgotten is noticed by the others.
    if (told === undefined && this.#tokens.size >= MAX_FOLLOWED_STREAMS) {
      this.#tokens.clear();
    }
    this.#tokens.set(key, token);
    return told !== undefined && token < told;
  }

  /** Forgets all, as the connection is lost. */
  clear(): void {
    this.#instances.clear();
    this.#tokens.clear();
  }
}
