/**
 * Heartbeats of one connection: sent, and missed.
 *
 * @module
 */

import { requireAboveZero } from "../runtime/bounds.ts";
import type { Clock } from "../runtime/clock.ts";
import { PING_INTERVAL_MS, SILENCE_TIMEOUT_MS } from "../runtime/limits.ts";
import type { OptionNames } from "../runtime/option_names.ts";

/** Options of {@linkcode KeepAlive}. */
export interface KeepAliveOptions {
  /**
   * How long a side stays silent at most before it sends PING, in ms: above 0.
   *
   * @default {5000}
   */
  readonly pingIntervalMs?: number | undefined;
  /**
   * How long a peer that pings may be silent, in ms: above 0.
   *
   * @default {15000}
   */
  readonly silenceTimeoutMs?: number | undefined;
}

/** The names of {@linkcode KeepAliveOptions}. */
export const KEEP_ALIVE_OPTIONS: OptionNames<KeepAliveOptions> = {
  pingIntervalMs: true,
  silenceTimeoutMs: true,
};

/**
 * Refuses no time at all, which would be PINGs, or reconnections, without end.
 *
 * @param action What can't be done with it: `open a relay`.
 * @param options The options, as users give them.
 * @throws {HeadwaterError} `INVALID_ARGUMENT`.
 */
export function requireKeepAlive(
  action: string,
  { pingIntervalMs, silenceTimeoutMs }: KeepAliveOptions,
): void {
  requireAboveZero(action, { pingIntervalMs, silenceTimeoutMs });
}

/** What is to be done about a connection now. */
export type KeepAliveAction = "nothing" | "ping" | "give up" | "never heard";

/**
 * Knows when a connection is due a PING, and when its peer is to be taken for
 * dead: one that has pinged, and was then silent for too long.
 */
export class KeepAlive {
  readonly #clock: Clock;
  readonly #pingIntervalMs: number;
  readonly #checkIntervalMs: number;
  readonly #silenceTimeoutMs: number;
  readonly #firstWordMs: number;
  #sentMs: number;
  #receivedMs: number;
  #checkedMs: number;
  #isAnswered = false;
  #peerPings = false;
  #isPaused = false;

  /**
   * Constructs the heartbeats of a connection that has just been made.
   *
   * @param clock The clock.
   * @param options How long silence may last.
   * @param firstWordMs How long the peer may be silent before it was
   *   {@linkcode answered}, in ms.
   */
  constructor(
    clock: Clock,
    options: KeepAliveOptions,
    firstWordMs: number = Infinity,
  ) {
    this.#clock = clock;
    this.#firstWordMs = firstWordMs;
    this.#pingIntervalMs = options.pingIntervalMs ?? PING_INTERVAL_MS;
    this.#checkIntervalMs = KeepAlive.checkIntervalMs(options);
    this.#silenceTimeoutMs = options.silenceTimeoutMs ?? SILENCE_TIMEOUT_MS;
    const now = clock.monotonicMs();
    this.#sentMs = now;
    this.#receivedMs = now;
    this.#checkedMs = now;
  }

  /**
   * The heartbeats of a reader's end. A writer sends PING as soon as it is
   * connected: if a silent one has not, nor told a position, then the
   * connection was lost before that came, and nothing else will show it.
   */
  static ofReader(clock: Clock, options: KeepAliveOptions): KeepAlive {
    const { silenceTimeoutMs = SILENCE_TIMEOUT_MS } = options;
    return new KeepAlive(clock, options, silenceTimeoutMs);
  }

  /** When something arrived last, by the monotonic clock. */
  get receivedMs(): number {
    return this.#receivedMs;
  }

  /** How often {@linkcode check} wants to be called, in ms. */
  static checkIntervalMs(options: KeepAliveOptions): number {
    const ping = options.pingIntervalMs ?? PING_INTERVAL_MS;
    const silence = options.silenceTimeoutMs ?? SILENCE_TIMEOUT_MS;
    return Math.max(1, Math.min(ping, silence) / 4);
  }

  /** Something was sent. */
  sent(): void {
    this.#sentMs = this.#clock.monotonicMs();
  }

  /** Something arrived. */
  received(): void {
    this.#receivedMs = this.#clock.monotonicMs();
  }

  /** The peer has said what it has to say first. */
  answered(): void {
    this.#isAnswered = true;
  }

  /** The peer has sent PING: its silence means something from now on. */
  pinged(): void {
    this.#peerPings = true;
  }

  /** Nothing is read for now, so that nothing can be heard. */
  pause(): void {
    this.#isPaused = true;
  }

  /** What is heard counts again. */
  resume(): void {
    this.#isPaused = false;
    this.received();
  }

  /** Says what is due. */
  check(): KeepAliveAction {
    const now = this.#clock.monotonicMs();
    // A process that was itself held up has not listened in that time.
    const wasHeldUp = now - this.#checkedMs > this.#pingIntervalMs;
    this.#checkedMs = now;
    if (wasHeldUp) this.#receivedMs = now;
    const silentMs = now - this.#receivedMs;
    if (!this.#isPaused) {
      if (this.#peerPings) {
        if (silentMs > this.#silenceTimeoutMs) return "give up";
      } else if (!this.#isAnswered && silentMs > this.#firstWordMs) {
        return "never heard";
      }
    }
    // At the next check it would be too late.
    const lastMs = this.#pingIntervalMs - this.#checkIntervalMs;
    return now - this.#sentMs > lastMs ? "ping" : "nothing";
  }
}
