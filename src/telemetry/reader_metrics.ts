/**
 * A slaved store's metrics.
 *
 * @module
 */

import type { Position } from "../tokens/position.ts";
import {
  AUDIT_INSTRUMENTS,
  type AuditCounts,
  CACHE_INSTRUMENTS,
  type CacheCounts,
  observeAudit,
  observeCaches,
} from "./cache_metrics.ts";
import {
  type Instruments,
  observeStore,
  type Unobserve,
} from "./instruments.ts";

/** What a slaved store counts, as far as it is observed. */
export interface ReaderCounts {
  readonly transactions: number;
  readonly rowsByStream: ReadonlyMap<string, number>;
  readonly invalidations: number;
  readonly flushes: number;
  readonly resets: number;
  readonly connections: number;
  readonly openConnections: number;
  readonly catchUps: number;
  readonly catchUpRows: number;
  readonly catchingUp: readonly unknown[];
  readonly lag: readonly {
    readonly instance: string;
    readonly tokens: number;
    readonly seconds: number;
  }[];
  readonly waiters: number;
  readonly handlerFailures: number;
  readonly queuedBatches: number;
}

/** Where a slaved store's values are read. */
export interface ReaderReadings {
  readonly name: string;
  readonly counts: () => ReaderCounts;
  readonly position: () => Position;
  readonly caches: () => readonly CacheCounts[];
  readonly audit: () => AuditCounts | undefined;
}

type Name =
  | "headwater.transactions.applied"
  | "headwater.rows.applied"
  | "headwater.invalidations"
  | "headwater.position"
  | "headwater.lag"
  | "headwater.lag.time"
  | "headwater.connections"
  | "headwater.connections.made"
  | "headwater.catch_ups"
  | "headwater.catch_ups.running"
  | "headwater.catch_ups.rows"
  | "headwater.resets"
  | "headwater.flushes"
  | "headwater.waiters"
  | "headwater.handlers.failures"
  | "headwater.handlers.queue";

/** What is measured of a slaved store. */
export const READER_INSTRUMENTS: Instruments<Name> = {
  "headwater.transactions.applied": {
    kind: "counter",
    unit: "{transaction}",
    description: "Transactions that were applied",
  },
  "headwater.rows.applied": {
    kind: "counter",
    unit: "{row}",
    description: "Rows that were applied, catch-ups' included",
  },
  "headwater.invalidations": {
    kind: "counter",
    unit: "{invalidation}",
    description: "Invalidations that were done",
  },
  "headwater.position": {
    kind: "gauge",
    unit: "{token}",
    description: "The token up to which an instance is complete here",
  },
  "headwater.lag": {
    kind: "gauge",
    unit: "{token}",
    description: "Tokens that were told of and are not applied yet",
  },
  "headwater.lag.time": {
    kind: "gauge",
    unit: "s",
    description: "How long ago the oldest of these tokens was told of",
  },
  "headwater.connections": {
    kind: "upDownCounter",
    unit: "{connection}",
    description: "Connections that are open",
  },
  "headwater.connections.made": {
    kind: "counter",
    unit: "{connection}",
    description: "Connections that were made, the first and all later ones",
  },
  "headwater.catch_ups": {
    kind: "counter",
    unit: "{catch_up}",
    description: "Times that missed rows were fetched from the log",
  },
  "headwater.catch_ups.running": {
    kind: "upDownCounter",
    unit: "{catch_up}",
    description: "Catch-ups that are under way",
  },
  "headwater.catch_ups.rows": {
    kind: "counter",
    unit: "{row}",
    description: "Rows that were fetched by catch-ups",
  },
  "headwater.resets": {
    kind: "counter",
    unit: "{reset}",
    description: "Times that a log was started over, every cache cleared",
  },
  "headwater.flushes": {
    kind: "counter",
    unit: "{flush}",
    description: "Times that every cache was cleared, for whatever reason",
  },
  "headwater.waiters": {
    kind: "upDownCounter",
    unit: "{call}",
    description: "Calls of waitFor that wait",
  },
  "headwater.handlers.failures": {
    kind: "counter",
    unit: "{failure}",
    description: "Calls of handlers that failed",
  },
  "headwater.handlers.queue": {
    kind: "upDownCounter",
    unit: "{batch}",
    description: "Batches that wait for a handler which is called again",
  },
};

const ALL_INSTRUMENTS = {
  ...READER_INSTRUMENTS,
  ...CACHE_INSTRUMENTS,
  ...AUDIT_INSTRUMENTS,
};

/** Observes a slaved store until it is told to end. */
export function observeReader(
  { name, counts, position, caches, audit }: ReaderReadings,
): Unobserve {
  return observeStore(name, "reader", ALL_INSTRUMENTS, (observed) => {
    observeCaches(observed, caches());
    observeAudit(observed, audit());
    const now = counts();
    observed("headwater.transactions.applied", now.transactions);
    for (const [stream, rows] of now.rowsByStream) {
      observed("headwater.rows.applied", rows, { stream });
    }
    observed("headwater.invalidations", now.invalidations);
    for (const [instance, token] of position()) {
      observed("headwater.position", token, { instance });
    }
    for (const { instance, tokens, seconds } of now.lag) {
      observed("headwater.lag", tokens, { instance });
      observed("headwater.lag.time", seconds, { instance });
    }
    observed("headwater.connections", now.openConnections);
    observed("headwater.connections.made", now.connections);
    observed("headwater.catch_ups", now.catchUps);
    observed("headwater.catch_ups.running", now.catchingUp.length);
    observed("headwater.catch_ups.rows", now.catchUpRows);
    observed("headwater.resets", now.resets);
    observed("headwater.flushes", now.flushes);
    observed("headwater.waiters", now.waiters);
    observed("headwater.handlers.failures", now.handlerFailures);
    observed("headwater.handlers.queue", now.queuedBatches);
  });
}
