/**
 * What a simulated network does by chance.
 *
 * @module
 */

import type { Names, RangeMs } from "./check_options.ts";

/**
 * Probabilities from 0 to 1, each 0 by default, of what may befall a chunk of
 * bytes (or, on a channel, a message) as it arrives.
 */
export interface NetworkFaults {
  /** The connection is cut: both ends notice. */
  readonly cut?: number | undefined;
  /** The connection is cut, and one end does not notice. */
  readonly halfOpen?: number | undefined;
  /** Nothing arrives in either direction for {@linkcode stallMs}. */
  readonly stall?: number | undefined;
  /** How long a stall takes. */
  readonly stallMs?: RangeMs | undefined;
  /** It arrives later by {@linkcode delayMs}. */
  readonly delay?: number | undefined;
  /** How much later. */
  readonly delayMs?: RangeMs | undefined;
  /** It arrives in two parts, cut at any byte. */
  readonly split?: number | undefined;
  /** A connection is refused. */
  readonly refuse?: number | undefined;
  /** Channels only: one subscriber does not get the message. */
  readonly drop?: number | undefined;
  /** Channels only: one subscriber gets the message twice. */
  readonly duplicate?: number | undefined;
}

/** The names of what a network does, and a proxy too. */
export const FAULTS: Names<NetworkFaults> = {
  cut: true,
  halfOpen: true,
  stall: true,
  stallMs: true,
  delay: true,
  delayMs: true,
  split: true,
  refuse: true,
  drop: true,
  duplicate: true,
};

/** What has befallen chunks so far. */
export interface NetworkStats {
  /** Connections made. */
  connections: number;
  /** Connections refused. */
  refused: number;
  /** Chunks, or messages, that arrived. */
  chunks: number;
  /** Connections cut, both ends noticing. */
  cuts: number;
  /** Connections cut with one end noticing. */
  halfOpens: number;
  /** Times that a connection was held up. */
  stalls: number;
  /** Chunks that came later. */
  delays: number;
  /** Chunks that came in two parts. */
  splits: number;
  /** Messages that a subscriber did not get. */
  drops: number;
  /** Messages that a subscriber got twice. */
  duplicates: number;
}

/** Where connections find what concerns them all. */
export interface Surroundings {
  readonly stats: NetworkStats;
  readonly faults: NetworkFaults;
  readonly latencyMs: RangeMs;
  readonly maxLineBytes: number;
  /** Whether nothing can pass from one host to the other now. */
  isBlocked(from: string, to: string): boolean;
}

/** Nothing has happened yet. */
export function noStats(): NetworkStats {
  return {
    connections: 0,
    refused: 0,
    chunks: 0,
    cuts: 0,
    halfOpens: 0,
    stalls: 0,
    delays: 0,
    splits: 0,
    drops: 0,
    duplicates: 0,
  };
}
