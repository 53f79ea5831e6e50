/**
 * The reading end: one connection to a writer, made again whenever it is lost.
 *
 * @module
 */

import type { Command } from "../protocol/command.ts";
import { Backoff } from "../runtime/backoff.ts";
import { messageOf } from "../runtime/errors.ts";
import { connections, disconnections } from "../telemetry/channels.ts";
import type { ConnectedEvent } from "../telemetry/events.ts";
import type { Outgoing } from "./command_bus.ts";
import { ReplicationLink } from "./replication_link.ts";
import type { ReplicationClientOptions } from "./client_options.ts";

export type { Receiver } from "./receiver.ts";
export type { ReplicationClientOptions } from "./client_options.ts";

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

  /** Whether it is connected now. */
  get isConnected(): boolean {
    return this.#link !== undefined;
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

  /** Disconnects for good. A handler that is still at work is not waited for. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#link?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { receiver, logger } = this.#options;
    const { signal } = this.#closing;
    const backoff = new Backoff(this.#options);
    // Said once for each time that there is nobody.
    let isToldOf = false;
    while (!signal.aborted) {
      let wasLive = false;
      try {
        const link = await ReplicationLink.open(
          this.#options,
          (made) => this.#link = made,
          signal,
        );
        isToldOf = false;
        this.#connections += 1;
        const event: ConnectedEvent = {
          side: "reader",
          name: this.#options.name,
          peer: undefined,
        };
        if (connections.isHeard) connections.publish(event);
        if (signal.aborted) link.close();
        await link.ended;
        if (disconnections.isHeard) {
          const reason = signal.aborted ? "closing" : "lost";
          disconnections.publish({ ...event, reason });
        }
        wasLive = receiver.isLive;
      } catch (error) {
        const level = isToldOf || signal.aborted ? "debug" : "warn";
        logger(level, "cannot connect, trying again", {
          error: messageOf(error),
        });
        isToldOf = true;
      }
      this.#link = undefined;
      receiver.disconnected();
      if (wasLive) backoff.reset();
      await backoff.pause(signal);
    }
  }
}
