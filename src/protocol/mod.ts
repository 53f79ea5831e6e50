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
  LockReleasedCommand,
  NameCommand,
  NewActiveTaskCommand,
  PingCommand,
  PositionCommand,
  RdataCommand,
  RemoteServerUpCommand,
  ReplicateCommand,
  ServerCommand,
  Side,
  UserIpCommand,
  UserSyncCommand,
} from "./command.ts";
export type {
  CommandCodec,
  CustomCommand,
  CustomCommandType,
} from "./custom_command.ts";
export type { Token } from "../tokens/token.ts";
