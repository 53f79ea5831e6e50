/**
 * One connection through a fault proxy.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import type { Socket } from "node:net";
// From node:timers, so that they are the same on every runtime.
import { setImmediate, setTimeout } from "node:timers";
import type { ProxyState } from "./proxy_faults.ts";

const STALL_MS = [50, 500] as const;
const DELAY_MS = [1, 20] as const;

/** Two sockets, and what passes between them. */
export class ProxiedConnection {
  readonly #client: Socket;
  readonly #target: Socket;
  readonly #state: ProxyState;
  readonly #ended: () => void;
  #copy: Socket | undefined;
  /** Resolves once nothing is held up any more. */
  #stalled: PromiseWithResolvers<void> | undefined;
  #isOver = false;
  /** One side is gone, and the other is not to know. */
  #isHalfOpen = false;
  #isDropping = false;

  /** Begins to pass on what the sockets bring. */
  constructor(
    client: Socket,
    target: Socket,
    state: ProxyState,
    ended: () => void,
  ) {
    this.#client = client;
    this.#target = target;
    this.#state = state;
    this.#ended = ended;
    this.#pass(client, target);
    this.#pass(target, client);
  }

  /** Sends a copy of what the client sends to another connection. */
  duplicate(copy: Socket): void {
    this.#copy = copy;
    copy.resume();
  }

  /** Cuts both sides off. */
  cut(): void {
    if (this.#isOver) return;
    this.#state.stats.cuts += 1;
    this.destroy();
  }

  /** Cuts one side off. */
  halfOpen(side: "client" | "target"): void {
    if (this.#isOver || this.#isHalfOpen) return;
    this.#state.stats.halfOpens += 1;
    this.#isHalfOpen = true;
    (side === "client" ? this.#client : this.#target).destroy();
    this.#copy?.destroy();
    // What the other still sends goes nowhere.
    (side === "client" ? this.#target : this.#client).resume();
  }

  /** Lets nothing pass until {@linkcode resume}. */
  stall(): void {
    if (this.#stalled !== undefined) return;
    this.#state.stats.stalls += 1;
    this.#stalled = Promise.withResolvers<void>();
  }

  /** Lets pass what was held up. */
  resume(): void {
    this.#stalled?.resolve();
    this.#stalled = undefined;
  }

  /** Ends it. */
  destroy(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.resume();
    for (const socket of [this.#client, this.#target, this.#copy]) {
      socket?.destroy();
    }
    this.#ended();
  }

  #pass(from: Socket, to: Socket): void {
    let passing = Promise.resolve();
    from.on("data", (chunk: Buffer) => {
      if (this.#isHalfOpen) return;
      // One chunk at a time: the sender is held up meanwhile.
      from.pause();
      passing = this.#passOn(chunk, from, to)
        .then(() => void from.resume(), () => this.destroy());
    });
    from.on("end", () => void passing.then(() => this.#endOf(to)));
    from.on("close", () => void passing.then(() => this.#closed(from, to)));
    from.resume();
  }

  /** One side has said all that it has to say: so the other is told. */
  #endOf(to: Socket): void {
    if (!this.#isHalfOpen) to.end();
  }

  #closed(from: Socket, to: Socket): void {
    // Of a half-open pair, the side that is left ends it.
    if (this.#isHalfOpen && !to.destroyed) return;
    if (to.destroyed || from.errored) this.destroy();
    else to.end(() => this.destroy());
  }

  async #passOn(chunk: Buffer, from: Socket, to: Socket): Promise<void> {
    const { random, stats, faults } = this.#state;
    if (random.chance(faults.cut ?? 0)) return this.cut();
    if (random.chance(faults.halfOpen ?? 0)) {
      return this.halfOpen(random.chance(0.5) ? "client" : "target");
    }
    if (!this.#isDropping && random.chance(faults.drop ?? 0)) {
      stats.drops += 1;
      this.#isDropping = true;
    }
    if (this.#isDropping) return;
    if (random.chance(faults.stall ?? 0)) {
      stats.stalls += 1;
      await sleep(random.within(faults.stallMs ?? STALL_MS));
    }
    if (random.chance(faults.delay ?? 0)) {
      stats.delays += 1;
      await sleep(random.within(faults.delayMs ?? DELAY_MS));
    }
    if (this.#stalled !== undefined) await this.#stalled.promise;
    const copy = from === this.#client ? this.#copy : undefined;
    for (const part of this.#split(chunk)) {
      await this.#throttle(part.length);
      if (this.#isOver || to.destroyed) return;
      stats.bytes += part.length;
      if (copy?.writable) copy.write(part);
      if (!to.write(part)) await drained(to);
      // Else both would leave in one packet.
      if (part !== chunk) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #split(chunk: Buffer): Buffer[] {
    const { random, stats, faults } = this.#state;
    if (chunk.length < 2 || !random.chance(faults.split ?? 0)) return [chunk];
    stats.splits += 1;
    const at = 1 + random.below(chunk.length - 1);
    return [chunk.subarray(0, at), chunk.subarray(at)];
  }

  async #throttle(bytes: number): Promise<void> {
    const { bytesPerMs } = this.#state;
    if (bytesPerMs !== undefined) await sleep(bytes / bytesPerMs);
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off("drain", done).off("close", done);
      resolve();
    };
    socket.on("drain", done).on("close", done);
  });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
