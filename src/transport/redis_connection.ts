/**
 * Lines over one channel of Redis.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import {
  CLOSE_GRACE_MS,
  CONNECT_ATTEMPT_TIMEOUT_MS,
  MAX_HELD_CHARS,
  REDIS_PING_INTERVAL_MS,
} from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import { deferred, soon } from "../runtime/waiting.ts";
import type {
  RedisClient,
  RedisConnector,
  RedisMessage,
} from "./redis_client.ts";
import type {
  AcceptConnection,
  Connection,
  ConnectionHandler,
} from "./transport.ts";

/** What begins with a command that has a channel of its own. */
const OWN_COMMAND = /^(USER_IP|HELD) /;
/** Of UTF-8, for a unit of a string. */
const MAX_BYTES_PER_UNIT = 3;

/**
 * A command that not everybody on a channel is to hear: USER_IP is for writers,
 * and of HELD foreign peers know nothing.
 */
export type OwnCommand = "USER_IP" | "HELD";

/** What {@linkcode RedisConnection} works with. */
export interface RedisConnectionOptions {
  readonly connector: RedisConnector;
  /** The server and the channel, for logs. */
  readonly remote: string;
  readonly channel: string;
  /** The command that it hears of those that have a channel of their own. */
  readonly hears: OwnCommand;
  readonly maxLineBytes: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How often Redis is asked whether it is there, and how long it may take to answer, in ms. */
  readonly pingIntervalMs?: number | undefined;
}

/**
 * Two connections to Redis, one that publishes and one that has subscribed.
 * When either is lost both are over: a message that is missed always shows.
 *
 * A message is a line without its newline. What one `send` is given arrives
 * whole or not at all, and in order: Redis runs it as one. So a
 * publisher that is cut off leaves no token of which some streams arrived.
 */
export class RedisConnection implements Connection {
  readonly isShared = true;
  readonly remote: string;
  readonly #options: RedisConnectionOptions;
  readonly #cancelPing: CancelTimer;
  readonly #drained = deferred<void>();
  #publisher: RedisClient | undefined;
  #subscriber: RedisClient | undefined;
  #handler: ConnectionHandler | undefined;
  #queuedBytes = 0;
  #held = "";
  #isDeliveryDue = false;
  #isPaused = false;
  #isClosing = false;
  #isOver = false;
  #unansweredPings = 0;
  #failure: unknown;
  readonly #failed = deferred<never>();
  readonly #connecting = new AbortController();

  private constructor(options: RedisConnectionOptions) {
    this.#options = options;
    this.remote = options.remote;
    // Only whoever waits for the connection minds.
    this.#failed.promise.catch(() => {});
    this.#cancelPing = options.clock.repeat(
      () => this.#ping(),
      options.pingIntervalMs ?? REDIS_PING_INTERVAL_MS,
    );
  }

  /**
   * Connects and subscribes, and has a handler take it from there.
   *
   * @param options Where to.
   * @param accept Called once the subscription is confirmed.
   * @param signal Gives the attempt up.
   * @throws What the client throws, if it can't; the signal's reason.
   */
  static async open(
    options: RedisConnectionOptions,
    accept: AcceptConnection,
    signal?: AbortSignal,
  ): Promise<RedisConnection> {
    signal?.throwIfAborted();
    const connection = new RedisConnection(options);
    const giveUp = () => connection.#lost(signal?.reason);
    signal?.addEventListener("abort", giveUp);
    const cancel = options.clock.schedule(
      () => connection.#lost(noAnswerTo("the attempt to connect")),
      CONNECT_ATTEMPT_TIMEOUT_MS,
    );
    try {
      await Promise.race([connection.#connect(), connection.#failed.promise]);
    } catch (error) {
      connection.#end();
      throw error;
    } finally {
      cancel();
      signal?.removeEventListener("abort", giveUp);
    }
    connection.#handler = accept(connection);
    connection.#deliver();
    return connection;
  }

  get queuedBytes(): number {
    return this.#isOver ? 0 : this.#queuedBytes;
  }

  send(lines: string | Uint8Array): void {
    if (this.#isClosing || this.#isOver) return;
    const text = typeof lines === "string"
      ? lines
      : Buffer.from(lines.buffer, lines.byteOffset, lines.byteLength)
        .toString();
    const bytes = Buffer.byteLength(text);
    this.#queuedBytes += bytes;
    const sent = () => {
      this.#queuedBytes -= bytes;
      // Of what was sent before it was closed: it is resolved only once.
      if (this.#isClosing && this.#queuedBytes === 0) this.#drained.resolve();
    };
    const messages = text.split("\n").filter((line) => line !== "")
      .map((line) => this.#toMessage(line));
    this.#publisher?.publish(messages).then(sent, (error) => this.#lost(error));
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#deliver();
  }

  close(): void {
    if (this.#isClosing || this.#isOver) return;
    this.#isClosing = true;
    this.#held = "";
    if (this.#queuedBytes === 0) this.#drained.resolve();
    // A server that doesn't answer is not waited for.
    void soon(this.#drained.promise, this.#options.clock, CLOSE_GRACE_MS)
      .then(() => this.#end());
  }

  async #connect(): Promise<void> {
    const { connector, channel, hears } = this.#options;
    const lost = (error: unknown) => this.#lost(error);
    const { signal } = this.#connecting;
    this.#publisher = this.#keep(await connector(lost, signal));
    this.#subscriber = this.#keep(await connector(lost, signal));
    const channels = [channel, `${channel}/${hears}`];
    await this.#subscriber.subscribe(channels, (text) => this.#receive(text));
    if (this.#isOver) throw this.#failure;
  }

  /** A client that came about too late goes at once. */
  #keep(client: RedisClient): RedisClient {
    if (!this.#isOver) return client;
    client.destroy();
    throw this.#failure;
  }

  #toMessage(line: string): RedisMessage {
    const { channel } = this.#options;
    const [, own] = OWN_COMMAND.exec(line) ?? [];
    return {
      channel: own === undefined ? channel : `${channel}/${own}`,
      text: line,
    };
  }

  #receive(text: string): void {
    if (this.#isClosing || this.#isOver) return;
    const { maxLineBytes } = this.#options;
    if (isLonger(text, maxLineBytes)) {
      // It can't be skipped: it may be a part of a batch.
      this.#lost(tooLong(text, maxLineBytes));
      return;
    }
    // A newline in a message is white space in a row, and never a new command.
    const line = text.includes("\n") ? text.replaceAll("\n", " ") : text;
    this.#held += `${line}\n`;
    if (this.#held.length > MAX_HELD_CHARS) {
      this.#lost(tooBusy());
      return;
    }
    if (this.#isDeliveryDue) return;
    this.#isDeliveryDue = true;
    // All messages of a chunk go on together.
    queueMicrotask(() => {
      this.#isDeliveryDue = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    if (this.#isPaused || this.#isClosing || this.#isOver) return;
    if (this.#handler === undefined || this.#held === "") return;
    const held = this.#held;
    this.#held = "";
    this.#handler.received(held);
  }

  #ping(): void {
    if (this.#unansweredPings > 0) {
      this.#lost(noAnswerTo("PING"));
      return;
    }
    const answered = () => void (this.#unansweredPings -= 1);
    for (const client of [this.#publisher, this.#subscriber]) {
      if (client === undefined) continue;
      this.#unansweredPings += 1;
      client.ping().then(answered, (error) => this.#lost(error));
    }
  }

  /** Whatever failed: nobody can tell what was published, or missed. */
  #lost(error: unknown): void {
    if (this.#isOver) return;
    this.#failure = error ?? closedByServer();
    this.#failed.reject(this.#failure);
    const wasUp = this.#handler !== undefined;
    this.#end();
    if (!wasUp) return;
    this.#options.logger("warn", "the connection to Redis is lost", {
      url: this.remote,
      error: messageOf(this.#failure),
    });
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelPing();
    this.#connecting.abort();
    this.#held = "";
    this.#drained.resolve();
    this.#publisher?.destroy();
    this.#subscriber?.destroy();
    this.#handler?.closed();
  }
}

/** Whether it has more bytes; most texts need not be gone through. */
function isLonger(text: string, maxBytes: number): boolean {
  if (text.length > maxBytes) return true;
  return text.length * MAX_BYTES_PER_UNIT > maxBytes &&
    Buffer.byteLength(text) > maxBytes;
}

function tooLong(text: string, maxLineBytes: number): HeadwaterError {
  return new HeadwaterError(
    "LINE_TOO_LONG",
    `Message length exceeded: ${Buffer.byteLength(text)} bytes, more than ` +
      `${maxLineBytes}; raise maxLineBytes`,
  );
}

function tooBusy(): HeadwaterError {
  return new HeadwaterError(
    "CLOSED",
    `Cannot keep up with Redis: more than ${MAX_HELD_CHARS} characters wait`,
  );
}

function noAnswerTo(what: string): HeadwaterError {
  return new HeadwaterError(
    "CLOSED",
    `Cannot reach Redis: no answer to ${what}`,
  );
}

function closedByServer(): HeadwaterError {
  return new HeadwaterError("CLOSED", "Cannot go on: Redis has disconnected");
}
