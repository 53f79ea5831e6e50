/**
 * A proxy between real sockets that fails when it is told to, or by chance.
 *
 * @module
 */

import { createServer, type Server, type Socket } from "node:net";
import { HeadwaterError } from "../../mod.ts";
import { type Address, dial, formatAddress, parseAddress } from "./address.ts";
import { type Names, requireFaults, requireNames } from "./check_options.ts";
import { ProxiedConnection } from "./proxied_connection.ts";
import { FAULTS } from "./network_faults.ts";
import type { ProxyFaults, ProxyState, ProxyStats } from "./proxy_faults.ts";
import { type SeededRandom, seededRandom } from "./seeded_random.ts";

/** Options of {@linkcode openFaultProxy}. */
export interface FaultProxyOptions {
  /** Where to: `tcp://HOST:PORT`, any URL with host and port, or `unix:PATH`. */
  readonly target: string;
  /**
   * Where it listens.
   *
   * @default {"tcp://127.0.0.1:0"}
   */
  readonly listen?: string | undefined;
  /**
   * What chance is made from. One seed makes one list of decisions; which chunk
   * meets which is the network's affair.
   *
   * @default {1}
   */
  readonly seed?: number | undefined;
  /**
   * What happens by chance; it may be changed later.
   *
   * @default {nothing}
   */
  readonly faults?: ProxyFaults | undefined;
}

const ACTION = "open a fault proxy";
const OPTIONS: Names<FaultProxyOptions> = {
  target: true,
  listen: true,
  seed: true,
  faults: true,
};

/** A running proxy. */
export class FaultProxy {
  /** Whether new connections are refused. */
  isRefusing = false;
  /** What it has done so far. */
  readonly stats: ProxyStats = {
    connections: 0,
    refused: 0,
    cuts: 0,
    halfOpens: 0,
    stalls: 0,
    delays: 0,
    splits: 0,
    drops: 0,
    duplicates: 0,
    bytes: 0,
  };
  readonly #random: SeededRandom;
  readonly #target: Address;
  readonly #listen: Address;
  readonly #server: Server;
  readonly #connections = new Set<ProxiedConnection>();
  readonly #state: ProxyState;
  #faults: ProxyFaults = {};
  #bytesPerMs: number | undefined;
  #isStalled = false;

  private constructor(options: FaultProxyOptions) {
    requireNames(ACTION, OPTIONS, options);
    this.#target = parseAddress(options.target);
    this.#listen = parseAddress(options.listen ?? "tcp://127.0.0.1:0");
    this.#random = seededRandom(options.seed ?? 1);
    this.faults = options.faults ?? {};
    const now = { faults: () => this.#faults, rate: () => this.#bytesPerMs };
    this.#state = {
      random: this.#random,
      stats: this.stats,
      get faults() {
        return now.faults();
      },
      get bytesPerMs() {
        return now.rate();
      },
    };
    this.#server = createServer(
      { noDelay: true, pauseOnConnect: true },
      (socket) => this.#take(socket),
    );
  }

  /**
   * What happens by chance from now on.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT`, as it is set, for a fault that
   *   there isn't, or a probability or range that can't be.
   */
  get faults(): ProxyFaults {
    return this.#faults;
  }

  set faults(faults: ProxyFaults) {
    requireFaults(ACTION, FAULTS, faults);
    this.#faults = faults;
  }

  /** Used by {@linkcode openFaultProxy}. */
  static async open(options: FaultProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(options);
    const server = proxy.#server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause) =>
        reject(
          new HeadwaterError(
            "LISTEN_FAILED",
            `Cannot listen on ${formatAddress(proxy.#listen)}: ` +
              `${cause.message}; give another address, or port 0`,
            { cause },
          ),
        ));
      server.listen(proxy.#listen, () => resolve());
    });
    server.removeAllListeners("error");
    server.on("error", () => {});
    return proxy;
  }

  /** Where it listens, with the port that was chosen. */
  get url(): string {
    const bound = this.#server.address();
    const isTcp = bound !== null && typeof bound === "object";
    return formatAddress(
      isTcp ? { host: bound.address, port: bound.port } : this.#listen,
    );
  }

  /** The port that it listens on; 0 for a unix socket. */
  get port(): number {
    const bound = this.#server.address();
    return bound !== null && typeof bound === "object" ? bound.port : 0;
  }

  /** Connections that are open on either side. */
  get open(): number {
    return this.#connections.size;
  }

  /** Cuts every connection off. */
  cutAll(): void {
    for (const connection of [...this.#connections]) connection.cut();
  }

  /** Cuts one side of every connection off; the other hears nothing of it. */
  halfOpenAll(side: "client" | "target" = "target"): void {
    for (const connection of [...this.#connections]) connection.halfOpen(side);
  }

  /** Lets nothing pass, on connections to come either, until {@linkcode resume}. */
  stall(): void {
    this.#isStalled = true;
    for (const connection of this.#connections) connection.stall();
  }

  /** Lets pass what was held up. */
  resume(): void {
    this.#isStalled = false;
    for (const connection of this.#connections) connection.resume();
  }

  /** Bounds how much passes, each way, on each connection; `undefined` for no bound. */
  throttle(bytesPerSecond: number | undefined): void {
    this.#bytesPerMs = bytesPerSecond && bytesPerSecond / 1000;
  }

  /** Cuts everything off and listens no more. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) =>
      this.#server.close(() => resolve())
    );
    for (const connection of [...this.#connections]) connection.destroy();
    await closed;
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #take(client: Socket): void {
    client.on("error", () => {});
    if (this.isRefusing || this.#random.chance(this.faults.refuse ?? 0)) {
      this.stats.refused += 1;
      client.destroy();
      return;
    }
    this.stats.connections += 1;
    const connection = new ProxiedConnection(
      client,
      dial(this.#target),
      this.#state,
      () => void this.#connections.delete(connection),
    );
    this.#connections.add(connection);
    if (this.#random.chance(this.faults.duplicate ?? 0)) {
      this.stats.duplicates += 1;
      connection.duplicate(dial(this.#target));
    }
    if (this.#isStalled) connection.stall();
  }
}

/**
 * Opens a proxy in front of a server: clients are given its `url` in the
 * server's place.
 *
 * @param options Where to, and what befalls what passes.
 * @throws {HeadwaterError} `LISTEN_FAILED`; `INVALID_ARGUMENT` for what is no
 *   address, and for options and faults that can't be.
 *
 * @example
 * ```ts
 * import { openFaultProxy } from "headwater/testing";
 *
 * const proxy = await openFaultProxy({
 *   target: String(writer.url),
 *   faults: { split: 0.2 },
 * });
 * const slaved = await SlavedStore.connect({ database, replicate: proxy.url });
 * proxy.cutAll();
 * ```
 */
export async function openFaultProxy(
  options: FaultProxyOptions,
): Promise<FaultProxy> {
  return await FaultProxy.open(options);
}
