/**
 * What becomes of a transaction that others go on from.
 *
 * @module
 */

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
}

/** Makes the fate of a transaction that has begun. */
export function openFate(): AppendFate {
  return { status: "open", after: new Set(), followers: new Set() };
}

/** Has a transaction go on from another one, which has not ended. */
export function follow(fate: AppendFate, other: AppendFate): void {
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

/** Or each would keep all that ever went before it. */
function forget({ after, followers }: AppendFate): void {
  after.clear();
  followers.clear();
}
