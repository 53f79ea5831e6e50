/**
 * The reading end: one connection to a writer, made again whenever it is lost.
 *
 * @module
 */

import type { Command } from "../protocol/command.ts";
import { messageOf } from "../runtime/errors.ts";
import { MAX_BACKOFF_MS, MIN_BACKOFF_MS } from "../runtime/limits.ts";
import { pause } from "../runtime/waiting.ts";
import type { Outgoing } from "./command_bus.ts";
import { ReplicationLink } from "./replication_link.ts";
import type { ReplicationClientOptions } from "./replication_link.ts";

export type { Receiver } from "./receiver.ts";
export type { ReplicationClientOptions } from "./replication_link.ts";

/** Keeps one connection, until it is closed. */
export class ReplicationClient {
  readonly #options: ReplicationClientOptions;
  readonly #closing = new AbortController();
  #link: ReplicationLink | undefined;
  #running: Promise<void> | undefined;
  #connections = 0;

  /** Constructs a client that is not connected. */
  constructor(options: ReplicationClientOptions) {
    this.#options = options;
  }

  /** Whether it is connected to a channel on which everybody hears everybody. */
  get isShared(): boolean {
    return this.#link?.isShared ?? false;
  }

  /** How many connections have been made so far. */
  get connections(): number {
    return this.#connections;
  }

  /** Connects, and goes on connecting. */
  open(): void {
    this.#running ??= this.#run();
  }

  /** Sends a command if it is connected, in the form that the other end takes. */
  say(command: Command): void {
    this.#link?.say(command);
  }

  /** Sends a line if it is connected; says whether it did. */
  send(outgoing: Outgoing): boolean {
    return this.#link?.send(outgoing) ?? false;
  }

  /** Disconnects for good; resolves once nothing is being applied any more. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#link?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, random, receiver, logger } = this.#options;
    const { minBackoffMs = MIN_BACKOFF_MS, maxBackoffMs = MAX_BACKOFF_MS } =
      this.#options;
    const { signal } = this.#closing;
    let delayMs = minBackoffMs;
    while (!signal.aborted) {
      let wasLive = false;
      try {
        const link = await ReplicationLink.open(
          this.#options,
          (made) => this.#link = made,
          signal,
        );
        this.#connections += 1;
        if (signal.aborted) link.close();
        await link.ended;
        wasLive = receiver.isLive;
      } catch (error) {
        logger("debug", "cannot connect", { error: messageOf(error) });
      }
      this.#link = undefined;
      receiver.disconnected();
      if (wasLive) delayMs = minBackoffMs;
      // Jitter keeps readers that were cut off together from coming back so.
      await pause(clock, delayMs * (0.5 + random.fraction() / 2), signal);
      delayMs = Math.min(maxBackoffMs, delayMs * Math.E);
    }
  }
}
