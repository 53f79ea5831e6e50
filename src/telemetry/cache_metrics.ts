/**
 * The metrics of caches, and of those who audit them.
 *
 * @module
 */

import type { Instruments, Observe } from "./instruments.ts";

/** What a cache counts, as far as it is observed. */
export interface CacheCounts {
  readonly name: string;
  readonly entries: number;
  readonly maxEntries: number | undefined;
  readonly bytes: number | undefined;
  readonly maxBytes: number | undefined;
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
  readonly invalidations: number;
  readonly expirations: number;
  readonly fenced: number;
  readonly failures: number;
  readonly loading: number;
  readonly queued: number;
  readonly stale: number;
  readonly staleHits: number;
  readonly loadMsP50: number | undefined;
  readonly loadMsP99: number | undefined;
}

/** What an audit counts, as far as it is observed. */
export interface AuditCounts {
  readonly checked: number;
  readonly differing: number;
  readonly behind: number;
  readonly skipped: number;
  readonly nines: number;
}

type CacheName =
  | "headwater.cache.entries"
  | "headwater.cache.entries.max"
  | "headwater.cache.size"
  | "headwater.cache.size.max"
  | "headwater.cache.hits"
  | "headwater.cache.misses"
  | "headwater.cache.evictions"
  | "headwater.cache.invalidations"
  | "headwater.cache.expirations"
  | "headwater.cache.fenced"
  | "headwater.cache.failures"
  | "headwater.cache.loads.running"
  | "headwater.cache.loads.queued"
  | "headwater.cache.stale.entries"
  | "headwater.cache.stale.hits"
  | "headwater.cache.load.time";

type AuditName =
  | "headwater.audit.checked"
  | "headwater.audit.differing"
  | "headwater.audit.behind"
  | "headwater.audit.skipped"
  | "headwater.audit.nines";

/** What is measured of a store's caches. */
export const CACHE_INSTRUMENTS: Instruments<CacheName> = {
  "headwater.cache.entries": {
    kind: "upDownCounter",
    unit: "{entry}",
    description: "Entries that a cache holds, those still loading included",
  },
  "headwater.cache.entries.max": {
    kind: "upDownCounter",
    unit: "{entry}",
    description: "Entries that it may hold, where they are bounded",
  },
  "headwater.cache.size": {
    kind: "upDownCounter",
    unit: "By",
    description: "Bytes that its entries take, where they are counted",
  },
  "headwater.cache.size.max": {
    kind: "upDownCounter",
    unit: "By",
    description: "Bytes that they may take, where they are bounded",
  },
  "headwater.cache.hits": {
    kind: "counter",
    unit: "{call}",
    description: "Calls that found their entry",
  },
  "headwater.cache.misses": {
    kind: "counter",
    unit: "{call}",
    description: "Calls that did not, and loaded",
  },
  "headwater.cache.evictions": {
    kind: "counter",
    unit: "{entry}",
    description: "Entries that had to go for lack of room",
  },
  "headwater.cache.invalidations": {
    kind: "counter",
    unit: "{entry}",
    description: "Entries that were dropped as wrong",
  },
  "headwater.cache.expirations": {
    kind: "counter",
    unit: "{entry}",
    description: "Entries that went because their time was over",
  },
  "headwater.cache.fenced": {
    kind: "counter",
    unit: "{load}",
    description:
      "Loads that ended after their entry had gone, and were not kept",
  },
  "headwater.cache.failures": {
    kind: "counter",
    unit: "{load}",
    description: "Loads that failed",
  },
  "headwater.cache.loads.running": {
    kind: "upDownCounter",
    unit: "{load}",
    description: "Loads that run now",
  },
  "headwater.cache.loads.queued": {
    kind: "upDownCounter",
    unit: "{load}",
    description: "Loads that wait for another to end",
  },
  "headwater.cache.stale.entries": {
    kind: "upDownCounter",
    unit: "{entry}",
    description: "Entries of before a clearing that may still be served",
  },
  "headwater.cache.stale.hits": {
    kind: "counter",
    unit: "{call}",
    description: "Calls that were served one of those",
  },
  "headwater.cache.load.time": {
    kind: "gauge",
    unit: "s",
    description: "How long loads took at most, by the share of them",
  },
};

/** What is measured of a slaved store's audit. */
export const AUDIT_INSTRUMENTS: Instruments<AuditName> = {
  "headwater.audit.checked": {
    kind: "counter",
    unit: "{entry}",
    description: "Entries that were compared with the database",
  },
  "headwater.audit.differing": {
    kind: "counter",
    unit: "{entry}",
    description: "Entries that differed at a token that had been reached",
  },
  "headwater.audit.behind": {
    kind: "counter",
    unit: "{entry}",
    description:
      "Entries that differed, and had gone once the token was reached",
  },
  "headwater.audit.skipped": {
    kind: "counter",
    unit: "{entry}",
    description: "Entries that could not be compared",
  },
  "headwater.audit.nines": {
    kind: "gauge",
    unit: "1",
    description: "-log10 of the share that differed, where none counts as one",
  },
};

/** Gives the values of caches. Those of one name are one: a class that is attached twice. */
export function observeCaches(
  observed: Observe<CacheName>,
  caches: readonly CacheCounts[],
): void {
  const byName = Map.groupBy(caches, ({ name }) => name);
  for (const [cache, alike] of byName) {
    const tell = (
      name: CacheName,
      count: (cache: CacheCounts) => number | undefined,
    ) => {
      const counts = alike.flatMap((each) => count(each) ?? []);
      if (counts.length === 0) return;
      observed(name, counts.reduce((sum, each) => sum + each), { cache });
    };
    tell("headwater.cache.entries", ({ entries }) => entries);
    tell("headwater.cache.entries.max", ({ maxEntries }) => maxEntries);
    tell("headwater.cache.size", ({ bytes }) => bytes);
    tell("headwater.cache.size.max", ({ maxBytes }) => maxBytes);
    tell("headwater.cache.hits", ({ hits }) => hits);
    tell("headwater.cache.misses", ({ misses }) => misses);
    tell("headwater.cache.evictions", ({ evictions }) => evictions);
    tell("headwater.cache.invalidations", (each) => each.invalidations);
    tell("headwater.cache.expirations", ({ expirations }) => expirations);
    tell("headwater.cache.fenced", ({ fenced }) => fenced);
    tell("headwater.cache.failures", ({ failures }) => failures);
    tell(
      "headwater.cache.loads.running",
      ({ loading, queued }) => loading - queued,
    );
    tell("headwater.cache.loads.queued", ({ queued }) => queued);
    tell("headwater.cache.stale.entries", ({ stale }) => stale);
    tell("headwater.cache.stale.hits", ({ staleHits }) => staleHits);
    const slowest = (ms: (cache: CacheCounts) => number | undefined) =>
      Math.max(...alike.flatMap((each) => ms(each) ?? []));
    const times = {
      "0.5": slowest(({ loadMsP50 }) => loadMsP50),
      "0.99": slowest(({ loadMsP99 }) => loadMsP99),
    };
    for (const [quantile, ms] of Object.entries(times)) {
      if (ms < 0) continue;
      observed("headwater.cache.load.time", ms / 1_000, { cache, quantile });
    }
  }
}

/** Gives the values of an audit, if there was one. */
export function observeAudit(
  observed: Observe<AuditName>,
  counts: AuditCounts | undefined,
): void {
  if (counts === undefined) return;
  observed("headwater.audit.checked", counts.checked);
  observed("headwater.audit.differing", counts.differing);
  observed("headwater.audit.behind", counts.behind);
  observed("headwater.audit.skipped", counts.skipped);
  observed("headwater.audit.nines", counts.nines);
}
