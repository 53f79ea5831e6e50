/**
 * A network in memory, on a virtual clock, that fails as its seed says.
 *
 * @module
 */

import { HeadwaterError } from "../../mod.ts";
import type {
  AcceptConnection,
  Listener,
  Transport,
} from "../transport/mod.ts";
import type { Clock } from "../writer/mod.ts";
import {
  type Names,
  type RangeMs,
  requireFaults,
  requireNames,
  requireNumber,
  requireRange,
} from "./check_options.ts";
import {
  FAULTS,
  type NetworkFaults,
  type NetworkStats,
  noStats,
  type Surroundings,
} from "./network_faults.ts";
import type { SeededRandom } from "./seeded_random.ts";
import type { NetworkLink } from "./network_link.ts";
import { SimulatedChannel } from "./simulated_channel.ts";
import { SimulatedLink } from "./simulated_connection.ts";

/** Options of {@linkcode SimulatedNetwork}. */
export interface SimulatedNetworkOptions {
  /** The clock that deliveries wait on: a `VirtualClock`. */
  readonly clock: Clock;
  /** What decides. */
  readonly random: SeededRandom;
  /**
   * How long a chunk takes.
   *
   * @default {[1, 5]}
   */
  readonly latencyMs?: RangeMs | undefined;
  /**
   * What happens by chance; it may be changed later.
   *
   * @default {nothing}
   */
  readonly faults?: NetworkFaults | undefined;
  /**
   * Bytes of a line without its newline.
   *
   * @default {1048576}
   */
  readonly maxLineBytes?: number | undefined;
}

const ACTION = "make a simulated network";
/** The most that a line of V8's text can hold. */
const MAX_LINE_BYTES = 2 ** 29 - 24;
const OPTIONS: Names<SimulatedNetworkOptions> = {
  clock: true,
  random: true,
  latencyMs: true,
  faults: true,
  maxLineBytes: true,
};

/** A place on the network. */
export interface Place {
  /** The process's name: hosts are cut off, paused and crashed by it. */
  readonly host: string;
  /** Where it listens, or connects to: any text. */
  readonly address: string;
}

interface Listening {
  readonly host: string;
  readonly accept: AcceptConnection;
}

/**
 * Connections between hosts. Bytes arrive in order, in whatever pieces, after
 * some time, or the connection is lost: as TCP has it. A channel loses single
 * messages instead.
 *
 * @example A writer and a reader on it
 * ```ts
 * import { seededRandom, SimulatedNetwork, VirtualClock } from "headwater/testing";
 *
 * const clock = new VirtualClock();
 * const network = new SimulatedNetwork({ clock, random: seededRandom(42) });
 * network.faults = { cut: 0.001, split: 0.2 };
 * const server = network.transport({ host: "writer", address: "w" });
 * const client = network.transport({ host: "reader", address: "w" });
 * ```
 */
export class SimulatedNetwork {
  /** What has happened so far. */
  readonly stats: NetworkStats = noStats();
  readonly #clock: Clock;
  readonly #random: SeededRandom;
  readonly #around: Surroundings;
  readonly #listeners = new Map<string, Listening>();
  readonly #channels = new Map<string, SimulatedChannel>();
  readonly #links = new Set<SimulatedLink>();
  readonly #paused = new Set<string>();
  /** By host, the part that it is in; those without one reach each other. */
  #parts: ReadonlyMap<string, number> = new Map();
  #faults: NetworkFaults = {};

  /**
   * Constructs a network of nobody.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for options that can't be.
   */
  constructor(options: SimulatedNetworkOptions) {
    requireNames(ACTION, OPTIONS, options);
    const { latencyMs, maxLineBytes } = options;
    requireRange(ACTION, "latencyMs", latencyMs);
    requireNumber(ACTION, "maxLineBytes", maxLineBytes, [1, MAX_LINE_BYTES]);
    this.#clock = options.clock;
    this.#random = options.random;
    this.faults = options.faults ?? {};
    this.#around = this.#surroundings(options);
  }

  /**
   * What happens by chance from now on.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT`, as it is set, for a fault that
   *   there isn't, or a probability or range that can't be.
   */
  get faults(): NetworkFaults {
    return this.#faults;
  }

  set faults(faults: NetworkFaults) {
    requireFaults(ACTION, FAULTS, faults);
    this.#faults = faults;
  }

  /** Every connection that somebody takes for one. */
  get links(): readonly NetworkLink[] {
    return this.#sweep();
  }

  /** Connections between two hosts. Listening takes an address over from whoever had it. */
  transport({ host, address }: Place): Transport {
    return {
      listen: (accept) => Promise.resolve(this.#listen(host, address, accept)),
      connect: (accept, signal) =>
        this.#connect({ host, address }, accept, signal),
    };
  }

  /** A channel: whoever listens or connects hears everybody. */
  channel({ host, address }: Place): Transport {
    const join = (accept: AcceptConnection) => {
      let channel = this.#channels.get(address);
      if (channel === undefined) {
        channel = new SimulatedChannel(
          this.#clock,
          this.#random.fork(),
          this.#around,
        );
        this.#channels.set(address, channel);
      }
      return channel.subscribe(host, address, accept);
    };
    return {
      listen(accept) {
        const subscriber = join(accept);
        const close = () => Promise.resolve(subscriber.close());
        return Promise.resolve({ url: `memory:${address}`, close });
      },
      connect(accept, signal) {
        if (signal?.aborted) return Promise.reject(signal.reason);
        return Promise.resolve(join(accept));
      },
    };
  }

  /** Cuts every connection, and every channel. */
  cutAll(): void {
    for (const link of this.links) link.cut();
    for (const channel of this.#channels.values()) channel.cut();
  }

  /** Holds up every connection. */
  stallAll(ms?: number): void {
    for (const link of this.links) link.stall(ms);
  }

  /** Lets go what was held up. */
  resumeAll(): void {
    for (const link of this.links) link.resume();
  }

  /** Parts the network: what is in two parts doesn't reach each other. */
  partition(...parts: readonly (readonly string[])[]): void {
    this.#parts = new Map(
      parts.flatMap((hosts, part) =>
        hosts.map((host) => [host, part] as const)
      ),
    );
    this.#wake();
  }

  /** Joins it again. */
  heal(): void {
    this.partition();
  }

  /** Has a host hear nothing, as a process that is stopped; others see no difference. */
  pause(host: string): void {
    this.#paused.add(host);
  }

  /** Has it hear again, first of all what came meanwhile. */
  resume(host: string): void {
    this.#paused.delete(host);
    this.#wake();
  }

  /** Kills a host: it hears of nothing any more, its connections end, nobody listens. */
  crash(host: string): void {
    this.#paused.delete(host);
    for (const [address, listening] of this.#listeners) {
      if (listening.host === host) this.#listeners.delete(address);
    }
    const isSentLost = this.#random.chance(0.5);
    for (const link of this.#sweep()) {
      if (link.client === host) link.kill("client", isSentLost);
      if (link.server === host) link.kill("server", isSentLost);
    }
    for (const channel of this.#channels.values()) channel.kill(host);
  }

  #sweep(): SimulatedLink[] {
    for (const link of this.#links) if (link.isOver) this.#links.delete(link);
    return [...this.#links];
  }

  #surroundings(options: SimulatedNetworkOptions): Surroundings {
    const now = () => this.#faults;
    return {
      stats: this.stats,
      get faults() {
        return now();
      },
      latencyMs: options.latencyMs ?? [1, 5],
      maxLineBytes: options.maxLineBytes ?? 1024 * 1024,
      isBlocked: (from, to) => this.#isBlocked(from, to),
    };
  }

  #isBlocked(from: string, to: string): boolean {
    if (this.#paused.has(to)) return true;
    const [one, other] = [this.#parts.get(from), this.#parts.get(to)];
    return one !== undefined && other !== undefined && one !== other;
  }

  #wake(): void {
    for (const link of this.#links) link.wake();
  }

  #listen(host: string, address: string, accept: AcceptConnection): Listener {
    const listening = { host, accept };
    this.#listeners.set(address, listening);
    return {
      url: `memory:${address}`,
      close: () => {
        if (this.#listeners.get(address) === listening) {
          this.#listeners.delete(address);
        }
        return Promise.resolve();
      },
    };
  }

  #connect(
    { host, address }: Place,
    accept: AcceptConnection,
    signal: AbortSignal | undefined,
  ): Promise<SimulatedLink["clientEnd"]> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const ms = this.#random.within(this.#around.latencyMs);
      const abort = () => {
        cancelTimer();
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", abort);
      const cancelTimer = this.#clock.schedule(() => {
        signal?.removeEventListener("abort", abort);
        const listening = this.#listeners.get(address);
        const isRefused = listening === undefined ||
          this.#isBlocked(host, listening.host) ||
          this.#isBlocked(listening.host, host) ||
          this.#random.chance(this.faults.refuse ?? 0);
        if (isRefused) {
          this.stats.refused += 1;
          reject(refusedError(host, address));
          return;
        }
        this.stats.connections += 1;
        const link = new SimulatedLink(
          { address, client: host, server: listening.host },
          this.#clock,
          this.#random.fork(),
          this.#around,
        );
        this.#links.add(link);
        link.serverEnd.handle(listening.accept(link.serverEnd));
        link.clientEnd.handle(accept(link.clientEnd));
        resolve(link.clientEnd);
      }, ms);
    });
  }
}

function refusedError(host: string, address: string): HeadwaterError {
  return new HeadwaterError(
    "CONNECT_TIMEOUT",
    `Cannot connect "${host}" to "memory:${address}": nobody answers there`,
  );
}
