/**
 * The reading side alone, for a process that loads no writer.
 *
 * @module
 */

export { follow } from "./follow.ts";
export type { Following, FollowOptions, StreamPosition } from "./follow.ts";
export type {
  CommandFields,
  CommandHandler,
  CommandSender,
  HandledKind,
  SendOptions,
  SlavedKind,
  Unregister,
} from "../replication/command_bus.ts";
export type { SlavedPresence } from "../replication/presence_reporter.ts";
export { openRelay } from "./open_relay.ts";
export type { Relay, RelayOptions } from "./open_relay.ts";
export { SlavedStore } from "./slaved_store.ts";
export type { SlavedStats } from "./slaved_store.ts";
export type { SlavedStoreOptions } from "./slaved_options.ts";
export type { RelayStats } from "../replication/relay.ts";
export type {
  AcceptConnection,
  Address,
  Connection,
  ConnectionHandler,
  Listener,
  ThreadPort,
  TlsOptions,
  Transport,
} from "../transport/transport.ts";
