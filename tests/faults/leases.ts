// What the tests of leases on PostgreSQL tell a holder, and hear from it.

import type { Isolation } from "../../src/database/engine.ts";

/** How a holder is started. */
export interface HolderOptions {
  readonly database: string;
  readonly leaseMs: number;
  /** How far its clocks are ahead of the machine's, in ms. */
  readonly aheadMs?: number;
}

/** What a holder is told. */
export type Order =
  /** To write a user of that id; to say so within, and wait for "go on", if it is to wait. */
  | {
    readonly do: "write";
    readonly id: string;
    readonly isolation: Isolation;
    readonly waits: boolean;
    readonly maxAttempts?: number;
  }
  | { readonly do: "go on" }
  /** To have its clocks jump, while it holds the name. */
  | { readonly do: "move clocks"; readonly aheadMs: number }
  | { readonly do: "close" };

/** What a holder says, of a transaction or of itself. */
export interface Said {
  readonly id: string;
  readonly what: "held" | "moved" | "within" | "committed" | "failed";
  readonly token?: number;
  readonly code?: string;
  readonly message?: string;
  /** What became of its callbacks. */
  readonly calls?: readonly string[];
}

/** The levels there are. */
export const ISOLATIONS: readonly Isolation[] = [
  "read committed",
  "repeatable read",
  "serializable",
];
