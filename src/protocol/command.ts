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

/** One line of the wire. */
export type Command =
  | ErrorCommand
  | NameCommand
  | PingCommand
  | PositionCommand
  | RdataCommand
  | ReplicateCommand
  | ServerCommand;
