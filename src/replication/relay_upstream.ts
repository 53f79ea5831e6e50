/**
 * A relay's connection to its writer.
 *
 * @module
 */

import { formatCommand } from "../protocol/codec.ts";
import type { Command } from "../protocol/command.ts";
import { withoutToken } from "../protocol/fields.ts";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { messageOf } from "../runtime/errors.ts";
import { MAX_OUTBOX_BYTES } from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import type {
  Connection,
  ConnectionHandler,
  Transport,
} from "../transport/transport.ts";
import { KeepAlive, type KeepAliveOptions } from "./keep_alive.ts";
import { remedyFor } from "./long_lines.ts";

/** Options of {@linkcode RelayUpstream}. */
export interface RelayUpstreamOptions extends KeepAliveOptions {
  readonly transport: Transport;
  readonly name: string;
  readonly serverName?: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a relay is told of its writer. */
export interface RelayUpstreamEvents {
  /** The writer has said who it is. */
  ready(): void;
  /** Lines for the readers. */
  received(lines: string): void;
}

/** Lines of a bus that are for readers; whoever else is on it speaks there, too. */
const FOR_READERS =
  /^(?:RDATA|POSITION|HELD|REMOTE_SERVER_UP|LOCK_RELEASED|NEW_ACTIVE_TASK|CANCEL_TASK|X_\S+) /;

const POSITION = /^POSITION /m;

/** One connection to a writer, from its making to its end. */
export class RelayUpstream implements ConnectionHandler {
  /** Resolves once it is over. */
  readonly ended: Promise<void>;
  readonly #options: RelayUpstreamOptions;
  readonly #events: RelayUpstreamEvents;
  readonly #connection: Connection;
  readonly #keepAlive: KeepAlive;
  readonly #cancelTimer: CancelTimer;
  #end!: () => void;
  #serverName: string | undefined;
  #isOfChannel = false;
  #hasPinged = false;
  #isOfUse = false;
  #isOver = false;

  /** Makes a connection. */
  static async open(
    options: RelayUpstreamOptions,
    events: RelayUpstreamEvents,
    signal: AbortSignal,
  ): Promise<RelayUpstream> {
    let upstream!: RelayUpstream;
    await options.transport.connect((connection) => {
      upstream = new RelayUpstream(options, events, connection);
      return upstream;
    }, signal);
    return upstream;
  }

  private constructor(
    options: RelayUpstreamOptions,
    events: RelayUpstreamEvents,
    connection: Connection,
  ) {
    this.#options = options;
    this.#events = events;
    this.#connection = connection;
    this.#keepAlive = KeepAlive.ofReader(options.clock, options);
    this.#cancelTimer = options.clock.repeat(
      () => this.#beat(),
      KeepAlive.checkIntervalMs(options),
    );
    this.ended = new Promise((resolve) => this.#end = resolve);
    // Nobody on a bus says who they are.
    if (connection.isShared) this.#serverName = options.serverName ?? "bus";
    this.#say({ kind: "NAME", name: options.name });
    this.#ping();
  }

  /** What the writer calls itself, once it has said so. */
  get serverName(): string | undefined {
    return this.#serverName;
  }

  /** Whether it is known who the writer is. */
  get isReady(): boolean {
    return this.#serverName !== undefined;
  }

  /** Whether it has told a position for the readers. */
  get isOfUse(): boolean {
    return this.#isOfUse;
  }

  /** Whether everybody hears everybody on it, or on the channel that it is a relay's to. */
  get isShared(): boolean {
    return this.#connection.isShared || this.#isOfChannel;
  }

  /** Sends a reader's line. A writer that does not read is not sent to: what waits is bounded. */
  send(line: string): void {
    if (this.#isOver || this.#connection.queuedBytes > MAX_OUTBOX_BYTES) return;
    this.#keepAlive.sent();
    this.#connection.send(line);
  }

  received(lines: string): void {
    if (this.#isOver) return;
    this.#keepAlive.received();
    if (this.#connection.isShared) return this.#receivedShared(lines);
    if (!this.#hasPinged && /^PING\b/m.test(lines)) {
      this.#hasPinged = true;
      this.#keepAlive.pinged();
    }
    const isFirst = this.#serverName === undefined;
    if (isFirst) this.#findServer(lines);
    // Nobody was there for what came before the writer's name.
    else this.#handOn(lines);
  }

  failed(error: Error): void {
    this.#fail(messageOf(error), remedyFor(error, "reader"));
  }

  closed(): void {
    this.#isOver = true;
    this.#cancelTimer();
    this.#end();
  }

  /** Ends it. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelTimer();
    this.#connection.close();
    this.#end();
  }

  #receivedShared(lines: string): void {
    const told = lines.split("\n").filter((line) => FOR_READERS.test(line));
    if (told.length > 0) this.#handOn(`${told.join("\n")}\n`);
  }

  #handOn(lines: string): void {
    this.#isOfUse ||= POSITION.test(lines);
    this.#events.received(lines);
  }

  #findServer(lines: string): void {
    const { logger, serverName } = this.#options;
    const error = /^ERROR (.*)$/m.exec(lines)?.[1];
    if (error !== undefined) {
      const text = withoutToken(error);
      logger("warn", "the writer reported an error", { text });
    }
    const name = /^SERVER (.*)$/m.exec(lines)?.[1];
    if (name === undefined) return;
    if (serverName !== undefined && name !== serverName) {
      return this.#fail("Wrong remote");
    }
    this.#isOfChannel = /^SHARED\b/m.test(lines);
    this.#serverName = name;
    this.#events.ready();
  }

  #beat(): void {
    switch (this.#keepAlive.check()) {
      case "give up":
        this.#fail("ping timeout");
        return;
      case "never heard":
        this.#fail("nothing was said");
        return;
      case "ping":
        this.#ping();
    }
  }

  #ping(): void {
    const now = Math.round(this.#options.clock.wallMs());
    this.#say({ kind: "PING", text: String(now) });
  }

  #say(command: Command): void {
    if (!this.#connection.isShared) this.send(`${formatCommand(command)}\n`);
  }

  #fail(text: string, more: { readonly remedy?: string } = {}): void {
    const fields = { error: withoutToken(text), ...more };
    this.#options.logger("warn", "connection given up", fields);
    this.#say({ kind: "ERROR", text: text.replaceAll("\n", " ") });
    this.close();
  }
}
