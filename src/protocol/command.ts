/**
 * What the two ends of a connection say to each other.
 *
 * @module
 */

import type { Token } from "../tokens/token.ts";

/**
 * The history of the wire, newest last. There is no negotiation: a receiver
 * takes what it knows.
 *
 * 1. The dialect of Synapse 1.22-1.66 over TCP: POSITION with two tokens,
 *    RDATA and POSITION with the instance's name. Differences: lines may be
 *    1 MiB long, and all streams of an instance come in token order.
 */
export const PROTOCOL_VERSION = 1;

/** `SERVER <name>`: the first line that a server sends. */
export interface ServerCommand {
  readonly kind: "SERVER";
  readonly name: string;
}

/**
 * `RDATA <stream> <instance> <token|batch> <row>`: one row. All rows of a
 * stream under one token but the last carry `batch` for the token.
 */
export interface RdataCommand {
  readonly kind: "RDATA";
  readonly stream: string;
  readonly instance: string;
  /** `undefined` stands for `batch`. */
  readonly token: Token | undefined;
  /** JSON. */
  readonly row: string;
}

/**
 * `POSITION <stream> <instance> <previous> <token>`: the instance is at
 * `token`, and wrote no row of the stream after `previous`.
 */
export interface PositionCommand {
  readonly kind: "POSITION";
  readonly stream: string;
  readonly instance: string;
  readonly previous: Token;
  readonly token: Token;
}

/** `ERROR <text>`: what is wrong; the sender closes after it. */
export interface ErrorCommand {
  readonly kind: "ERROR";
  readonly text: string;
}

/** `PING <ms>`: a heartbeat, not a question. */
export interface PingCommand {
  readonly kind: "PING";
  readonly text: string;
}

/** `NAME <name>`: what a client wants to be called in logs. */
export interface NameCommand {
  readonly kind: "NAME";
  readonly name: string;
}

/** `REPLICATE`: a client asks for the POSITION of every stream. */
export interface ReplicateCommand {
  readonly kind: "REPLICATE";
}

/**
 * `USER_SYNC <process> <user> [<device>|None] <start|end> <ms>`: a user begins
 * or ends to be connected to a process. Synapse has told the device since 1.146.
 */
export interface UserSyncCommand {
  readonly kind: "USER_SYNC";
  /** A random id of the process, a new one with each start. */
  readonly instanceId: string;
  readonly userId: string;
  /** `null` where none is told. */
  readonly deviceId: string | null;
  /** Whether it begins. */
  readonly isSyncing: boolean;
  /** When the user was last seen, in ms since 1970. */
  readonly lastSyncMs: number;
}

/** `CLEAR_USER_SYNC <process>`: nobody is connected to that process any more. */
export interface ClearUserSyncCommand {
  readonly kind: "CLEAR_USER_SYNC";
  readonly instanceId: string;
}

/** `FEDERATION_ACK <instance> <token>`: what was sent to other servers, up to where. */
export interface FederationAckCommand {
  readonly kind: "FEDERATION_ACK";
  readonly instance: string;
  readonly token: Token;
}

/** `REMOTE_SERVER_UP <server>`: another server can be reached again. */
export interface RemoteServerUpCommand {
  readonly kind: "REMOTE_SERVER_UP";
  readonly serverName: string;
}

/** `USER_IP <user> [access token, ip, user agent, device|null, ms]`. */
export interface UserIpCommand {
  readonly kind: "USER_IP";
  readonly userId: string;
  readonly accessToken: string;
  readonly ip: string;
  readonly userAgent: string;
  readonly deviceId: string | null;
  /** When the user was seen, in ms since 1970. */
  readonly lastSeenMs: number;
}

/** `LOCK_RELEASED [instance, lock name, lock key]`: who waits for it may try. */
export interface LockReleasedCommand {
  readonly kind: "LOCK_RELEASED";
  readonly instance: string;
  readonly lockName: string;
  readonly lockKey: string;
}

/** `NEW_ACTIVE_TASK <task>`: a task is to be run. Said on shared channels only. */
export interface NewActiveTaskCommand {
  readonly kind: "NEW_ACTIVE_TASK";
  readonly taskId: string;
}

/** `CANCEL_TASK <task>`: a task is to be stopped. Said on shared channels only. */
export interface CancelTaskCommand {
  readonly kind: "CANCEL_TASK";
  readonly taskId: string;
}

/**
 * `COMMANDS <process> [name, ...]`: a process of Headwater's own tells which
 * commands of its users' it takes. Foreign peers neither send nor see them.
 */
export interface CommandsCommand {
  readonly kind: "COMMANDS";
  readonly instanceId: string;
  readonly names: readonly string[];
}

/** Every command, by its name on the wire. */
export interface CommandMap {
  readonly CANCEL_TASK: CancelTaskCommand;
  readonly CLEAR_USER_SYNC: ClearUserSyncCommand;
  readonly COMMANDS: CommandsCommand;
  readonly ERROR: ErrorCommand;
  readonly FEDERATION_ACK: FederationAckCommand;
  readonly LOCK_RELEASED: LockReleasedCommand;
  readonly NAME: NameCommand;
  readonly NEW_ACTIVE_TASK: NewActiveTaskCommand;
  readonly PING: PingCommand;
  readonly POSITION: PositionCommand;
  readonly RDATA: RdataCommand;
  readonly REMOTE_SERVER_UP: RemoteServerUpCommand;
  readonly REPLICATE: ReplicateCommand;
  readonly SERVER: ServerCommand;
  readonly USER_IP: UserIpCommand;
  readonly USER_SYNC: UserSyncCommand;
}

/** A command's name. */
export type CommandKind = keyof CommandMap;

/** One line of the wire. */
export type Command = CommandMap[CommandKind];

/** Which end of a connection sends a line: the one that listens, or the one that connects. */
export type Side = "server" | "client";

/**
 * The forms that differ between versions of Synapse: `"tcp"` is that of
 * 1.22-1.66, whose USER_SYNC has no device; `"current"` that of 1.146 and later.
 * Both are taken from whoever sends them.
 */
export type Dialect = "tcp" | "current";
