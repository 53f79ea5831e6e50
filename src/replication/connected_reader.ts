/**
 * One connected reader, as the writer sees it.
 *
 * @module
 */

import {
  formatCommand,
  isKnownIn,
  maySend,
  parseCommand,
  wrongDirection,
} from "../protocol/codec.ts";
import type { Command, CommandKind, Dialect } from "../protocol/command.ts";
import type { CustomCommand } from "../protocol/custom_command.ts";
import { withoutToken } from "../protocol/fields.ts";
import type { Clock } from "../runtime/clock.ts";
import { messageOf } from "../runtime/errors.ts";
import {
  FIRST_COMMAND_TIMEOUT_MS,
  MAX_ID_CHARS,
  MAX_IDS_PER_CONNECTION,
} from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Connection, ConnectionHandler } from "../transport/transport.ts";
import type { CommandSender, Outgoing } from "./command_bus.ts";
import { KeepAlive, type KeepAliveOptions } from "./keep_alive.ts";
import { remedyFor, remedyForAnswer } from "./long_lines.ts";

/**
 * Why a reader is gone: it couldn't keep up, it pinged and then fell silent,
 * it never said anything, it said what nobody may, there were too many, the
 * writer closes, or it left by itself.
 */
export type DisconnectReason =
  | "laggard"
  | "silent"
  | "mute"
  | "invalid"
  | "refused"
  | "closing"
  | "left";

/** None yet, for each reason. */
export const NO_DISCONNECTIONS: Readonly<Record<DisconnectReason, number>> = {
  laggard: 0,
  silent: 0,
  mute: 0,
  invalid: 0,
  refused: 0,
  closing: 0,
  left: 0,
};

/** What a reader's connection asks of the streamer. */
export interface ReaderEvents {
  /** A command that doesn't serve the connection itself; a promise holds up what follows. */
  command(command: Command | CustomCommand): void | Promise<void>;
  /** Positions are due on a shared connection that was quiet. */
  heartbeat(): void;
  /** It is gone; called once. */
  ended(reason: DisconnectReason): void;
}

/** Options of {@linkcode ConnectedReader}. */
export interface ConnectedReaderOptions extends KeepAliveOptions {
  /**
   * How long a connection may take to say anything, in ms; 0 for ever.
   *
   * @default {10000}
   */
  readonly firstCommandTimeoutMs?: number | undefined;
  /**
   * What readers may speak: with `"tcp"`, those that are not Headwater's own are
   * sent nothing that is newer.
   *
   * @default {"current"}
   */
  readonly dialect?: Dialect | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One connected reader, or a channel where all of them hear each other. */
export class ConnectedReader implements ConnectionHandler {
  readonly #options: ConnectedReaderOptions;
  readonly #connection: Connection;
  readonly #events: ReaderEvents;
  readonly #keepAlive: KeepAlive;
  /** The commands of the users' own that it takes. */
  readonly #accepted = new Set<string>();
  /** Whether it is sent INVALIDATE lines: the streamer's to say. */
  isCompact = false;
  #name: string;
  /** The processes that speak over it: behind a relay there are many. */
  readonly #ids = new Set<string>();
  /** Whether there are more than were noted. */
  #hasMoreIds = false;
  /** Whether it has said what only Headwater's own say. */
  #isOwn = false;
  #waiting = 0;
  /** Of lines that were more than may wait, and have not left yet. */
  #oversizedBytes = 0;
  #isOver = false;

  /** Constructs the writer's end of a connection. */
  constructor(
    options: ConnectedReaderOptions,
    connection: Connection,
    events: ReaderEvents,
  ) {
    this.#name = connection.remote;
    this.#options = options;
    this.#connection = connection;
    this.#events = events;
    this.#keepAlive = new KeepAlive(
      options.clock,
      options,
      connection.isShared ? Infinity : firstWordMs(options),
    );
  }

  /** How often {@linkcode beat} wants to be called, in ms. */
  static beatIntervalMs(options: ConnectedReaderOptions): number {
    return Math.max(
      1,
      Math.min(KeepAlive.checkIntervalMs(options), firstWordMs(options) / 4),
    );
  }

  /** What it is called in logs. */
  get name(): string {
    const { remote } = this.#connection;
    return this.#name === remote ? remote : `${this.#name} (${remote})`;
  }

  /** Whether everybody hears what is said on it. */
  get isShared(): boolean {
    return this.#connection.isShared;
  }

  /** Bytes that wait for its socket. */
  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  /** When it was heard last, by the monotonic clock. */
  get heardMs(): number {
    return this.#keepAlive.receivedMs;
  }

  /**
   * Who it is to those who take its commands. Where many speak, none of them:
   * a command that says itself who sent it is believed, see `CommandBus`.
   */
  get sender(): CommandSender {
    const [id, another] = this.#ids;
    const isAlone = another === undefined && !this.#hasMoreIds;
    return {
      instance: isAlone && id !== undefined ? id : this.#name,
      name: this.#name,
      remote: this.#connection.remote,
    };
  }

  /** Whether a command is for it, and can be said to it. */
  takes({ name, isCustom, to }: Outgoing): boolean {
    if (this.isShared) return true;
    if (!isCustom) return this.#knows(name as CommandKind);
    if (!this.#accepted.has(name)) return false;
    // Whom it isn't for drops it: too many is right, too few is not.
    return to === undefined || this.#hasMoreIds || this.#ids.has(to);
  }

  received(lines: string): void {
    let isHeard = false;
    for (const line of lines.split("\n")) {
      if (this.#isOver) return;
      try {
        isHeard = this.#read(line) || isHeard;
      } catch (error) {
        this.failed(error as Error);
      }
    }
    if (!isHeard) return;
    this.#keepAlive.received();
    this.#keepAlive.answered();
  }

  failed(error: Error): void {
    const text = messageOf(error);
    this.#options.logger(
      "warn",
      this.isShared
        ? "nonsense on a shared channel: passed over"
        : "reader sent nonsense: disconnected",
      {
        reader: this.name,
        error: withoutToken(text),
        ...remedyFor(error, "writer"),
      },
    );
    // Who said it can't be told, and the others have done nothing.
    if (!this.isShared) this.fail("invalid", text);
  }

  closed(): void {
    this.#end("left");
  }

  /** Sends what is due, or gives up. */
  beat(): void {
    switch (this.#keepAlive.check()) {
      case "give up":
        this.fail("silent", "ping timeout");
        return;
      case "never heard":
        this.fail("mute", "nothing was said");
        return;
      case "ping":
        if (this.isShared) this.#events.heartbeat();
        else this.ping();
    }
  }

  /** Sends PING. */
  ping(): void {
    const now = Math.round(this.#options.clock.wallMs());
    this.send({ kind: "PING", text: String(now) });
  }

  /** Sends one command. */
  send(command: Command): void {
    this.sendLines(`${formatCommand(command)}\n`);
  }

  /** Sends lines that are ready. */
  sendLines(lines: string | Uint8Array): void {
    if (lines.length === 0) return;
    this.#keepAlive.sent();
    this.#connection.send(lines);
  }

  /**
   * Sends lines that are ready, and says whether the reader keeps up: no more
   * waits for it than is allowed. Lines that are more than that by themselves
   * wait beside what else may wait, until they have left: nobody could have
   * read them before.
   */
  sendWithin(lines: Uint8Array, maxQueuedBytes: number): boolean {
    this.sendLines(lines);
    const { queuedBytes } = this;
    if (queuedBytes <= maxQueuedBytes) {
      this.#oversizedBytes = 0;
      return true;
    }
    if (lines.length > maxQueuedBytes && this.#oversizedBytes === 0) {
      this.#oversizedBytes = lines.length;
    }
    return queuedBytes <= maxQueuedBytes + this.#oversizedBytes;
  }

  /** Says what is wrong, and closes. */
  fail(reason: DisconnectReason, text: string): void {
    if (this.#isOver) return;
    if (!this.isShared) {
      this.send({ kind: "ERROR", text: text.replaceAll("\n", " ") });
    }
    this.#connection.close();
    this.#end(reason);
  }

  #end(reason: DisconnectReason): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#events.ended(reason);
  }

  /** Whether the line was a command. */
  #read(line: string): boolean {
    const command = parseCommand(line);
    if (command === undefined) return false;
    if (
      command.kind !== "CUSTOM" && !this.isShared &&
      !maySend(command.kind, "client")
    ) throw wrongDirection(command.kind);
    const waiting = this.#handle(command);
    if (waiting !== undefined) this.#holdUp(waiting);
    return true;
  }

  #handle(command: Command | CustomCommand): void | Promise<void> {
    // What serves one connection means nothing where there are many.
    if (this.isShared) return this.#events.command(command);
    switch (command.kind) {
      case "PING":
        this.#keepAlive.pinged();
        return;
      case "NAME":
        this.#name = command.name;
        return;
      case "COMMANDS":
        this.#isOwn = true;
        this.#note(command.instanceId);
        for (const name of command.names) this.#accept(name);
        return;
      case "ERROR":
        this.#options.logger("warn", "a reader reported an error", {
          reader: this.name,
          text: withoutToken(command.text),
          ...remedyForAnswer(command.text, "writer"),
        });
        return;
      case "USER_SYNC":
        this.#note(command.instanceId);
    }
    return this.#events.command(command);
  }

  #knows(kind: CommandKind): boolean {
    const { dialect = "current" } = this.#options;
    return maySend(kind, "server") &&
      (this.#isOwn || this.isCompact || isKnownIn(kind, dialect));
  }

  #note(id: string): void {
    const isNoted = this.#ids.size < MAX_IDS_PER_CONNECTION &&
      id.length <= MAX_ID_CHARS;
    if (isNoted) this.#ids.add(id);
    else if (!this.#ids.has(id)) this.#hasMoreIds = true;
  }

  #accept(name: string): void {
    // Far more than anybody declares: what a peer sends is bounded.
    if (this.#accepted.size < 1_000) this.#accepted.add(name);
  }

  /** Reads nothing more until `waiting` is done. */
  #holdUp(waiting: Promise<void>): void {
    this.#waiting += 1;
    this.#connection.pause();
    this.#keepAlive.pause();
    waiting.then(() => {
      this.#waiting -= 1;
      if (this.#waiting > 0) return;
      this.#keepAlive.resume();
      this.#connection.resume();
    });
  }
}

function firstWordMs(
  { firstCommandTimeoutMs = FIRST_COMMAND_TIMEOUT_MS }: ConnectedReaderOptions,
): number {
  return firstCommandTimeoutMs === 0 ? Infinity : firstCommandTimeoutMs;
}

/** What waits for sockets: of all readers, and of the one with the most. */
export function measureQueues(
  readers: Iterable<ConnectedReader>,
): { queuedBytes: number; maxQueuedBytes: number } {
  let queuedBytes = 0;
  let maxQueuedBytes = 0;
  for (const reader of readers) {
    const bytes = reader.queuedBytes;
    queuedBytes += bytes;
    maxQueuedBytes = Math.max(maxQueuedBytes, bytes);
  }
  return { queuedBytes, maxQueuedBytes };
}
