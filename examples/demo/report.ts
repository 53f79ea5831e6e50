/**
 * The demo's figures as text.
 *
 * @module
 */

import type { WorkerReport } from "./messages.ts";

/** The figures of all processes at one moment. */
export interface Snapshot {
  /** Since the beginning. */
  readonly seconds: number;
  readonly writes: number;
  /** The writer's token. */
  readonly token: number;
  readonly workers: readonly WorkerReport[];
}

/** The live line: rates are those since the last one. */
export function formatLine(now: Snapshot, before: Snapshot): string {
  const seconds = Math.max(0.001, now.seconds - before.seconds);
  const rate = (count: (snapshot: Snapshot) => number) =>
    thousands((count(now) - count(before)) / seconds);
  const sum =
    (count: (worker: WorkerReport) => number) => (snapshot: Snapshot) =>
      snapshot.workers.reduce((total, worker) => total + count(worker), 0);
  const lags = now.workers.map((worker, index) => {
    const delays = worker.delays.map((count, ms) =>
      count - (before.workers[index]?.delays[ms] ?? 0)
    );
    const tokens = Math.max(0, now.token - worker.token);
    return `${tokens} tokens ${percentile(delays, 0.5)} ms`;
  });
  const all = sum(({ hits, misses }) => hits + misses);
  const hits = sum(({ hits }) => hits);
  const rateOfHits = (hits(now) - hits(before)) /
    Math.max(1, all(now) - all(before));
  return [
    `${now.seconds.toFixed(0).padStart(3)} s`,
    `${rate(({ writes }) => writes)} writes/s`,
    `${rate(sum(({ invalidations }) => invalidations))} invalidations/s`,
    `${rate(sum(({ reads }) => reads))} reads/s`,
    `${(rateOfHits * 100).toFixed(1)} % hits`,
    `lag ${lags.join(", ")}`,
    `${sum(({ stale }) => stale)(now)} stale`,
  ].join("  ");
}

/** The table at the end. */
export function formatTable({ seconds, workers }: Snapshot): string {
  const columns: [string, (worker: WorkerReport) => string][] = [
    ["reads/s", ({ reads }) => thousands(reads / seconds)],
    ["hit rate", ({ hits, misses }) => percent(hits, hits + misses)],
    ["invalidations", ({ invalidations }) => thousands(invalidations)],
    ["lag p50", ({ delays }) => `${percentile(delays, 0.5)} ms`],
    ["lag p99", ({ delays }) => `${percentile(delays, 0.99)} ms`],
    [
      "within 50 ms",
      ({ timely, delays }) =>
        percent(timely, delays.reduce((total, count) => total + count, 0)),
    ],
    ["commits checked", ({ checks }) => thousands(checks)],
    ["stale reads", ({ stale }) => thousands(stale)],
  ];
  const rows = [
    ["worker", ...columns.map(([title]) => title)],
    ...workers.map((worker, index) => [
      String(index + 1),
      ...columns.map(([, format]) => format(worker)),
    ]),
  ];
  const widths = rows[0]?.map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0))
  );
  return rows.map((row) =>
    row.map((cell, column) => cell.padStart(widths?.[column] ?? 0)).join("  ")
  ).join("\n");
}

/** The ms below which a share of the counts lies. */
function percentile(counts: readonly number[], share: number): number {
  const wanted = counts.reduce((total, count) => total + count, 0) * share;
  let seen = 0;
  for (const [ms, count] of counts.entries()) {
    seen += count;
    if (seen >= wanted) return ms;
  }
  return counts.length;
}

function percent(part: number, whole: number): string {
  return `${whole === 0 ? "–" : (part / whole * 100).toFixed(2)} %`;
}

function thousands(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}
