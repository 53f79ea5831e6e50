/**
 * What `headwater lag` tells.
 *
 * @module
 */

import type { Token } from "../../mod.ts";
import type { LeaseState } from "../admin/mod.ts";

/** An instance; `null` for what can't be known from there. */
export interface InstanceLagReport {
  readonly name: string;
  /** Its last token in the log. */
  readonly position: Token | null;
  /** Tokens from there to the log's end: what others have written since. */
  readonly toEnd: number | null;
  /** Whether a process writes under the name. */
  readonly lease: LeaseState | null;
  /** The last token that it told this observer of. */
  readonly announced: Token | null;
  /** The token up to which this observer has applied what it wrote. */
  readonly reached: Token | null;
  /** Tokens between the two. */
  readonly tokens: number | null;
  /** How long ago the oldest of them was told of; 0 if there is none. */
  readonly seconds: number | null;
}

/** A projection. */
export interface ProjectionLagReport {
  readonly name: string;
  /** The token up to which it has taken events in; `null` if it is inline. */
  readonly position: Token | null;
  /** Tokens from there to where the log is complete. */
  readonly tokens: number;
  /** Events that it could not take in. */
  readonly parked: number;
}

/** How far everybody is, at a time. */
export interface LagReport {
  /** When, in ms since 1970. */
  readonly atMs: number;
  /** The token up to which the log is complete; `null` without a database. */
  readonly horizon: Token | null;
  /** The log's last token; `null` without a database. */
  readonly end: Token | null;
  readonly instances: readonly InstanceLagReport[];
  readonly projections: readonly ProjectionLagReport[];
  /** Connections that this observer has made; `null` if it makes none. */
  readonly connections: number | null;
}

/** Where it is read. */
export interface LagSource {
  read(): Promise<LagReport>;
  close(): Promise<void>;
}
