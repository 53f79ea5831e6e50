/**
 * What the demo's processes tell each other.
 *
 * @module
 */

import type { Table } from "./stores.ts";

/** How a worker is started. */
export interface WorkerSettings {
  readonly database: string;
  readonly replicate: string;
  readonly readers: number;
  /** Ignore invalidations. */
  readonly breaks: boolean;
}

/** A write, and what must be read once its commit is applied. */
export interface Check {
  readonly instance: string;
  readonly token: number;
  /** When the commit returned. */
  readonly committedMs: number;
  readonly table: Table;
  readonly ids: readonly number[];
  readonly version: number;
}

/** To a worker. */
export type ToWorker =
  | { readonly kind: "checks"; readonly checks: readonly Check[] }
  | { readonly kind: "stop" };

/** A worker's figures, since it began. */
export interface WorkerReport {
  readonly reads: number;
  readonly hits: number;
  readonly misses: number;
  /** Invalidation rows applied. */
  readonly invalidations: number;
  /** How many of them were applied within 50 ms of their commit. */
  readonly timely: number;
  /** Their delays in ms: how many of 0 ms, 1 ms, …; the last holds all longer ones. */
  readonly delays: readonly number[];
  /** Commits waited for and checked. */
  readonly checks: number;
  /** Reads that were older than a commit waited for before. */
  readonly stale: number;
  /** The token it has applied. */
  readonly token: number;
}

/** From a worker. */
export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "report" | "last"; readonly report: WorkerReport };
