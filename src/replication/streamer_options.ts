/**
 * What a streamer is given, and what it tells of itself.
 *
 * @module
 */

import type { Command } from "../protocol/command.ts";
import type { CustomCommand } from "../protocol/custom_command.ts";
import type { WireNames } from "../streams/wire_names.ts";
import type { Token } from "../tokens/token.ts";
import type { CommandSender } from "./command_bus.ts";
import type {
  ConnectedReader,
  ConnectedReaderOptions,
  DisconnectReason,
} from "./connected_reader.ts";

/** Who takes what readers say besides asking for positions. */
export interface CommandReceiver {
  /** Takes a command; a promise holds up what its sender says next. */
  command(
    command: Command | CustomCommand,
    sender: CommandSender,
    reader: ConnectedReader,
  ): void | Promise<void>;
  /** A reader has told all that it tells as it connects, and asks for positions. */
  replicating(reader: ConnectedReader): void;
  /** A reader is gone. */
  gone(reader: ConnectedReader): void;
  /** Nobody will say anything any more. */
  closed(): void;
}

/** Options of {@linkcode Streamer}. */
export interface StreamerOptions extends ConnectedReaderOptions {
  /** Who writes. */
  readonly instance: string;
  /** What the server calls itself. */
  readonly serverName: string;
  /** The streams whose positions are told. */
  readonly streams: readonly string[];
  /** The streams that are in no log. */
  readonly ephemeralStreams?: readonly string[] | undefined;
  /** What they are called on the wire. */
  readonly wireNames: WireNames;
  /** The log's identity: who reads another is refused. */
  readonly logId?: (() => string | undefined) | undefined;
  /** Who holds the instance's name: said first wherever many speak. */
  readonly holder?: string | undefined;
  /** The last token of the log, as the streamer begins. */
  readonly lastToken: Token;
  /** Bytes that may wait for one reader's socket, beside one text that is larger. */
  readonly maxOutboxBytes?: number | undefined;
  /** Connections at a time. */
  readonly maxConnections: number;
  /** Takes what readers say. */
  readonly receiver?: CommandReceiver | undefined;
}

/** What a streamer has done so far. */
export interface StreamerStats {
  /** Readers connected now. */
  readonly connections: number;
  /** Readers disconnected because they could not keep up. */
  readonly laggards: number;
  /** Readers that are gone, by the reason. */
  readonly disconnections: Readonly<Record<DisconnectReason, number>>;
  /** Rows sent, by stream: each once, however many readers there were; none while there was nobody. */
  readonly rowsByStream: ReadonlyMap<string, number>;
  /** Bytes that wait for readers' sockets, in all. */
  readonly queuedBytes: number;
  /** Bytes that wait for the reader with the most of them. */
  readonly maxQueuedBytes: number;
}
