/**
 * The wire alone: commands as lines, and lines as commands, without I/O. For
 * those who declare commands of their own, or speak with writers and readers
 * by themselves.
 *
 * The dialect is that of Synapse 1.22-1.66 over TCP, and the current one over
 * shared channels. What is taken is more than what is sent: older POSITIONs
 * with one token, USER_SYNC with and without a device, spaces in JSON, raw
 * UTF-8, and a `\r` at the end of a line.
 *
 * Headwater's own readers ask with `REPLICATE INVALIDATE` for a shorter form of
 * invalidations, and are then sent, instead of the RDATA lines of the `caches`
 * stream of a transaction,
 *
 * ```text
 * INVALIDATE <instance> <token|batch> [<run>,…]
 * run = "<cache or group>",<ms>,[<key>,…]
 * key = part | [part,…] | null
 * ```
 *
 * A run's three values stand in the one list as they are. A key is the part of
 * an argument list of one, unless that part is `null`; else the list; or `null`
 * for the whole cache. Rows keep their order. Where a line would be longer than
 * 16,384 bytes, the transaction goes on in another, and all but the last have
 * `batch` for the token. Nobody sends it over a shared channel, nor to anybody
 * who has not asked.
 *
 * @module
 */

export { defineCommand } from "./custom_command.ts";
export { formatCommand, maySend, parseCommand } from "./codec.ts";
export { formatCustom } from "./custom_command.ts";
export { PROTOCOL_VERSION } from "./command.ts";
export type {
  CancelTaskCommand,
  ClearUserSyncCommand,
  Command,
  CommandKind,
  CommandMap,
  CommandsCommand,
  Dialect,
  ErrorCommand,
  FederationAckCommand,
  HeldCommand,
  InvalidateCommand,
  InvalidatedKey,
  InvalidationRun,
  LockReleasedCommand,
  NameCommand,
  NewActiveTaskCommand,
  PingCommand,
  PositionCommand,
  RdataCommand,
  RemoteServerUpCommand,
  ReplicateCommand,
  ServerCommand,
  SharedCommand,
  Side,
  UserIpCommand,
  UserSyncCommand,
} from "./command.ts";
export type {
  CommandCodec,
  CustomCommand,
  CustomCommandType,
} from "./custom_command.ts";
export type { KeyPart } from "../streams/builtin_streams.ts";
export type { Token } from "../tokens/token.ts";
