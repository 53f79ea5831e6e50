/**
 * The reading end: one connection to a writer, made again whenever it is lost.
 *
 * @module
 */

import {
  formatCommand,
  formatRdataPrefix,
  parseCommand,
} from "../protocol/codec.ts";
import type { Command } from "../protocol/command.ts";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import { MAX_BACKOFF_MS, MIN_BACKOFF_MS } from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Random } from "../runtime/random.ts";
import { pause } from "../runtime/waiting.ts";
import type { WireNames } from "../streams/wire_names.ts";
import type { Token } from "../tokens/token.ts";
import type {
  Connection,
  ConnectionHandler,
  Transport,
} from "../transport/transport.ts";
import { KeepAlive, type KeepAliveOptions } from "./keep_alive.ts";

/**
 * What to do with what a writer sends. Where a call returns a promise, the
 * next line is read once it has resolved; what it throws is sent to the writer
 * as ERROR, and ends the connection.
 */
export interface Receiver {
  /** An RDATA line; `token` is `undefined` for `batch`. */
  row(
    stream: string,
    instance: string,
    token: Token | undefined,
    row: string,
  ): void | Promise<void>;
  /** A POSITION line. */
  position(
    stream: string,
    instance: string,
    previous: Token,
    token: Token,
  ): void | Promise<void>;
  /** The connection is lost: what was not complete will come again. */
  disconnected(): void;
  /** Whether it has caught up on this connection, so that the next backoff is a first one. */
  readonly isLive: boolean;
}

/** Options of {@linkcode ReplicationClient}. */
export interface ReplicationClientOptions extends KeepAliveOptions {
  /** Makes a connection. */
  readonly transport: Transport;
  /** Takes what comes over it. */
  readonly receiver: Receiver;
  /** What to be called in the writer's logs. */
  readonly name: string;
  /** What streams are called on the wire; as everywhere by default. */
  readonly wireNames?: WireNames | undefined;
  /** The name that the writer must have; any by default. */
  readonly serverName?: string | undefined;
  /** The first pause before connecting again, in ms. */
  readonly minBackoffMs?: number | undefined;
  /** The longest pause before connecting again, in ms. */
  readonly maxBackoffMs?: number | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Keeps one connection, until it is closed. */
export class ReplicationClient {
  readonly #options: ReplicationClientOptions;
  readonly #closing = new AbortController();
  #link: Link | undefined;
  #running: Promise<void> | undefined;
  #connections = 0;

  /** Constructs a client that is not connected. */
  constructor(options: ReplicationClientOptions) {
    this.#options = options;
  }

  /** How many connections have been made so far. */
  get connections(): number {
    return this.#connections;
  }

  /** Whether the connection is one on which everybody hears everybody. */
  get isShared(): boolean {
    return this.#link?.isShared ?? false;
  }

  /** Connects, and goes on connecting. */
  open(): void {
    this.#running ??= this.#run();
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
        const link = await Link.open(this.#options);
        this.#link = link;
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

/** One connection, from its making to its end. */
class Link implements ConnectionHandler {
  readonly ended: Promise<void>;
  readonly #options: ReplicationClientOptions;
  readonly #connection: Connection;
  readonly #keepAlive: KeepAlive;
  readonly #cancelTimer: CancelTimer;
  #end!: () => void;
  #isOver = false;
  #isBusy = false;
  /** What stands before the row in a batch of the stream that was last seen. */
  #prefix = "\n";
  #stream = "";
  #instance = "";

  static async open(options: ReplicationClientOptions): Promise<Link> {
    let link!: Link;
    await options.transport.connect((connection) => {
      link = new Link(options, connection);
      return link;
    });
    return link;
  }

  constructor(options: ReplicationClientOptions, connection: Connection) {
    this.#options = options;
    this.#connection = connection;
    this.#keepAlive = new KeepAlive(options.clock, options);
    this.#cancelTimer = options.clock.repeat(
      () => this.#beat(),
      KeepAlive.checkIntervalMs(options),
    );
    this.ended = new Promise((resolve) => this.#end = resolve);
    if (!connection.isShared) {
      this.#send({ kind: "NAME", name: options.name });
      this.#ping();
    }
    this.#send({ kind: "REPLICATE" });
  }

  get isShared(): boolean {
    return this.#connection.isShared;
  }

  received(lines: string): void {
    this.#keepAlive.received();
    this.#readFrom(lines, 0);
  }

  failed(error: Error): void {
    this.#fail(error);
  }

  closed(): void {
    this.#isOver = true;
    this.#cancelTimer();
    if (!this.#isBusy) this.#end();
  }

  /** Ends it now: a handler that is still at work is not waited for. */
  close(): void {
    this.#isOver = true;
    this.#connection.close();
    this.#end();
  }

  #readFrom(lines: string, from: number): void {
    let start = from;
    while (!this.#isOver) {
      const end = lines.indexOf("\n", start);
      if (end < 0) return;
      let waiting;
      try {
        waiting = this.#readLine(lines, start, end);
      } catch (error) {
        this.#fail(error);
        return;
      }
      start = end + 1;
      if (waiting !== undefined) {
        this.#waitThenRead(waiting, lines, start);
        return;
      }
    }
  }

  /** Holds the writer up until `waiting` is done: what it sends waits in its outbox. */
  #waitThenRead(waiting: Promise<void>, lines: string, start: number): void {
    this.#isBusy = true;
    this.#connection.pause();
    this.#keepAlive.pause();
    const goOn = () => {
      this.#isBusy = false;
      this.#keepAlive.resume();
      this.#readFrom(lines, start);
      if (this.#isOver) this.#end();
      else if (!this.#isBusy) this.#connection.resume();
    };
    waiting.then(goOn, (error) => {
      this.#fail(error);
      goOn();
    });
  }

  #readLine(
    lines: string,
    start: number,
    end: number,
  ): void | Promise<void> {
    if (!lines.startsWith(this.#prefix, start)) {
      return this.#readCommand(lines.slice(start, end));
    }
    // The hot path: another row of a batch of the same stream and instance.
    const row = lines.slice(start + this.#prefix.length, end);
    return this.#options.receiver.row(
      this.#stream,
      this.#instance,
      undefined,
      row,
    );
  }

  #readCommand(line: string): void | Promise<void> {
    const command = this.#connection.isShared
      ? this.#hear(line)
      : parseCommand(line);
    if (command === undefined) return;
    const { receiver, logger, serverName, wireNames } = this.#options;
    switch (command.kind) {
      case "RDATA": {
        const { stream, instance, token, row } = command;
        this.#stream = wireNames?.fromWire(stream) ?? stream;
        this.#instance = instance;
        this.#prefix = formatRdataPrefix(stream, instance, undefined);
        return receiver.row(this.#stream, instance, token, row);
      }
      case "POSITION":
        return receiver.position(
          wireNames?.fromWire(command.stream) ?? command.stream,
          command.instance,
          command.previous,
          command.token,
        );
      case "PING":
        this.#keepAlive.pinged();
        return;
      case "SERVER":
        if (serverName !== undefined && command.name !== serverName) {
          throw new HeadwaterError("LINE_INVALID", "Wrong remote");
        }
        return;
      case "ERROR":
        logger("warn", "the writer reported an error", { text: command.text });
        return;
      default:
        throw new HeadwaterError(
          "LINE_INVALID",
          `invalid command: ${command.kind}`,
        );
    }
  }

  /** Rows and positions; what else there is on a shared connection is for others. */
  #hear(line: string): Command | undefined {
    try {
      const command = parseCommand(line);
      const isForReaders = command?.kind === "RDATA" ||
        command?.kind === "POSITION";
      return isForReaders ? command : undefined;
    } catch (error) {
      this.#options.logger("warn", "nonsense skipped", {
        error: messageOf(error),
      });
      return undefined;
    }
  }

  #beat(): void {
    if (this.#connection.isShared) return;
    switch (this.#keepAlive.check()) {
      case "give up":
        this.#fail("ping timeout");
        return;
      case "ping":
        this.#ping();
    }
  }

  #ping(): void {
    const now = Math.round(this.#options.clock.wallMs());
    this.#send({ kind: "PING", text: String(now) });
  }

  #send(command: Command): void {
    this.#keepAlive.sent();
    this.#connection.send(`${formatCommand(command)}\n`);
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    const text = messageOf(error);
    this.#options.logger("warn", "connection given up", { error: text });
    if (!this.#connection.isShared) {
      this.#send({ kind: "ERROR", text: text.replaceAll("\n", " ") });
    }
    this.close();
  }
}
