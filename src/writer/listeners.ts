/**
 * Where a writer's readers connect.
 *
 * @module
 */

import { isNotify } from "../database/notify_address.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import { requireSafeListening } from "../transport/listen_address.ts";
import { openTransport } from "../transport/open_transport.ts";
import type {
  AcceptConnection,
  Address,
  Listener,
} from "../transport/transport.ts";
import { lineLimit, type WriterStoreOptions } from "./writer_options.ts";

/** What listeners need of their writer. */
export interface ListenersParts {
  /** Takes each connection in. */
  readonly accept: AcceptConnection;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** All listeners of one writer; one streamer serves whoever connects. */
export class Listeners {
  readonly #options: WriterStoreOptions;
  readonly #parts: ListenersParts;
  readonly #listeners: Listener[] = [];
  #closing: Promise<void> | undefined;

  /** Constructs it without a listener. */
  constructor(options: WriterStoreOptions, parts: ListenersParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /**
   * Refuses addresses that can't be, or that would give rows to strangers.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT`.
   */
  static check(options: WriterStoreOptions): void {
    for (const address of addressesOf(options)) {
      requireSafeListening(address, options);
    }
  }

  /** Where they listen, with the ports that were chosen. */
  get urls(): readonly string[] {
    return this.#listeners.map(({ url }) => url);
  }

  /** Listens wherever the options say. */
  async open(): Promise<void> {
    for (const address of addressesOf(this.#options)) {
      await this.listen(address);
    }
  }

  /** Listens at one more address. */
  async listen(address: Address): Promise<void> {
    const { tls, redisPingIntervalMs } = this.#options;
    const { accept, clock, logger } = this.#parts;
    if (this.#closing !== undefined) throw closedError("serve a port");
    const listener = await openTransport(address, clock, {
      maxLineBytes: lineLimit(this.#options),
      serverName: this.#options.serverName,
      maxConnections: this.#options.maxConnections,
      tls,
      redisPingIntervalMs,
      logger,
    }).listen(accept);
    this.#listeners.push(listener);
    // It may have been closed meanwhile.
    if (this.#closing !== undefined) await listener.close();
  }

  /** Accepts no more. May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // Those that open meanwhile must find it closed.
    await Promise.resolve();
    for (const listener of this.#listeners) await listener.close();
  }
}

/** Where readers connect: not those that are only poked. */
function addressesOf(
  { listen = [], database }: WriterStoreOptions,
): readonly Address[] {
  return [listen].flat().filter((address) => !isNotify(address, database));
}

/** The error of what a closed writer store can't do any more. */
export function closedError(action: string): HeadwaterError {
  return new HeadwaterError(
    "CLOSED",
    `Cannot ${action}: the writer store is closed; open another`,
  );
}
