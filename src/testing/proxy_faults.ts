/**
 * What a fault proxy does by chance.
 *
 * @module
 */

import type { RangeMs } from "./check_options.ts";
import type { SeededRandom } from "./seeded_random.ts";

/**
 * Probabilities from 0 to 1, each 0 by default, of what may befall a chunk of
 * bytes as it passes.
 */
export interface ProxyFaults {
  /** Both sides are cut off. */
  readonly cut?: number | undefined;
  /** One side is cut off; the other is left with a connection to nowhere. */
  readonly halfOpen?: number | undefined;
  /** Nothing passes for {@linkcode stallMs}. */
  readonly stall?: number | undefined;
  /**
   * How long a stall takes.
   *
   * @default {[50, 500]}
   */
  readonly stallMs?: RangeMs | undefined;
  /** It passes later by {@linkcode delayMs}. */
  readonly delay?: number | undefined;
  /**
   * How much later.
   *
   * @default {[1, 20]}
   */
  readonly delayMs?: RangeMs | undefined;
  /** It passes in two parts, cut at any byte. */
  readonly split?: number | undefined;
  /**
   * It is lost, and all that follows on its connection, both ways; nobody is
   * told, as by a router that has forgotten a connection.
   */
  readonly drop?: number | undefined;
  /** A connection is refused: accepted, and cut at once. */
  readonly refuse?: number | undefined;
  /**
   * A connection is made twice: the target gets all that the client sends on a
   * second one too, whose answers nobody hears.
   */
  readonly duplicate?: number | undefined;
}

/** What a proxy has done so far. */
export interface ProxyStats {
  /** Connections taken. */
  connections: number;
  /** Connections refused. */
  refused: number;
  /** Connections cut on both sides. */
  cuts: number;
  /** Connections cut on one side. */
  halfOpens: number;
  /** Times that a connection was held up. */
  stalls: number;
  /** Chunks that were held back. */
  delays: number;
  /** Chunks that were cut in two. */
  splits: number;
  /** Connections whose bytes were lost from some chunk on. */
  drops: number;
  /** Connections made twice. */
  duplicates: number;
  /** Bytes passed on, both ways. */
  bytes: number;
}

/** What connections ask of their proxy. */
export interface ProxyState {
  readonly random: SeededRandom;
  readonly stats: ProxyStats;
  readonly faults: ProxyFaults;
  /** Bytes that may pass a ms, each way, on each connection; as many as there are if `undefined`. */
  readonly bytesPerMs: number | undefined;
}
