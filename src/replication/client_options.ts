/**
 * What a connection to a writer is made with.
 *
 * @module
 */

import type { Command, Dialect } from "../protocol/command.ts";
import type { CustomCommand } from "../protocol/custom_command.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Random } from "../runtime/random.ts";
import type { WireNames } from "../streams/wire_names.ts";
import type { Transport } from "../transport/transport.ts";
import type { CommandSender } from "./command_bus.ts";
import type { KeepAliveOptions } from "./keep_alive.ts";
import type { Receiver } from "./receiver.ts";

/** Options of {@linkcode ReplicationClient}. */
export interface ReplicationClientOptions extends KeepAliveOptions {
  /** Makes a connection. */
  readonly transport: Transport;
  /** Takes what comes over it. */
  readonly receiver: Receiver;
  /**
   * Takes the commands that don't serve the connection itself; a promise holds
   * up what follows. It never fails.
   */
  readonly command?:
    | ((
      command: Command | CustomCommand,
      sender: CommandSender,
    ) => void | Promise<void>)
    | undefined;
  /** What is said on every new connection, before positions are asked for. */
  readonly greeting?: ((isShared: boolean) => readonly Command[]) | undefined;
  /**
   * How commands that have two forms are sent over a connection of two ends:
   * `"tcp"` unless the other end is Headwater's own.
   */
  readonly dialect?: Dialect | undefined;
  /** What to be called in the writer's logs. */
  readonly name: string;
  /** The longest line that the transport takes; 1 MiB by default. */
  readonly maxLineBytes?: number | undefined;
  /** What streams are called on the wire; as everywhere by default. */
  readonly wireNames?: WireNames | undefined;
  /** The log that the reader reads: a writer of another one refuses it. */
  readonly logId?: (() => string | undefined) | undefined;
  /** Is called where a writer has refused it for that: perhaps it is not that one any more. */
  readonly otherLog?: (() => void) | undefined;
  /** Is told why a connection was given up, once it was made. */
  readonly givenUp?: ((error: unknown) => void) | undefined;
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
