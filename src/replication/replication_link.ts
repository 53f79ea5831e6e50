/**
 * One connection to a writer, from its making to its end.
 *
 * @module
 */

import {
  formatCommand,
  formatRdataPrefix,
  maySend,
  parseCommand,
  wrongDirection,
} from "../protocol/codec.ts";
import type {
  Command,
  CommandKind,
  Dialect,
  InvalidateCommand,
  PositionCommand,
  RdataCommand,
} from "../protocol/command.ts";
import type { CustomCommand } from "../protocol/custom_command.ts";
import { parseJsonField, withoutToken } from "../protocol/fields.ts";
import type { CancelTimer } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import {
  COMPACT_LINE_BYTES,
  MAX_LINE_BYTES,
  MAX_OUTBOX_BYTES,
} from "../runtime/limits.ts";
import type { Connection, ConnectionHandler } from "../transport/transport.ts";
import type { ReplicationClientOptions } from "./client_options.ts";
import type { CommandSender, Outgoing } from "./command_bus.ts";
import { KeepAlive } from "./keep_alive.ts";
import { remedyFor, remedyForAnswer } from "./long_lines.ts";
import { isOtherLog } from "./other_log.ts";
import { CACHES_STREAM } from "./transaction.ts";

/** What a peer may say before it has said who it is. */
const UNNAMED: ReadonlySet<string> = new Set(["SERVER", "PING", "ERROR"]);

/** What means nothing on a shared channel, as it is of one connection. */
const OF_ONE: ReadonlySet<string> = new Set(["SERVER", "SHARED", "PING"]);

/** One connection, from its making to its end. */
export class ReplicationLink implements ConnectionHandler {
  /** Resolves once it is over, and nothing of it is being applied. */
  readonly ended: Promise<void>;
  readonly #options: ReplicationClientOptions;
  readonly #connection: Connection;
  readonly #keepAlive: KeepAlive;
  readonly #cancelTimer: CancelTimer;
  readonly #dialect: Dialect;
  #end!: () => void;
  #isOver = false;
  #isBusy = false;
  /** What stands before the row in a batch of the stream that was last seen. */
  #prefix = "\n";
  #stream = "";
  #instance = "";
  /** Whether the other end has still to say that it is the one that is meant. */
  #isUnnamed: boolean;
  /** What the other end calls itself, and who writes there. */
  #peerName = "";
  /** Whether it is a relay's, on a channel on which everybody hears everybody. */
  #isOfChannel = false;
  #peerInstance = "";

  /**
   * Makes a connection.
   *
   * @param options Whereto, and what to do with what comes.
   * @param made Is given it before anything is read.
   * @param signal Gives the attempt up.
   * @throws What went wrong, if there is nobody.
   */
  static async open(
    options: ReplicationClientOptions,
    made: (link: ReplicationLink) => void,
    signal: AbortSignal,
  ): Promise<ReplicationLink> {
    let link!: ReplicationLink;
    await options.transport.connect((connection) => {
      link = new ReplicationLink(options, connection);
      made(link);
      return link;
    }, signal);
    return link;
  }

  /** Constructs the reader's end of a connection, and asks for positions. */
  constructor(options: ReplicationClientOptions, connection: Connection) {
    this.#options = options;
    this.#connection = connection;
    this.#isUnnamed = options.serverName !== undefined && !connection.isShared;
    this.#keepAlive = KeepAlive.ofReader(options.clock, options);
    this.#cancelTimer = options.clock.repeat(
      () => this.#beat(),
      KeepAlive.checkIntervalMs(options),
    );
    this.ended = new Promise((resolve) => this.#end = resolve);
    this.#dialect = connection.isShared ? "current" : options.dialect ?? "tcp";
    if (!connection.isShared) {
      this.say({ kind: "NAME", name: options.name });
      this.#ping();
    }
    for (const command of options.greeting?.(connection.isShared) ?? []) {
      this.say(command);
    }
    this.say(this.#request);
  }

  /** Whether what comes over it is from a channel on which everybody hears everybody. */
  get isShared(): boolean {
    return this.#connection.isShared || this.#isOfChannel;
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

  /** Sends a command, if the other end takes it and keeps up. */
  say(command: Command): void {
    const isForeign = this.#connection.isShared
      ? command.kind === "COMMANDS"
      : !maySend(command.kind, "client");
    if (isForeign) return;
    this.#sendLine(formatCommand(command, this.#dialect));
  }

  /** Sends a line, if the other end takes it and keeps up; says whether it did. */
  send({ line, name, isCustom }: Outgoing): boolean {
    const isTaken = isCustom || this.#connection.isShared ||
      maySend(name as CommandKind, "client");
    return isTaken && this.#sendLine(line);
  }

  /** Ends it now: a handler that is still at work is not waited for. */
  close(): void {
    this.#isOver = true;
    this.#connection.close();
    this.#end();
  }

  /** Nobody knows what all the others on a shared channel take. */
  get #request(): Command {
    const { receiver, maxLineBytes = MAX_LINE_BYTES } = this.#options;
    const takesInvalidate = receiver.invalidations !== undefined &&
      maxLineBytes >= COMPACT_LINE_BYTES && !this.#connection.isShared;
    const logId = this.#connection.isShared
      ? undefined
      : this.#options.logId?.();
    return { kind: "REPLICATE", takesInvalidate, logId };
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
    if (end === start || !lines.startsWith(this.#prefix, start)) {
      return this.#readCommand(lines.slice(start, end));
    }
    // The hot path: another row of a batch of the same stream and instance.
    const row = lines.slice(start + this.#prefix.length, end);
    // Rows of `caches` are by far the most, and are read as they are applied.
    if (this.#stream !== CACHES_STREAM) {
      parseJsonField(row, lines.slice(start, end), "the row");
    }
    return this.#options.receiver.row(
      this.#stream,
      this.#instance,
      undefined,
      row,
    );
  }

  #readCommand(line: string): void | Promise<void> {
    const command = this.#parse(line);
    if (command === undefined) return;
    if (this.#isUnnamed && !UNNAMED.has(command.kind)) throw wrongRemote();
    switch (command.kind) {
      case "RDATA":
        return this.#readRow(command);
      case "INVALIDATE":
        return this.#readInvalidations(command, line.length);
      case "POSITION":
        return this.#readPosition(command);
      case "HELD":
        if (!this.isShared) break;
        return this.#options.receiver.held?.(command.instance, command.holder);
      case "CUSTOM":
        return this.#options.command?.(command, this.#sender);
    }
    if (!this.#connection.isShared) this.#serve(command);
    else if (OF_ONE.has(command.kind)) return;
    return this.#options.command?.(command, this.#sender);
  }

  /** On a shared channel nonsense is passed over: the others have done nothing. */
  #parse(line: string): Command | CustomCommand | undefined {
    if (!this.isShared) return parseCommand(line);
    try {
      return parseCommand(line);
    } catch (error) {
      this.#warn("nonsense on a shared channel: passed over", error);
      return undefined;
    }
  }

  #readRow(
    { stream, instance, token, row }: RdataCommand,
  ): void | Promise<void> {
    const { receiver, wireNames } = this.#options;
    this.#stream = wireNames?.fromWire(stream) ?? stream;
    this.#instance = instance;
    this.#peerInstance = instance;
    this.#prefix = formatRdataPrefix(stream, instance, undefined);
    return receiver.row(this.#stream, instance, token, row);
  }

  #readInvalidations(
    command: InvalidateCommand,
    chars: number,
  ): void | Promise<void> {
    const { receiver } = this.#options;
    this.#peerInstance = command.instance;
    if (receiver.invalidations === undefined) {
      throw new HeadwaterError("LINE_INVALID", "INVALIDATE was not asked for");
    }
    return receiver.invalidations(command, chars);
  }

  #readPosition(
    { stream, instance, previous, token }: PositionCommand,
  ): void | Promise<void> {
    const { receiver, wireNames } = this.#options;
    this.#peerInstance = instance;
    this.#keepAlive.answered();
    const own = wireNames?.fromWire(stream) ?? stream;
    return receiver.position(own, instance, previous, token);
  }

  /** What concerns this connection alone. */
  #serve(command: Command): void {
    const { logger, serverName } = this.#options;
    switch (command.kind) {
      case "PING":
        this.#keepAlive.pinged();
        return;
      case "SERVER":
        if (serverName !== undefined && command.name !== serverName) {
          throw wrongRemote();
        }
        this.#isUnnamed = false;
        this.#peerName = command.name;
        return;
      case "SHARED":
        this.#isOfChannel = true;
        return;
      case "ERROR":
        logger("warn", "the writer reported an error", {
          text: withoutToken(command.text),
          ...remedyForAnswer(command.text, "reader"),
        });
        if (isOtherLog(command.text)) {
          this.#options.givenUp?.(
            new HeadwaterError("DATABASE_INVALID", command.text),
          );
          this.#options.otherLog?.();
        }
        return;
    }
    if (this.isShared || maySend(command.kind, "server")) return;
    throw wrongDirection(command.kind);
  }

  get #sender(): CommandSender {
    const name = this.#peerName || this.#connection.remote;
    return {
      instance: this.#peerInstance || name,
      name,
      remote: this.#connection.remote,
    };
  }

  #beat(): void {
    if (this.#connection.isShared) return;
    switch (this.#keepAlive.check()) {
      case "give up":
        this.#fail("ping timeout");
        return;
      case "never heard":
        this.#fail("no position was told");
        return;
      case "ping":
        this.#ping();
    }
  }

  #ping(): void {
    const now = Math.round(this.#options.clock.wallMs());
    this.say({ kind: "PING", text: String(now) });
  }

  /** A writer that does not read is not sent to: what waits is bounded. */
  #sendLine(line: string): boolean {
    if (this.#isOver || this.#connection.queuedBytes > MAX_OUTBOX_BYTES) {
      return false;
    }
    this.#keepAlive.sent();
    this.#connection.send(`${line}\n`);
    return true;
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#options.givenUp?.(error);
    this.#warn("connection given up", error);
    if (!this.#connection.isShared) {
      const text = messageOf(error).replaceAll("\n", " ");
      this.say({ kind: "ERROR", text });
    }
    this.close();
  }

  #warn(problem: string, error: unknown): void {
    this.#options.logger("warn", problem, {
      error: withoutToken(messageOf(error)),
      ...remedyFor(error, "reader"),
    });
  }
}

function wrongRemote(): HeadwaterError {
  return new HeadwaterError("LINE_INVALID", "Wrong remote");
}
