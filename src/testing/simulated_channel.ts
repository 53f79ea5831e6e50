/**
 * A simulated channel that all subscribers share, as Redis's are.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import {
  type AcceptConnection,
  type Connection,
  type ConnectionHandler,
  type LineError,
  LineSplitter,
} from "../transport/mod.ts";
import type { Clock } from "../writer/mod.ts";
import type { Surroundings } from "./network_faults.ts";
import type { SeededRandom } from "./seeded_random.ts";

/**
 * Everybody hears everybody, themselves too, in one order. A message is lost
 * whole, for one subscriber, or told twice.
 */
export class SimulatedChannel {
  readonly clock: Clock;
  readonly #random: SeededRandom;
  readonly around: Surroundings;
  readonly #subscribers = new Set<Subscriber>();

  /** Made by the network. */
  constructor(clock: Clock, random: SeededRandom, around: Surroundings) {
    this.clock = clock;
    this.#random = random;
    this.around = around;
  }

  /** Joins it. */
  subscribe(host: string, name: string, accept: AcceptConnection): Subscriber {
    const subscriber = new Subscriber(this, host, name);
    this.#subscribers.add(subscriber);
    subscriber.handle(accept(subscriber));
    return subscriber;
  }

  /** Cuts everybody off: their subscriptions end. */
  cut(): void {
    this.around.stats.cuts += 1;
    for (const subscriber of [...this.#subscribers]) subscriber.close();
  }

  leave(subscriber: Subscriber): void {
    this.#subscribers.delete(subscriber);
  }

  /** Ends what a host that has died was subscribed to; nobody is told. */
  kill(host: string): void {
    for (const subscriber of this.#subscribers) {
      if (subscriber.host === host) this.#subscribers.delete(subscriber);
    }
  }

  publish(from: Subscriber, message: Buffer): void {
    const { faults, stats, latencyMs } = this.around;
    for (const to of this.#subscribers) {
      const isLost = this.around.isBlocked(from.host, to.host) ||
        this.#random.chance(faults.drop ?? 0);
      if (isLost) {
        stats.drops += 1;
        continue;
      }
      const isDouble = this.#random.chance(faults.duplicate ?? 0);
      if (isDouble) stats.duplicates += 1;
      // One connection each to the server: what it sends keeps its order.
      const ms = this.#random.within(latencyMs);
      to.arrive(message, ms);
      if (isDouble) to.arrive(message, ms);
    }
  }
}

class Subscriber implements Connection {
  readonly isShared = true;
  readonly host: string;
  readonly remote: string;
  readonly #channel: SimulatedChannel;
  readonly #splitter: LineSplitter;
  #handler: ConnectionHandler | undefined;
  #isPaused = false;
  #isOver = false;
  #held: string[] = [];
  #lastMs = 0;

  constructor(channel: SimulatedChannel, host: string, name: string) {
    this.#channel = channel;
    this.host = host;
    this.remote = `channel ${name}`;
    this.#splitter = new LineSplitter(channel.around.maxLineBytes);
  }

  get queuedBytes(): number {
    return 0;
  }

  handle(handler: ConnectionHandler): void {
    this.#handler = handler;
  }

  send(lines: string | Uint8Array): void {
    if (!this.#isOver) this.#channel.publish(this, Buffer.from(lines));
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    while (!this.#isPaused && this.#held.length > 0) {
      this.#handler?.received(this.#held.shift() as string);
    }
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#channel.leave(this);
    this.#channel.clock.schedule(() => this.#handler?.closed(), 0);
  }

  arrive(message: Buffer, ms: number): void {
    const { clock, around } = this.#channel;
    const dueMs = Math.max(this.#lastMs, clock.monotonicMs() + ms);
    this.#lastMs = dueMs;
    clock.schedule(() => {
      if (this.#isOver) return;
      around.stats.chunks += 1;
      this.#receive(message);
    }, dueMs - clock.monotonicMs());
  }

  #receive(message: Buffer): void {
    let lines;
    let failure: LineError | undefined;
    try {
      lines = this.#splitter.push(message);
    } catch (error) {
      failure = error as LineError;
      lines = failure.before;
    }
    if (lines !== "") {
      if (this.#isPaused) this.#held.push(lines);
      else this.#handler?.received(lines);
    }
    if (failure !== undefined) this.#handler?.failed(failure);
  }
}
