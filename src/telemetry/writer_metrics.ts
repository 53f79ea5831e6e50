/**
 * A writer store's metrics.
 *
 * @module
 */

import type { Token } from "../tokens/token.ts";
import {
  CACHE_INSTRUMENTS,
  type CacheCounts,
  observeCaches,
} from "./cache_metrics.ts";
import {
  type Instruments,
  observeStore,
  type Unobserve,
} from "./instruments.ts";

/** What a writer store counts, as far as it is observed. */
export interface WriterCounts {
  readonly commits: number;
  readonly rollbacks: number;
  readonly retries: number;
  readonly connections: number;
  readonly disconnections: Readonly<Record<string, number>>;
  readonly rowsByStream: ReadonlyMap<string, number>;
  readonly queuedBytes: number;
  readonly maxQueuedBytes: number;
}

/** Where a writer store's values are read. */
export interface WriterReadings {
  readonly instance: string;
  readonly counts: () => WriterCounts;
  readonly position: () => Token;
  /** Sessions of users that are present. */
  readonly present: () => number;
  readonly caches: () => readonly CacheCounts[];
}

type Name =
  | "headwater.transactions"
  | "headwater.transactions.repeated"
  | "headwater.position"
  | "headwater.rows.sent"
  | "headwater.connections"
  | "headwater.disconnections"
  | "headwater.queue.size"
  | "headwater.queue.size.max"
  | "headwater.presence.sessions";

/** What is measured of a writer store. */
export const WRITER_INSTRUMENTS: Instruments<Name> = {
  "headwater.transactions": {
    kind: "counter",
    unit: "{transaction}",
    description: "Transactions that ended, by their outcome",
  },
  "headwater.transactions.repeated": {
    kind: "counter",
    unit: "{attempt}",
    description: "Times that a transaction was run again",
  },
  "headwater.position": {
    kind: "gauge",
    unit: "{token}",
    description: "The token up to which an instance is complete here",
  },
  "headwater.rows.sent": {
    kind: "counter",
    unit: "{row}",
    description:
      "Rows that were sent, each once however many readers there are",
  },
  "headwater.connections": {
    kind: "upDownCounter",
    unit: "{connection}",
    description: "Connections that are open",
  },
  "headwater.disconnections": {
    kind: "counter",
    unit: "{connection}",
    description: "Connections that ended, by the reason",
  },
  "headwater.queue.size": {
    kind: "upDownCounter",
    unit: "By",
    description: "Bytes that wait for readers' sockets, in all",
  },
  "headwater.queue.size.max": {
    kind: "gauge",
    unit: "By",
    description: "Bytes that wait for the reader with the most of them",
  },
  "headwater.presence.sessions": {
    kind: "upDownCounter",
    unit: "{session}",
    description: "Users that are present, by process and device",
  },
};

const ALL_INSTRUMENTS = { ...WRITER_INSTRUMENTS, ...CACHE_INSTRUMENTS };

/** Observes a writer store until it is told to end. */
export function observeWriter(
  { instance, counts, position, present, caches }: WriterReadings,
): Unobserve {
  return observeStore(instance, "writer", ALL_INSTRUMENTS, (observed) => {
    observeCaches(observed, caches());
    const now = counts();
    const outcomes = { committed: now.commits, rolled_back: now.rollbacks };
    for (const [outcome, count] of Object.entries(outcomes)) {
      observed("headwater.transactions", count, { outcome });
    }
    observed("headwater.transactions.repeated", now.retries);
    observed("headwater.position", position(), { instance });
    for (const [stream, rows] of now.rowsByStream) {
      observed("headwater.rows.sent", rows, { stream });
    }
    observed("headwater.connections", now.connections);
    for (const [reason, count] of Object.entries(now.disconnections)) {
      observed("headwater.disconnections", count, { reason });
    }
    observed("headwater.queue.size", now.queuedBytes);
    observed("headwater.queue.size.max", now.maxQueuedBytes);
    observed("headwater.presence.sessions", present());
  });
}
