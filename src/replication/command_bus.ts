/**
 * Commands beside the streams: to whoever has a handler for them.
 *
 * @module
 */

import { formatCommand } from "../protocol/codec.ts";
import type { Command, CommandMap } from "../protocol/command.ts";
import {
  type CustomCommand,
  type CustomCommandType,
  formatCustom,
} from "../protocol/custom_command.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import type { Lifetime } from "../runtime/lifetime.ts";
import { MAX_RUNNING_HANDLERS } from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";

/** Who sent a command. */
export interface CommandSender {
  /**
   * A writer's instance, or the id of a slaved store; of a foreign peer that has
   * told neither, its name. Of a command of the wire's own that came through a
   * relay for several threads and doesn't itself say who sent it, the relay's
   * name.
   */
  readonly instance: string;
  /** What the other end calls itself. */
  readonly name: string;
  /** Where the other end is, for logs: `127.0.0.1:50432`. */
  readonly remote: string;
}

/**
 * Takes a command. What it throws is logged. A promise that it returns is not
 * waited for, until very many are open.
 */
export type CommandHandler<Value> = (
  value: Value,
  sender: CommandSender,
) => void | Promise<void>;

/** The commands that can be taken: those that don't serve the connection itself. */
export type HandledKind =
  | "CANCEL_TASK"
  | "CLEAR_USER_SYNC"
  | "FEDERATION_ACK"
  | "LOCK_RELEASED"
  | "NEW_ACTIVE_TASK"
  | "REMOTE_SERVER_UP"
  | "USER_IP"
  | "USER_SYNC";

/** The commands that a writer sends. Those of tasks go to shared channels only. */
export type WriterKind =
  | "CANCEL_TASK"
  | "LOCK_RELEASED"
  | "NEW_ACTIVE_TASK"
  | "REMOTE_SERVER_UP";

/** The commands that a slaved store sends. */
export type SlavedKind = WriterKind | "FEDERATION_ACK" | "USER_IP";

/** What a command says, its name left out. */
export type CommandFields<Kind extends HandledKind> = Omit<
  CommandMap[Kind],
  "kind"
>;

/** To whom a command goes. */
export interface SendOptions {
  /**
   * The instance of a writer, or the `instanceId` of a slaved store.
   *
   * @default {everybody who is connected}
   */
  readonly to?: string | undefined;
}

/** The names of {@linkcode SendOptions}. */
export const SEND_OPTIONS: OptionNames<SendOptions> = {
  to: true,
};

/** A command on its way out. */
export interface Outgoing {
  /** The line, without its newline. */
  readonly line: string;
  /** The command's kind, or the name of one of the users' own. */
  readonly name: string;
  readonly isCustom: boolean;
  readonly to: string | undefined;
}

/** Ends a registration. */
export type Unregister = () => void;

/** Options of {@linkcode CommandBus}. */
export interface CommandBusOptions {
  /** What this end is to be called. */
  readonly instance: string;
  /** The longest line, in bytes. */
  readonly maxLineBytes: number;
  /** The store's: once it is over, nothing is sent or taken. */
  readonly life: Lifetime;
  readonly logger: Logger;
}

type Handlers = Set<CommandHandler<unknown>>;

/**
 * The handlers of one process, and what they are called with.
 *
 * Handlers run in the order in which commands arrive, and never hold up or
 * close a connection by failing.
 */
export class CommandBus {
  /** Is told of a command of the users' that is taken from now on. */
  onNewName: () => void = () => {};
  readonly #options: CommandBusOptions;
  readonly #builtin = new Map<string, Handlers>();
  readonly #custom = new Map<string, Map<CustomCommandType, Handlers>>();
  #running = 0;
  #wakers: (() => void)[] = [];

  /** Constructs a bus without handlers. */
  constructor(options: CommandBusOptions) {
    this.#options = options;
  }

  /** What this end is called. */
  get instance(): string {
    return this.#options.instance;
  }

  /** The users' commands that have been taken so far. */
  get names(): readonly string[] {
    return [...this.#custom.keys()];
  }

  /**
   * Registers a handler.
   *
   * @throws {HeadwaterError} `CLOSED`.
   */
  on<Value>(
    command: HandledKind | CustomCommandType<Value>,
    handler: CommandHandler<Value>,
  ): Unregister {
    const name = typeof command === "string" ? command : command.name;
    this.#options.life.require(`take command ${name}`);
    const handlers = typeof command === "string"
      ? this.#handlersOf(command)
      : this.#customHandlersOf(command as CustomCommandType);
    const own: CommandHandler<unknown> = (value, sender) =>
      handler(value as Value, sender);
    handlers.add(own);
    return () => void handlers.delete(own);
  }

  /**
   * Makes a line.
   *
   * @throws {HeadwaterError} `LINE_TOO_LONG`; `LINE_INVALID` or
   *   `INVALID_ARGUMENT` for what can't be sent; `CLOSED`.
   */
  outgoing<Value>(
    command: SlavedKind | CustomCommandType<Value>,
    value: unknown,
    options: SendOptions = {},
  ): Outgoing {
    const isCustom = typeof command !== "string";
    const name = isCustom ? command.name : command;
    this.#options.life.require(`send command ${name}`);
    requireNames(`send command ${name}`, SEND_OPTIONS, options);
    const { to } = options;
    const line = isCustom
      ? formatCustom({
        name,
        from: this.instance,
        to,
        text: command.format(value as Value),
      })
      : formatCommand({ ...(value as object), kind: command } as Command);
    const { maxLineBytes } = this.#options;
    const bytes = new TextEncoder().encode(line).length;
    if (bytes <= maxLineBytes) return { line, name, isCustom, to };
    throw new HeadwaterError(
      "LINE_TOO_LONG",
      `Cannot send command ${name}: its line takes ${bytes} bytes, and ` +
        `maxLineBytes is ${maxLineBytes}; send less, or raise it at both ends`,
    );
  }

  /**
   * Calls the handlers of a command.
   *
   * @returns A promise if too many are running: nothing more is to be read until
   *   it has resolved. It never rejects.
   */
  receive(
    command: Command | CustomCommand,
    sender: CommandSender,
  ): void | Promise<void> {
    if (command.kind === "CUSTOM") this.#receiveCustom(command, sender);
    else {
      const { kind } = command;
      const teller = kind === "USER_SYNC" || kind === "CLEAR_USER_SYNC"
        ? { ...sender, instance: command.instanceId }
        : sender;
      this.#call(kind, this.#builtin.get(kind), command, teller);
    }
    if (this.#running < MAX_RUNNING_HANDLERS) return;
    return new Promise((resolve) => void this.#wakers.push(resolve));
  }

  #receiveCustom(command: CustomCommand, sender: CommandSender): void {
    const { name, from, to, text } = command;
    // An echo of one's own, or somebody else's.
    if (from === this.instance) return;
    if (to !== undefined && to !== this.instance) return;
    for (const [type, handlers] of this.#custom.get(name) ?? []) {
      if (handlers.size === 0) continue;
      let value;
      try {
        value = type.parse(text);
      } catch (error) {
        this.#failed(name, error);
        continue;
      }
      this.#call(name, handlers, value, { ...sender, instance: from });
    }
  }

  #call(
    name: string,
    handlers: Handlers | undefined,
    value: unknown,
    sender: CommandSender,
  ): void {
    for (const handler of handlers ?? []) {
      try {
        const running = handler(value, sender);
        if (running !== undefined) this.#run(name, running);
      } catch (error) {
        this.#failed(name, error);
      }
    }
  }

  /** Whatever it is that a handler written without types has returned. */
  #run(name: string, running: unknown): void {
    this.#running += 1;
    const ended = () => {
      this.#running -= 1;
      const wakers = this.#wakers;
      this.#wakers = [];
      for (const wake of wakers) wake();
    };
    Promise.resolve(running).then(ended, (error) => {
      this.#failed(name, error);
      ended();
    });
  }

  #failed(name: string, error: unknown): void {
    this.#options.logger("error", "the handler of a command failed", {
      command: name,
      error: messageOf(error),
    });
  }

  #handlersOf(kind: HandledKind): Handlers {
    const handlers = this.#builtin.get(kind) ?? new Set();
    this.#builtin.set(kind, handlers);
    return handlers;
  }

  #customHandlersOf(type: CustomCommandType): Handlers {
    const types = this.#custom.get(type.name);
    const handlers = types?.get(type) ?? new Set();
    if (types !== undefined) types.set(type, handlers);
    else {
      this.#custom.set(type.name, new Map([[type, handlers]]));
      this.onNewName();
    }
    return handlers;
  }
}
