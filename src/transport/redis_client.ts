/**
 * What is asked of a Redis client, and how the package `redis` gives it.
 *
 * @module
 */

import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import { MUST_ASK, requireAdmission } from "./redis_admission.ts";

/**
 * One connection to a Redis server. When it is lost it stays lost: a client
 * that connects again by itself, or keeps commands until it has, would hide
 * that messages are missing.
 */
export interface RedisClient {
  /**
   * Publishes messages in order; those of one channel all or none: readers
   * never see a part of them.
   *
   * @returns Resolves once the server has them all.
   */
  publish(messages: readonly RedisMessage[]): Promise<unknown>;

  /** Subscribes; resolves once the server has confirmed it. */
  subscribe(
    channels: readonly string[],
    received: (text: string) => void,
  ): Promise<unknown>;

  /** Resolves once the server has answered, after all that was sent before. */
  ping(): Promise<unknown>;

  /** Cuts the connection; harmless if it has ended. */
  destroy(): void;
}

/** What to publish, and where. */
export interface RedisMessage {
  /** The channel's name. */
  readonly channel: string;
  /** The message. */
  readonly text: string;
}

/**
 * Connects to a Redis server: once, without trying again.
 *
 * @param lost To be called if the connection ends other than by `destroy()`.
 * @param signal Gives the attempt up: whatever has been opened goes.
 */
export type RedisConnector = (
  lost: (error: unknown) => void,
  signal?: AbortSignal,
) => Promise<RedisClient>;

/** What a connection over TLS trusts, and how it shows who it is, as PEM. */
export interface RedisKeys {
  readonly key: string | undefined;
  readonly cert: string | undefined;
  readonly passphrase: string | undefined;
  /** Those that the runtime knows, if `undefined`. */
  readonly ca: string[] | undefined;
  /** The name that the server's certificate must have: the host's, if `undefined`. */
  readonly servername: string | undefined;
}

/** Where a Redis server is, and who asks. */
export interface RedisServer {
  readonly host: string;
  readonly port: number;
  /** For a connection over TLS. */
  readonly tls: RedisKeys | undefined;
  readonly database: number;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

const CLIENT_NAME = "headwater";

/**
 * Runs as one, as MULTI would, and is one command with one answer: half the
 * work of a publisher.
 */
const PUBLISH_ALL =
  "for i = 2, #ARGV do redis.call('PUBLISH', ARGV[1], ARGV[i]) end";

/** Redis takes no command of more than a million parts. */
const MAX_TEXTS = 500_000;

/**
 * Connections made by the package `redis`, which is loaded with the first.
 *
 * @param server Where to connect to.
 */
export function nodeRedis(server: RedisServer): RedisConnector {
  return async (lost, signal) => {
    const { createClient } = await loadPackage();
    signal?.throwIfAborted();
    const { host, port, tls } = server;
    if (tls !== undefined && MUST_ASK) {
      await requireAdmission({ host, port, ...toTls(tls) }, signal);
    }
    const client = createClient(toOptions(server));
    client.on("error", lost);
    client.on("end", lost);
    client.on("reconnecting", lost);
    const giveUp = () => cut(client);
    signal?.addEventListener("abort", giveUp);
    try {
      await client.connect();
    } catch (error) {
      cut(client);
      throw error;
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
    return {
      publish(messages) {
        const sent = byChannel(messages).map((
          { channel, texts: [text, ...more] },
        ) =>
          more.length === 0
            ? client.publish(channel, text ?? "")
            : client.eval(PUBLISH_ALL, {
              arguments: [channel, text ?? "", ...more],
            })
        );
        return Promise.all(sent);
      },
      subscribe: (channels, received) =>
        client.subscribe([...channels], received),
      ping: () => client.ping(),
      destroy: () => cut(client),
    };
  };
}

/** Releases of the package before 6.3 throw if it has ended. */
function cut(client: { destroy(): void }): void {
  try {
    client.destroy();
  } catch {
    // There is nothing left to cut.
  }
}

function toOptions(server: RedisServer) {
  const { host, port, tls, database, username, password } = server;
  const socket = { host, port, reconnectStrategy: false } as const;
  return {
    RESP: 2,
    socket: tls === undefined ? socket : { ...socket, ...toTls(tls) },
    name: CLIENT_NAME,
    database,
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: "disabled",
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  } as const;
}

/** Without what is not set: the package hands on whatever is there. */
function toTls({ key, cert, passphrase, ca, servername }: RedisKeys) {
  return {
    tls: true,
    minVersion: "TLSv1.2",
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
    ...(key === undefined ? {} : { key }),
    ...(cert === undefined ? {} : { cert }),
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(servername === undefined ? {} : { servername }),
  } as const;
}

/** Messages of one channel that stand together; nearly always that is all. */
interface Run {
  readonly channel: string;
  readonly texts: string[];
}

function byChannel(messages: readonly RedisMessage[]): Run[] {
  const runs: Run[] = [];
  let run: Run | undefined;
  for (const { channel, text } of messages) {
    if (run?.channel === channel && run.texts.length < MAX_TEXTS) {
      run.texts.push(text);
      continue;
    }
    run = { channel, texts: [text] };
    runs.push(run);
  }
  return runs;
}

async function loadPackage(): Promise<typeof import("redis")> {
  try {
    return await import("redis");
  } catch (error) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      'Cannot connect to Redis: the package "redis" can\'t be loaded ' +
        `(${messageOf(error)}); install it: npm install redis`,
      { cause: error },
    );
  }
}
