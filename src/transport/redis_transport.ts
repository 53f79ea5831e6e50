/**
 * Lines over Redis' publish and subscribe.
 *
 * @module
 */

import { Backoff } from "../runtime/backoff.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf, quote } from "../runtime/errors.ts";
import { MAX_REDIS_BACKOFF_MS } from "../runtime/limits.ts";
import { silentLogger } from "../runtime/logger.ts";
import type { Random } from "../runtime/random.ts";
import { deferred } from "../runtime/waiting.ts";
import {
  nodeRedis,
  type RedisConnector,
  type RedisKeys,
  type RedisServer,
} from "./redis_client.ts";
import { type OwnCommand, RedisConnection } from "./redis_connection.ts";
import { readKeys } from "./tls_keys.ts";
import type {
  AcceptConnection,
  Connection,
  ConnectionHandler,
  Listener,
  TlsOptions,
  Transport,
  TransportOptions,
} from "./transport.ts";

/** A Redis server, and a channel on it. */
export interface RedisAddress {
  readonly connector: RedisConnector;
  readonly channel: string;
  /** What stands in logs and errors, without a password. */
  readonly url: string;
}

/** What {@linkcode redisTransport} works with. */
export interface RedisTransportOptions
  extends
    Pick<TransportOptions, "maxLineBytes" | "redisPingIntervalMs" | "logger"> {
  readonly clock: Clock;
  readonly random: Random;
}

const DEFAULT_PORT = 6379;
/** What a server says to a client that it will never let in. */
const REFUSED = /^(?:WRONGPASS|NOAUTH|NOPERM|ERR )/;

/**
 * Lines over a channel of Redis. Everybody on it hears everybody.
 *
 * @param address The server and the channel.
 * @param options How it behaves.
 */
export function redisTransport(
  address: RedisAddress,
  options: RedisTransportOptions,
): Transport {
  const open = (
    accept: AcceptConnection,
    hears: OwnCommand,
    signal?: AbortSignal,
  ) =>
    RedisConnection.open(
      {
        connector: address.connector,
        remote: address.url,
        channel: address.channel,
        hears,
        maxLineBytes: options.maxLineBytes,
        clock: options.clock,
        logger: options.logger ?? silentLogger,
        pingIntervalMs: options.redisPingIntervalMs,
      },
      accept,
      signal,
    );
  return {
    connect: (accept, signal) => open(accept, "HELD", signal),
    async listen(accept) {
      const listener = new RedisListener(
        address.url,
        options,
        (closed, signal) =>
          open(
            (connection) => tellEnd(accept(connection), closed),
            "USER_IP",
            signal,
          ),
      );
      await listener.open();
      return listener;
    },
  };
}

/**
 * Reads `redis://[USER:PASSWORD@]HOST:PORT[/DATABASE][?channel=NAME]`.
 *
 * @param text The URL; `rediss:` is over TLS.
 * @param channel The channel if the URL names none.
 * @param tls What `rediss:` trusts, and how this process shows who it is.
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, without the URL's password.
 */
export function parseRedisUrl(
  text: string,
  channel: string,
  tls: TlsOptions = {},
): RedisAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const database = /^\/?(\d{0,9})$/.exec(url?.pathname ?? "-");
  if (
    url === undefined || url.hostname === "" || database === null ||
    !isEncoded(url.username) || !isEncoded(url.password)
  ) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot use address ${quote(hideUser(text))}: give ` +
        "redis://HOST:PORT, redis://USER:PASSWORD@HOST:PORT/DATABASE?channel=NAME, " +
        "or rediss:// for TLS; write % in a user or a password as %25",
    );
  }
  const port = url.port === "" ? DEFAULT_PORT : Number(url.port);
  const where = `${url.protocol}//${url.hostname}:${port}`;
  const server: RedisServer = {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port,
    tls: url.protocol === "rediss:" ? toSocketKeys(where, tls) : undefined,
    database: Number(database[1]),
    username: decode(url.username),
    password: decode(url.password),
  };
  const own = url.searchParams.get("channel");
  const shown = server.database === 0 ? where : `${where}/${server.database}`;
  return {
    connector: nodeRedis(server),
    channel: own || channel,
    url: own ? `${shown}?channel=${encodeURIComponent(own)}` : shown,
  };
}

function toSocketKeys(where: string, tls: TlsOptions): RedisKeys {
  const { passphrase, servername } = tls;
  return { ...readKeys(where, tls), passphrase, servername };
}

/** One connection of a listener. */
interface Accepted {
  /** Resolves once it is gone, to whether anything came over it. */
  readonly ended: Promise<boolean>;
}

/** Makes one, and has its end told. */
type ConnectOnce = (
  closed: (wasOfUse: boolean) => void,
  signal: AbortSignal,
) => Promise<Connection>;

/** Keeps a connection up, until it is closed. */
class RedisListener implements Listener {
  readonly url: string;
  readonly #options: RedisTransportOptions;
  readonly #connect: ConnectOnce;
  readonly #closing = new AbortController();

  constructor(
    url: string,
    options: RedisTransportOptions,
    connect: ConnectOnce,
  ) {
    this.url = url;
    this.#options = options;
    this.#connect = connect;
  }

  /**
   * Connects. Where there is no server yet it goes on trying, as nobody's
   * commits need one; a server that refuses us is an error.
   */
  async open(): Promise<void> {
    let first: Accepted | undefined;
    try {
      first = await this.#accept();
    } catch (error) {
      // One of our own says what to do already.
      if (error instanceof HeadwaterError) throw error;
      if (isRefusal(error)) throw listenError(this.url, error);
      this.#warn(error);
    }
    void this.#keepUp(first);
  }

  close(): Promise<void> {
    this.#closing.abort();
    return Promise.resolve();
  }

  async #accept(): Promise<Accepted> {
    const { promise, resolve } = deferred<boolean>();
    await this.#connect(resolve, this.#closing.signal);
    return { ended: promise };
  }

  async #keepUp(first: Accepted | undefined): Promise<void> {
    const { signal } = this.#closing;
    const backoff = new Backoff({
      ...this.#options,
      maxBackoffMs: MAX_REDIS_BACKOFF_MS,
    });
    let current = first;
    while (!signal.aborted) {
      if (current !== undefined) {
        // One on which nothing can be said must not keep everybody busy.
        if (await current.ended) backoff.reset();
      }
      await backoff.pause(signal);
      if (signal.aborted) return;
      try {
        current = await this.#accept();
      } catch (error) {
        if (signal.aborted) return;
        current = undefined;
        this.#warn(error);
      }
    }
  }

  #warn(error: unknown): void {
    const { logger = silentLogger } = this.#options;
    logger("warn", "cannot connect to Redis, trying again", {
      url: this.url,
      error: messageOf(error),
    });
  }
}

/** A handler that tells of its connection's end, too. */
function tellEnd(
  handler: ConnectionHandler,
  ended: (wasOfUse: boolean) => void,
): ConnectionHandler {
  let wasOfUse = false;
  return {
    received(lines) {
      wasOfUse = true;
      handler.received(lines);
    },
    failed: (error) => handler.failed(error),
    closed() {
      handler.closed();
      ended(wasOfUse);
    },
  };
}

/** Whether trying again is of no use. */
function isRefusal(error: unknown): boolean {
  return REFUSED.test(messageOf(error));
}

function listenError(url: string, error: unknown): HeadwaterError {
  return new HeadwaterError(
    "LISTEN_FAILED",
    `Cannot publish to ${url}: ${messageOf(error)}; check the user, the ` +
      "password and the database's number in the URL",
    { cause: error },
  );
}

function hideUser(text: string): string {
  return text.replace(/^(\w+:\/*).*@/s, "$1…@");
}

/** Whether what stands after each % is what it should be. */
function isEncoded(part: string): boolean {
  try {
    decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}

function decode(part: string): string | undefined {
  return part === "" ? undefined : decodeURIComponent(part);
}
