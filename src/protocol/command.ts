/**
 * What the two ends of a connection say to each other.
 *
 * @module
 */

import type { KeyPart } from "../streams/builtin_streams.ts";
import type { Token } from "../tokens/token.ts";

/**
 * The history of the wire, newest last. There is no negotiation: a receiver
 * takes what it knows.
 *
 * 1. The dialect of Synapse 1.22-1.66 over TCP: POSITION with two tokens,
 *    RDATA and POSITION with the instance's name. Differences: lines may be
 *    1 MiB long, and all streams of an instance come in token order. Readers
 *    that say `REPLICATE INVALIDATE` are sent INVALIDATE instead of the RDATA of
 *    the `caches` stream.
 */
export const PROTOCOL_VERSION = 1;

/** `SERVER <name>`: the first line that a server sends. */
export interface ServerCommand {
  /** The name on the wire. */
  readonly kind: "SERVER";
  /** The name. */
  readonly name: string;
}

/**
 * `RDATA <stream> <instance> <token|batch> <row>`: one row. All rows of a
 * stream under one token but the last carry `batch` for the token.
 */
export interface RdataCommand {
  /** The name on the wire. */
  readonly kind: "RDATA";
  /** The stream. */
  readonly stream: string;
  /** Who writes it. */
  readonly instance: string;
  /** `undefined` stands for `batch`. */
  readonly token: Token | undefined;
  /** JSON. */
  readonly row: string;
}

/**
 * A key: the part of one that has one part, unless it is `null`; the list of
 * its parts; `null` is the whole cache.
 */
export type InvalidatedKey = string | number | boolean | null | KeyPart[];

/** Keys of one cache, or of one group, that follow each other. */
export interface InvalidationRun {
  /** The cache's name, or the group's. */
  readonly name: string;
  /** The time on the writer's clock. */
  readonly ms: number;
  /** One at least. */
  readonly keys: readonly InvalidatedKey[];
}

/**
 * `INVALIDATE <instance> <token|batch> ["name",ms,[key,…],…]`: all that a
 * transaction invalidates, or, with `batch` for the token, a part of it.
 */
export interface InvalidateCommand {
  /** The name on the wire. */
  readonly kind: "INVALIDATE";
  /** Who writes it. */
  readonly instance: string;
  /** `undefined` stands for `batch`. */
  readonly token: Token | undefined;
  /** In the order of the rows in the log. */
  readonly runs: readonly InvalidationRun[];
}

/**
 * `POSITION <stream> <instance> <previous> <token>`: the instance is at
 * `token`, and wrote no row of the stream after `previous`.
 */
export interface PositionCommand {
  /** The name on the wire. */
  readonly kind: "POSITION";
  /** The stream. */
  readonly stream: string;
  /** Who writes it. */
  readonly instance: string;
  /** The token told before. */
  readonly previous: Token;
  /** Where the instance is. */
  readonly token: Token;
}

/** `ERROR <text>`: what is wrong; the sender closes after it. */
export interface ErrorCommand {
  /** The name on the wire. */
  readonly kind: "ERROR";
  /** What is said. */
  readonly text: string;
}

/** `PING <ms>`: a heartbeat, not a question. */
export interface PingCommand {
  /** The name on the wire. */
  readonly kind: "PING";
  /** What is said. */
  readonly text: string;
}

/** `NAME <name>`: what a client wants to be called in logs. */
export interface NameCommand {
  /** The name on the wire. */
  readonly kind: "NAME";
  /** The name. */
  readonly name: string;
}

/**
 * `REPLICATE`: a client asks for the POSITION of every stream. With
 * `REPLICATE INVALIDATE LOG=<id>` it also asks for INVALIDATE lines, and says
 * which log it reads; who knows neither passes over what follows the name.
 */
export interface ReplicateCommand {
  /** The name on the wire. */
  readonly kind: "REPLICATE";
  /** Whether it takes INVALIDATE lines; not by default. */
  readonly takesInvalidate?: boolean | undefined;
  /** The identity of the log that the client reads, if it reads one. */
  readonly logId?: string | undefined;
}

/**
 * `USER_SYNC <process> <user> [<device>|None] <start|end> <ms>`: a user begins
 * or ends to be connected to a process. Synapse has told the device since 1.146.
 */
export interface UserSyncCommand {
  /** The name on the wire. */
  readonly kind: "USER_SYNC";
  /** A random id of the process, a new one with each start. */
  readonly instanceId: string;
  /** The user. */
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
  /** The name on the wire. */
  readonly kind: "CLEAR_USER_SYNC";
  /** The process's random id. */
  readonly instanceId: string;
}

/** `FEDERATION_ACK <instance> <token>`: what was sent to other servers, up to where. */
export interface FederationAckCommand {
  /** The name on the wire. */
  readonly kind: "FEDERATION_ACK";
  /** Who writes it. */
  readonly instance: string;
  /** Where the instance is. */
  readonly token: Token;
}

/** `REMOTE_SERVER_UP <server>`: another server can be reached again. */
export interface RemoteServerUpCommand {
  /** The name on the wire. */
  readonly kind: "REMOTE_SERVER_UP";
  /** The server. */
  readonly serverName: string;
}

/** `USER_IP <user> [access token, ip, user agent, device|null, ms]`. */
export interface UserIpCommand {
  /** The name on the wire. */
  readonly kind: "USER_IP";
  /** The user. */
  readonly userId: string;
  /** What the user is known by: keep it out of logs. */
  readonly accessToken: string;
  /** The address. */
  readonly ip: string;
  /** The program. */
  readonly userAgent: string;
  /** The device; `null` where none is told. */
  readonly deviceId: string | null;
  /** When the user was seen, in ms since 1970. */
  readonly lastSeenMs: number;
}

/** `LOCK_RELEASED [instance, lock name, lock key]`: who waits for it may try. */
export interface LockReleasedCommand {
  /** The name on the wire. */
  readonly kind: "LOCK_RELEASED";
  /** Who writes it. */
  readonly instance: string;
  /** The kind of lock. */
  readonly lockName: string;
  /** Which of that kind. */
  readonly lockKey: string;
}

/** `NEW_ACTIVE_TASK <task>`: a task is to be run. Said on shared channels only. */
export interface NewActiveTaskCommand {
  /** The name on the wire. */
  readonly kind: "NEW_ACTIVE_TASK";
  /** The task. */
  readonly taskId: string;
}

/** `CANCEL_TASK <task>`: a task is to be stopped. Said on shared channels only. */
export interface CancelTaskCommand {
  /** The name on the wire. */
  readonly kind: "CANCEL_TASK";
  /** The task. */
  readonly taskId: string;
}

/**
 * `COMMANDS <process> [name, ...]`: a process of Headwater's own tells which
 * commands of its users' it takes. Foreign peers neither send nor see them.
 */
export interface CommandsCommand {
  /** The name on the wire. */
  readonly kind: "COMMANDS";
  /** The process's random id. */
  readonly instanceId: string;
  /** Their names, without `X_`. */
  readonly names: readonly string[];
}

/**
 * `SHARED`: a relay tells its readers, after SERVER, that what it hands on comes
 * from a channel on which everybody hears everybody. Foreign peers neither send
 * nor see it.
 */
export interface SharedCommand {
  /** The name on the wire. */
  readonly kind: "SHARED";
}

/**
 * `HELD <instance> <holder>`: a writer that has come to a channel on which
 * everybody hears everybody says who it is, before it says anything else: its
 * lines look like those of the one before it. Of Redis' channels it takes one
 * that foreign peers don't know.
 */
export interface HeldCommand {
  /** The name on the wire. */
  readonly kind: "HELD";
  /** The name that it holds. */
  readonly instance: string;
  /** Its fence and a check sum of its random id: `3-0a1b2c3d`. */
  readonly holder: string;
}

/** Every command, by its name on the wire. */
export interface CommandMap {
  /** See {@linkcode CancelTaskCommand}. */
  readonly CANCEL_TASK: CancelTaskCommand;
  /** See {@linkcode ClearUserSyncCommand}. */
  readonly CLEAR_USER_SYNC: ClearUserSyncCommand;
  /** See {@linkcode CommandsCommand}. */
  readonly COMMANDS: CommandsCommand;
  /** See {@linkcode ErrorCommand}. */
  readonly ERROR: ErrorCommand;
  /** See {@linkcode FederationAckCommand}. */
  readonly FEDERATION_ACK: FederationAckCommand;
  /** See {@linkcode HeldCommand}. */
  readonly HELD: HeldCommand;
  /** See {@linkcode InvalidateCommand}. */
  readonly INVALIDATE: InvalidateCommand;
  /** See {@linkcode LockReleasedCommand}. */
  readonly LOCK_RELEASED: LockReleasedCommand;
  /** See {@linkcode NameCommand}. */
  readonly NAME: NameCommand;
  /** See {@linkcode NewActiveTaskCommand}. */
  readonly NEW_ACTIVE_TASK: NewActiveTaskCommand;
  /** See {@linkcode PingCommand}. */
  readonly PING: PingCommand;
  /** See {@linkcode PositionCommand}. */
  readonly POSITION: PositionCommand;
  /** See {@linkcode RdataCommand}. */
  readonly RDATA: RdataCommand;
  /** See {@linkcode RemoteServerUpCommand}. */
  readonly REMOTE_SERVER_UP: RemoteServerUpCommand;
  /** See {@linkcode ReplicateCommand}. */
  readonly REPLICATE: ReplicateCommand;
  /** See {@linkcode ServerCommand}. */
  readonly SERVER: ServerCommand;
  /** See {@linkcode SharedCommand}. */
  readonly SHARED: SharedCommand;
  /** See {@linkcode UserIpCommand}. */
  readonly USER_IP: UserIpCommand;
  /** See {@linkcode UserSyncCommand}. */
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
