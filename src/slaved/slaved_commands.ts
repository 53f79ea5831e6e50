/**
 * What a slaved store says and hears beside its streams.
 *
 * @module
 */

import { EventReads, type EventReadsOptions } from "../events/event_reads.ts";
import type { Command, CommandMap } from "../protocol/command.ts";
import type { CustomCommandType } from "../protocol/custom_command.ts";
import type { ReplicationClient } from "../replication/client.ts";
import {
  CommandBus,
  type CommandFields,
  type CommandHandler,
  type HandledKind,
  type SendOptions,
  type SlavedKind,
  type Unregister,
} from "../replication/command_bus.ts";
import {
  PresenceReporter,
  type SlavedPresence,
} from "../replication/presence_reporter.ts";
import type { ReplicationClientOptions } from "../replication/client.ts";
import { environmentOf } from "../runtime/environment.ts";
import { Lifetime } from "../runtime/lifetime.ts";
import {
  MAX_LINE_BYTES,
  MAX_PRESENT_USERS,
  PRESENCE_TIMEOUT_MS,
} from "../runtime/limits.ts";
import { silentLogger } from "../runtime/logger.ts";
import { closedError } from "./closed_error.ts";
import type { SlavedStoreOptions } from "./slaved_options.ts";

/** Commands and presence, as a slaved store has them. */
export class SlavedVoice {
  readonly instanceId: string;
  /** The store's: once it is over, there is nobody to speak with. */
  readonly life: Lifetime = new Lifetime(closedError);
  readonly bus: CommandBus;
  readonly presence: PresenceReporter;
  readonly #clients: ReplicationClient[] = [];
  /** Whether writers are told who speaks: not before there is something to say or to hear. */
  #isIntroduced = false;

  /** Constructs one without connections. */
  constructor(options: SlavedStoreOptions) {
    const { maxLineBytes, maxPresentUsers, logger } = options;
    const { life } = this;
    const { clock, random } = environmentOf(options);
    this.instanceId = random.id();
    this.bus = new CommandBus({
      instance: this.instanceId,
      life,
      maxLineBytes: maxLineBytes ?? MAX_LINE_BYTES,
      logger: logger ?? silentLogger,
    });
    this.bus.onNewName = () => {
      this.#isIntroduced = true;
      this.#say(this.#commands());
    };
    this.presence = new PresenceReporter({
      instanceId: this.instanceId,
      life,
      maxUsers: maxPresentUsers ?? MAX_PRESENT_USERS,
      refreshMs: PRESENCE_TIMEOUT_MS / 4,
      clock,
      send: (command) => this.#say(command),
    });
  }

  /** How its connections speak, and to whom they listen. */
  get clientOptions(): Pick<
    ReplicationClientOptions,
    "command" | "dialect" | "greeting"
  > {
    return {
      // A store's writer is never a foreign one: it shares the log.
      dialect: "current",
      command: (command, sender) => this.bus.receive(command, sender),
      greeting: (isShared) => [
        // On a shared channel everybody hears everything.
        ...(isShared || !this.#isIntroduced ? [] : [this.#commands()]),
        ...this.presence.greeting(isShared),
      ],
    };
  }

  /** Speaks over a connection from now on. */
  add(client: ReplicationClient): ReplicationClient {
    this.#clients.push(client);
    return client;
  }

  /** Sends a command over every connection that there is; says how many. */
  send(
    command: SlavedKind | CustomCommandType<unknown>,
    value: unknown,
    options: SendOptions | undefined,
  ): number {
    const outgoing = this.bus.outgoing(command, value, options);
    this.#introduce();
    return this.#clients.filter((client) => client.send(outgoing)).length;
  }

  /** Calls a handler with every such command. */
  on<Value>(
    command: HandledKind | CustomCommandType<Value>,
    handler: CommandHandler<Value>,
  ): Unregister {
    const unregister = this.bus.on(command, handler);
    this.#introduce();
    return unregister;
  }

  /** Or the writer couldn't tell its threads apart behind a relay, nor it from a foreign reader. */
  #introduce(): void {
    if (this.#isIntroduced) return;
    this.#isIntroduced = true;
    this.#say(this.#commands());
  }

  #say(command: Command): void {
    for (const client of this.#clients) client.say(command);
  }

  #commands(): Command {
    const { instanceId } = this;
    return { kind: "COMMANDS", instanceId, names: this.bus.names };
  }
}

/** Commands and presence, as users of a slaved store see them. */
export class SlavedCommands extends EventReads {
  readonly #voice: SlavedVoice;

  /** Constructs the part of a slaved store that reads events, and sends commands. */
  constructor(reads: EventReadsOptions, voice: SlavedVoice) {
    super(reads);
    this.#voice = voice;
  }

  /** A random id of this store, to whom commands can be sent. */
  get instanceId(): string {
    return this.#voice.instanceId;
  }

  /** Tells the writer which users are connected to this process. */
  get presence(): SlavedPresence {
    return this.#voice.presence;
  }

  /**
   * Sends a command to every writer that is connected: one of the wire's own, or
   * one that `defineCommand` gave. It goes out now, once, or not at all.
   *
   * @param command Which.
   * @param value What it says.
   * @param options To which instance; to all by default.
   * @returns Over how many connections it went.
   * @throws {HeadwaterError} `LINE_TOO_LONG`; `LINE_INVALID`, `INVALID_ARGUMENT`
   *   or `ROW_INVALID` for a value that can't be sent; `CLOSED`.
   */
  send<Kind extends SlavedKind>(
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
    command: SlavedKind | CustomCommandType<unknown>,
    value: unknown,
    options?: SendOptions,
  ): number {
    return this.#voice.send(command, value, options);
  }

  /**
   * Calls a handler with every such command that a writer sends.
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
    return this.#voice.on(command, handler);
  }
}
