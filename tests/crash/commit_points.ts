// The points of a commit at which a writer is killed, and what it writes: the
// tests that check what is left of it know it from here.

/** Transactions that a writer has under way at a time. */
export const LANES = 5;

/** Writes of one writer's life are numbered from its own thousands. */
export const WRITES_A_LIFE = 1_000_000;

/** What is known of a writer's last write, by the point at which it was killed. */
export interface CommitPoint {
  /** Whether it may be, must be, or must not be in the database. */
  readonly isCommitted: boolean | "maybe";
  /** Likewise for its acknowledgement. */
  readonly isAcknowledged: boolean | "maybe";
}

const never: CommitPoint = { isCommitted: false, isAcknowledged: false };
const unanswered: CommitPoint = { isCommitted: true, isAcknowledged: false };

/** On SQLite, where transactions share a COMMIT. */
export const SQLITE_POINTS = {
  "before a row of data": never,
  "between the data and the log": never,
  "amid the log": never,
  "before COMMIT": never,
  // Not pressed on the disk yet, which a process that dies takes nothing from.
  "after COMMIT": unanswered,
  "before the publishing": unanswered,
  "acknowledged, not announced": { isCommitted: true, isAcknowledged: true },
} as const satisfies Record<string, CommitPoint>;

/** On PostgreSQL, where the log's statement and COMMIT are two messages of a packet. */
export const POSTGRES_POINTS = {
  "before a row of data": never,
  "between the data and the log": never,
  // Half of the message: the server waits for the rest.
  "amid the log": never,
  "before COMMIT": never,
  "COMMIT sent": { isCommitted: "maybe", isAcknowledged: false },
  "after COMMIT": unanswered,
  // One that was held back for a lower token is acknowledged before.
  "before the publishing": { isCommitted: true, isAcknowledged: "maybe" },
  "acknowledged, not announced": { isCommitted: true, isAcknowledged: true },
} as const satisfies Record<string, CommitPoint>;

/** A point of either engine. */
export type PointName =
  | keyof typeof SQLITE_POINTS
  | keyof typeof POSTGRES_POINTS;

/** What a writer is told: to open, or else to write until it dies at the point. */
export type Order =
  | { readonly open: true }
  | {
    readonly first: number;
    readonly point: PointName;
    readonly time: number;
  };

/** What a writer says: it is open, a write is acknowledged, or it dies now. */
export interface Said {
  readonly open?: number;
  readonly acknowledged?: Acknowledged;
  readonly dying?: { readonly point: PointName; readonly write: number };
}

/** A write that its caller was told is durable. */
export interface Acknowledged {
  readonly write: number;
  readonly token: number;
}

/** The lane that makes a write. */
export function laneOf(write: number): string {
  return `lane${write % LANES}`;
}

/** A write's rows of data, and its events: as many of each. */
export function partsOf(write: number): string[] {
  const count = 1 + Math.floor(write / LANES) % 3;
  return Array.from({ length: count }, (_, part) => `${write}.${part}`);
}

/** What tells a write in each of its statements. */
export function markOf(write: number): string {
  return `{"write":${write}}`;
}

/** The write that a statement's parameters or bytes belong to. */
export function markedWrite(text: string): number | undefined {
  // Within a record's body quotes may be escaped.
  const found = /\{\\*"write\\*":(\d+)\}/.exec(text);
  return found === null ? undefined : Number(found[1]);
}
