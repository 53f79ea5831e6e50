/**
 * What becomes of a transaction that others go on from.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";

/** A transaction that has appended events, and may not be committed yet. */
export interface AppendFate {
  /**
   * - `open`: its function runs.
   * - `queued`: it is on its way to the log.
   * - `committed`
   * - `lost`: it isn't recorded, or one isn't that it went on from.
   */
  status: "open" | "queued" | "committed" | "lost";
  /** Those that it went on from; none once it has ended. */
  readonly after: Set<AppendFate>;
  /** Those that went on from it; none once it has ended. */
  readonly followers: Set<AppendFate>;
  /** Called as it ends. */
  readonly ended: (() => void)[];
}

/** Makes the fate of a transaction that has begun. */
export function openFate(): AppendFate {
  return { status: "open", after: new Set(), followers: new Set(), ended: [] };
}

/** Has a transaction go on from another one. */
export function follow(fate: AppendFate, other: AppendFate): void {
  if (other.status === "committed") return;
  fate.after.add(other);
  other.followers.add(fate);
}

/** A transaction is committed. */
export function commitFate(fate: AppendFate): void {
  fate.status = "committed";
  forget(fate);
}

/** A transaction is lost, and all that went on from it are. */
export function loseFate(fate: AppendFate): void {
  loseAll([fate]);
}

/** All that went on from a transaction are lost: it has gone on itself. */
export function loseFollowers({ followers }: AppendFate): void {
  loseAll([...followers]);
  followers.clear();
}

function loseAll(lost: AppendFate[]): void {
  for (const next of lost) {
    if (next.status === "committed") continue;
    next.status = "lost";
    lost.push(...next.followers);
    forget(next);
  }
}

/**
 * A transaction has failed: it is lost.
 *
 * @returns Whether what it went on from is committed. Those that are on their
 *   way are waited for; those whose functions run are given a turn of the event
 *   loop, as they may wait for this one.
 */
export async function failFate(
  fate: AppendFate,
  clock: Clock,
): Promise<boolean> {
  if (fate.status === "lost") return false;
  const before = [...fate.after];
  loseFate(fate);
  for (const other of before) {
    if (other.status === "open") {
      await new Promise<void>((resolve) => clock.nextTurn(resolve));
    }
    if (other.status === "queued") {
      await new Promise<void>((resolve) => other.ended.push(resolve));
    }
    if (other.status !== "committed") return false;
  }
  return true;
}

/** Or each would keep all that ever went before it. */
function forget({ after, followers, ended }: AppendFate): void {
  after.clear();
  followers.clear();
  for (const tell of ended.splice(0)) tell();
}
