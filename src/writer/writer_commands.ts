/**
 * What a writer store says and hears beside its streams.
 *
 * @module
 */

import { EventReads, type EventReadsOptions } from "../events/event_reads.ts";
import type { Lease } from "../log/lease.ts";
import type { CommandMap } from "../protocol/command.ts";
import type { CustomCommandType } from "../protocol/custom_command.ts";
import {
  CommandBus,
  type CommandFields,
  type CommandHandler,
  type HandledKind,
  type SendOptions,
  type Unregister,
  type WriterKind,
} from "../replication/command_bus.ts";
import { type Presence, PresenceTable } from "../replication/presence.ts";
import { Streamer } from "../replication/streamer.ts";
import { environmentOf } from "../runtime/environment.ts";
import { Lifetime } from "../runtime/lifetime.ts";
import {
  MAX_CONNECTIONS,
  MAX_OUTBOX_BYTES,
  MAX_PRESENT_USERS,
  PRESENCE_GRACE_MS,
  PRESENCE_TIMEOUT_MS,
} from "../runtime/limits.ts";
import { silentLogger } from "../runtime/logger.ts";
import type { Declarations } from "../store/declarations.ts";
import { formatHolder } from "../tokens/holders.ts";
import { closedError } from "./listeners.ts";
import { lineLimit, type WriterStoreOptions } from "./writer_options.ts";

/** What speaks with readers: to all of them, and with each. */
export interface WriterVoice {
  /** The store's: once it is over, there is nobody to speak with. */
  readonly life: Lifetime;
  readonly streamer: Streamer;
  readonly bus: CommandBus;
  readonly presence: PresenceTable;
}

/** Makes what speaks with a writer's readers. */
export function createVoice(
  options: WriterStoreOptions,
  lease: Lease,
  { streams, wireNames }: Declarations,
  logId: () => string | undefined,
): WriterVoice {
  const { logger = silentLogger } = options;
  const { clock } = environmentOf(options);
  const { instance, lastToken } = lease;
  const life = new Lifetime(closedError);
  const bus = new CommandBus({
    instance,
    life,
    maxLineBytes: lineLimit(options),
    logger,
  });
  const presence = new PresenceTable({
    instance,
    life,
    graceMs: options.presenceGraceMs ?? PRESENCE_GRACE_MS,
    timeoutMs: options.presenceTimeoutMs ?? PRESENCE_TIMEOUT_MS,
    maxUsers: options.maxPresentUsers ?? MAX_PRESENT_USERS,
    clock,
    logger,
  });
  const streamer = new Streamer({
    instance,
    serverName: options.serverName ?? "headwater",
    streams: streams.durableNames,
    ephemeralStreams: streams.ephemeral.map(({ name }) => name),
    wireNames,
    logId,
    holder: formatHolder(lease),
    lastToken,
    maxOutboxBytes: options.maxOutboxBytes ?? MAX_OUTBOX_BYTES,
    maxConnections: options.maxConnections ?? MAX_CONNECTIONS,
    firstCommandTimeoutMs: options.firstCommandTimeoutMs,
    dialect: options.synapseCompatible ? "tcp" : "current",
    pingIntervalMs: options.pingIntervalMs,
    silenceTimeoutMs: options.silenceTimeoutMs,
    receiver: {
      command(command, sender, reader) {
        if (command.kind === "USER_SYNC") presence.userSync(command, reader);
        if (command.kind === "CLEAR_USER_SYNC") presence.clear(command);
        return bus.receive(command, sender);
      },
      replicating: (reader) => presence.replicating(reader),
      gone: (reader) => presence.gone(reader),
      closed: () => presence.close(),
    },
    clock,
    logger,
  });
  return { life, streamer, bus, presence };
}

/** Commands and presence, as a writer store has them. */
export class WriterCommands extends EventReads {
  readonly #voice: WriterVoice;

  /** Constructs the part of a writer store that reads events, and hears commands. */
  constructor(reads: EventReadsOptions, voice: WriterVoice) {
    super(reads);
    this.#voice = voice;
  }

  /** Which users are connected to which process, as those told with USER_SYNC. */
  get presence(): Presence {
    return this.#voice.presence;
  }

  /**
   * Sends a command to every reader that takes it: one of the wire's own, or one
   * that `defineCommand` gave. It goes to whoever is connected now, once.
   *
   * @param command Which.
   * @param value What it says.
   * @param options To whom; to all by default.
   * @returns To how many connections it went.
   * @throws {HeadwaterError} `LINE_TOO_LONG`; `LINE_INVALID`, `INVALID_ARGUMENT`
   *   or `ROW_INVALID` for a value that can't be sent; `CLOSED`.
   */
  send<Kind extends WriterKind>(
    command: Kind,
    value: CommandFields<Kind>,
    options?: SendOptions,
  ): number;
  /** Sends a command that `defineCommand` has declared. */
  send<Value>(
    command: CustomCommandType<Value>,
    value: Value,
    options?: SendOptions,
  ): number;
  /** Sends a command. */
  send(
    command: WriterKind | CustomCommandType<unknown>,
    value: unknown,
    options?: SendOptions,
  ): number {
    return this.#voice.streamer.send(
      this.#voice.bus.outgoing(command, value, options),
    );
  }

  /**
   * Calls a handler with every such command that a reader sends.
   *
   * @param command Which: one of the wire's own, or one that `defineCommand` gave.
   * @param handler Is given what it says, and who sent it.
   * @returns Ends the registration.
   * @throws {HeadwaterError} `CLOSED`.
   */
  onCommand<Kind extends HandledKind>(
    command: Kind,
    handler: CommandHandler<CommandMap[Kind]>,
  ): Unregister;
  /** Registers a handler of a command that `defineCommand` has declared. */
  onCommand<Value>(
    command: CustomCommandType<Value>,
    handler: CommandHandler<Value>,
  ): Unregister;
  /** Registers a handler. */
  onCommand<Value>(
    command: HandledKind | CustomCommandType<Value>,
    handler: CommandHandler<Value>,
  ): Unregister {
    return this.#voice.bus.on(command, handler);
  }
}
