/**
 * The writing end: sends every commit to whoever is connected.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { formatCommand, parseCommand } from "../protocol/codec.ts";
import type { Command } from "../protocol/command.ts";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import { ANNOUNCE_INTERVAL_MS, MAX_OUTBOX_BYTES } from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import type { WireNames } from "../streams/wire_names.ts";
import type { Token } from "../tokens/token.ts";
import type { Connection, ConnectionHandler } from "../transport/transport.ts";
import { formatRows } from "./format_rows.ts";
import { KeepAlive, type KeepAliveOptions } from "./keep_alive.ts";
import { cachesFirst, type LoggedTransaction } from "./transaction.ts";

/** Options of {@linkcode Streamer}. */
export interface StreamerOptions extends KeepAliveOptions {
  /** Who writes. */
  readonly instance: string;
  /** What the server calls itself. */
  readonly serverName: string;
  /** The streams whose positions are told. */
  readonly streams: readonly string[];
  /** What they are called on the wire. */
  readonly wireNames: WireNames;
  /** The last token of the log, as the streamer begins. */
  readonly lastToken: Token;
  /** Bytes that may wait for one reader's socket. */
  readonly maxOutboxBytes?: number | undefined;
  /** Connections at a time. */
  readonly maxConnections: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a streamer has done so far. */
export interface StreamerStats {
  /** Readers connected now. */
  readonly connections: number;
  /** Readers disconnected because they could not keep up. */
  readonly laggards: number;
}

/**
 * Sends transactions to readers, in commit order, each line once.
 *
 * Commits of one turn of the event loop leave together, as one text that is
 * made and encoded once for all readers. It ends with a POSITION, so that
 * readers know the last transaction to be complete.
 *
 * Promise 9, bounded: what waits for a reader is bounded in bytes; one that
 * can't keep up is disconnected, and catches up from the log.
 */
export class Streamer {
  readonly #options: StreamerOptions;
  readonly #readers = new Set<Reader>();
  /** The token up to which readers know that a stream has no more rows. */
  readonly #told: Map<string, Token>;
  readonly #cancelTimers: CancelTimer[];
  #lastToken: Token;
  #lastStream: string;
  #lines = "";
  /** The last token of what has been sent. */
  #sentToken: Token;
  #isFlushDue = false;
  #announcedMs = 0;
  #laggards = 0;
  #isClosed = false;

  /** Constructs a streamer without readers. */
  constructor(options: StreamerOptions) {
    this.#options = options;
    const { clock, streams, lastToken } = options;
    this.#lastToken = lastToken;
    this.#sentToken = lastToken;
    this.#lastStream = streams[0] as string;
    this.#told = new Map(streams.map((stream) => [stream, lastToken]));
    this.#cancelTimers = [
      clock.repeat(() => this.#announceDue(), ANNOUNCE_INTERVAL_MS),
      clock.repeat(() => this.#beat(), KeepAlive.checkIntervalMs(options)),
    ];
  }

  /** What it has done so far. */
  get stats(): StreamerStats {
    return { connections: this.#readers.size, laggards: this.#laggards };
  }

  /** Takes a new connection in. */
  accept(connection: Connection): ConnectionHandler {
    const { serverName, maxConnections } = this.#options;
    const reader = new Reader(this.#options, connection, {
      replicate: () => this.#tellPositions(reader),
      closed: () => void this.#readers.delete(reader),
    });
    if (this.#isClosed || this.#readers.size >= maxConnections) {
      reader.fail("too many connections");
      return reader;
    }
    // What has been committed and not sent goes to those who were there.
    this.#flush();
    this.#readers.add(reader);
    if (connection.isShared) {
      // Nobody will ask.
      this.#tellPositions(reader);
      return reader;
    }
    reader.send({ kind: "SERVER", name: serverName });
    reader.ping();
    return reader;
  }

  /**
   * Sends a transaction, within this turn of the event loop.
   *
   * @param transaction One that is committed; they come in token order.
   */
  publish(transaction: LoggedTransaction): void {
    const { token, records } = transaction;
    this.#lastToken = token;
    if (this.#readers.size === 0) {
      // Nobody to tell: who connects later is told the position.
      this.#sentToken = token;
      for (const stream of this.#told.keys()) this.#told.set(stream, token);
      return;
    }
    for (const { stream, rows } of cachesFirst(records)) {
      const name = this.#options.wireNames.toWire(stream);
      this.#lines += formatRows(name, transaction.instance, token, rows);
      this.#told.set(stream, token);
      this.#lastStream = stream;
    }
    if (records.length === 0) {
      this.#lastStream = this.#options.streams[0] as string;
    }
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#options.clock.nextTurn(() => this.#flush());
  }

  /**
   * Says good-bye to every reader, and accepts none from now on.
   *
   * @param reason What readers are told.
   */
  close(reason: string): void {
    if (this.#isClosed) return;
    this.#flush();
    this.#isClosed = true;
    for (const cancel of this.#cancelTimers) cancel();
    for (const reader of [...this.#readers]) reader.fail(reason);
  }

  #flush(): void {
    this.#isFlushDue = false;
    if (this.#isClosed) return;
    const stream = this.#lastStream;
    const isUntold = this.#told.get(stream) !== this.#lastToken;
    if (this.#lines === "" && !isUntold) return;
    const { clock } = this.#options;
    const isQuietOver =
      clock.monotonicMs() - this.#announcedMs >= ANNOUNCE_INTERVAL_MS;
    this.#sendToAll(
      this.#lines + this.#takePositions(isQuietOver ? undefined : stream),
    );
    this.#lines = "";
  }

  /** Once a second at most: the streams that tokens have passed without a row. */
  #announceDue(): void {
    const last = this.#lastToken;
    if ([...this.#told.values()].every((token) => token === last)) return;
    this.#flush();
    const positions = this.#takePositions(undefined, (told) => told !== last);
    if (positions !== "") this.#sendToAll(positions);
  }

  /** POSITION lines of one stream or of all; what they say counts as told. */
  #takePositions(
    only?: string,
    isWanted: (told: Token) => boolean = () => true,
  ): string {
    const { instance, clock, wireNames } = this.#options;
    const token = this.#lastToken;
    let lines = "";
    for (const [own, previous] of this.#told) {
      if (only !== undefined && own !== only) continue;
      if (!isWanted(previous)) continue;
      const stream = wireNames.toWire(own);
      lines += `${
        formatCommand({ kind: "POSITION", stream, instance, previous, token })
      }\n`;
      this.#told.set(own, token);
    }
    if (only === undefined) this.#announcedMs = clock.monotonicMs();
    return lines;
  }

  /** Answers REPLICATE: what comes after this is all that comes after the token. */
  #tellPositions(reader: Reader): void {
    this.#flush();
    const { instance, wireNames } = this.#options;
    const token = this.#lastToken;
    for (const stream of this.#told.keys()) {
      reader.send({
        kind: "POSITION",
        stream: wireNames.toWire(stream),
        instance,
        previous: token,
        token,
      });
    }
  }

  #sendToAll(lines: string): void {
    const { maxOutboxBytes = MAX_OUTBOX_BYTES, logger } = this.#options;
    const bytes = Buffer.from(lines);
    const lead = this.#formatLead();
    this.#sentToken = this.#lastToken;
    for (const reader of this.#readers) {
      reader.sendBytes(reader.isShared ? lead + lines : bytes);
      const { queuedBytes } = reader;
      if (queuedBytes <= maxOutboxBytes) continue;
      this.#laggards += 1;
      logger("warn", "reader can't keep up: disconnected", {
        reader: reader.name,
        queuedBytes,
      });
      reader.fail("Failed to keep up");
    }
  }

  /** What tells everybody on a shared connection that something was lost before. */
  #formatLead(): string {
    const { instance, wireNames } = this.#options;
    const token = this.#sentToken;
    const stream = wireNames.toWire(this.#lastStream);
    const kind = "POSITION";
    return `${
      formatCommand({ kind, stream, instance, previous: token, token })
    }\n`;
  }

  #beat(): void {
    for (const reader of this.#readers) reader.beat();
  }
}

/** What a reader's connection asks of the streamer. */
interface ReaderEvents {
  replicate(): void;
  closed(): void;
}

/** One connected reader, as the writer sees it. */
class Reader implements ConnectionHandler {
  name: string;
  readonly #options: StreamerOptions;
  readonly #connection: Connection;
  readonly #events: ReaderEvents;
  readonly #keepAlive: KeepAlive;
  #isOver = false;

  constructor(
    options: StreamerOptions,
    connection: Connection,
    events: ReaderEvents,
  ) {
    this.name = connection.remote;
    this.#options = options;
    this.#connection = connection;
    this.#events = events;
    this.#keepAlive = new KeepAlive(options.clock, options);
  }

  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  get isShared(): boolean {
    return this.#connection.isShared;
  }

  received(lines: string): void {
    this.#keepAlive.received();
    if (this.isShared) {
      this.#hear(lines);
      return;
    }
    for (const line of lines.split("\n")) {
      if (this.#isOver) return;
      try {
        this.#read(line);
      } catch (error) {
        this.failed(error as Error);
      }
    }
  }

  failed(error: Error): void {
    const { logger } = this.#options;
    const text = messageOf(error);
    logger("warn", "reader sent nonsense: disconnected", {
      reader: this.name,
      error: text,
    });
    this.fail(text);
  }

  closed(): void {
    this.#isOver = true;
    this.#events.closed();
  }

  beat(): void {
    switch (this.#keepAlive.check()) {
      case "give up":
        this.fail("ping timeout");
        return;
      case "ping":
        // Everybody may so tell that this writer is there.
        if (this.isShared) this.#events.replicate();
        else this.ping();
    }
  }

  ping(): void {
    const now = Math.round(this.#options.clock.wallMs());
    this.send({ kind: "PING", text: String(now) });
  }

  send(command: Command): void {
    this.#keepAlive.sent();
    this.#connection.send(`${formatCommand(command)}\n`);
  }

  sendBytes(lines: string | Uint8Array): void {
    this.#keepAlive.sent();
    this.#connection.send(lines);
  }

  /** Says what is wrong, and closes. */
  fail(text: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (!this.isShared) {
      this.send({ kind: "ERROR", text: text.replaceAll("\n", " ") });
    }
    this.#connection.close();
    this.#events.closed();
  }

  /** What everybody says, our own echo included: all that matters is who asks. */
  #hear(lines: string): void {
    for (const line of lines.split("\n")) {
      if (!/^REPLICATE *\r?$/.test(line)) continue;
      this.#events.replicate();
      return;
    }
  }

  #read(line: string): void {
    const command = parseCommand(line);
    if (command === undefined) return;
    const { logger } = this.#options;
    switch (command.kind) {
      case "PING":
        this.#keepAlive.pinged();
        return;
      case "NAME":
        this.name = `${command.name} (${this.#connection.remote})`;
        return;
      case "REPLICATE":
        this.#events.replicate();
        return;
      case "ERROR":
        logger("warn", "a reader reported an error", {
          reader: this.name,
          text: command.text,
        });
        return;
      default:
        throw new HeadwaterError(
          "LINE_INVALID",
          `invalid command: ${command.kind}`,
        );
    }
  }
}
