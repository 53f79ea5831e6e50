/**
 * Rounds, medians and percentiles.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/** One figure of ours beside its baseline, measured in turn in the same rounds. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  /** Medians over all rounds. */
  readonly ours: number;
  readonly baseline: number;
  /** What the baseline is. */
  readonly against: string;
  /** What the ratio, or the figure itself, is to be. */
  readonly goal?: string | undefined;
  /** Median, least and greatest of the rounds' own ratios, ours over baseline. */
  readonly ratio: number;
  readonly ratioMin: number;
  readonly ratioMax: number;
}

/** What a figure is about. */
export type Subject = Pick<Figure, "name" | "unit" | "against" | "goal">;

/** What is measured: one round each of ours and of the baseline. */
export interface Contest extends Subject {
  readonly rounds: number;
  readonly ours: () => Promise<number> | number;
  readonly baseline: () => Promise<number> | number;
}

/** Runs a contest: a round to warm up, then rounds that change sides. */
export async function compete(contest: Contest): Promise<Figure> {
  const { rounds, ours, baseline, ...subject } = contest;
  return summarize(subject, await alternate(rounds, ours, baseline));
}

/** Runs both sides once to warm up, then in rounds that change sides. */
export async function alternate<Result>(
  rounds: number,
  ours: () => Promise<Result> | Result,
  baseline: () => Promise<Result> | Result,
): Promise<[Result, Result][]> {
  await baseline();
  await ours();
  const pairs: [Result, Result][] = [];
  for (let round = 0; round < rounds; round += 1) {
    if (round % 2 === 0) {
      const first = await ours();
      pairs.push([first, await baseline()]);
    } else {
      const first = await baseline();
      pairs.push([await ours(), first]);
    }
  }
  return pairs;
}

/** The figure of some rounds, each ours and the baseline. */
export function summarize(
  subject: Subject,
  pairs: readonly (readonly [number, number])[],
): Figure {
  const ratios = pairs.map(([own, other]) => own / other);
  return {
    ...subject,
    ours: median(pairs.map(([own]) => own)),
    baseline: median(pairs.map(([, other]) => other)),
    ratio: median(ratios),
    ratioMin: Math.min(...ratios),
    ratioMax: Math.max(...ratios),
  };
}

/** The middle of some numbers. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** The value below which a share of the numbers lies. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const index = Math.min(sorted.length - 1, Math.floor(sorted.length * share));
  return sorted[index] ?? NaN;
}

/** How often a second something was done that took a time in ms. */
export function perSecond(count: number, ms: number): number {
  return count / ms * 1_000;
}

/** The event loop's next turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
