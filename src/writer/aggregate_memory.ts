/**
 * Remembering where aggregates stand, so that appends need not ask.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import type { CommitSession, SqlDialect } from "../database/engine.ts";
import type { AggregateState } from "../events/aggregate_state.ts";
import type { AppendFate } from "./append_fate.ts";
import type { AppendedVersions } from "../log/record.ts";
import { MAX_REMEMBERED_AGGREGATES } from "../runtime/limits.ts";

/** Where an aggregate stands at least. */
export interface RememberedState extends AggregateState {
  /** PostgreSQL: by whose append, where that isn't known to be committed. */
  readonly fate?: AppendFate | undefined;
}

/**
 * Where aggregates stood when this process appended to them last.
 *
 * Others may have appended since: what is remembered may be too low, and never
 * is too high. An append after a version that isn't the last meets the other's
 * row, whose key it has, and fails; its transaction is run again, and asks.
 *
 * - PostgreSQL: transactions run beside each other. What isn't committed is
 *   remembered of those that run no statement: who goes on from it is committed
 *   with it, or after it.
 * - SQLite: they follow one another on one connection, so what one has appended
 *   is there for the next before it is committed; it is forgotten in the turn in
 *   which it is rolled back.
 */
export class AggregateMemory {
  readonly #states = new LRUCache<string, AggregateState>({
    max: MAX_REMEMBERED_AGGREGATES,
  });
  /** What is under way, in the order in which it was appended. */
  readonly #pending = new Map<string, RememberedState[]>();

  /**
   * Where an aggregate stands at least; `undefined` if that isn't known.
   *
   * @param mayBeOpen Whether those count whose function runs.
   */
  recall(aggregate: string, mayBeOpen: boolean): RememberedState | undefined {
    const pending = this.#pending.get(aggregate)?.findLast(({ fate }) =>
      fate?.status !== "lost" && (mayBeOpen || fate?.status !== "open")
    );
    return pending ?? this.#states.get(aggregate);
  }

  /** Tells of an append in a transaction that is still open. */
  appended(
    session: CommitSession,
    aggregate: string,
    state: RememberedState,
  ): void {
    if (session.dialect === "sqlite") {
      this.#states.set(aggregate, state);
      session.onRollback(() => this.#states.delete(aggregate));
    } else if (session.isUntouched) {
      const pending = this.#pending.get(aggregate) ?? [];
      this.#pending.set(aggregate, pending);
      pending.push(state);
      session.onRollback(() => this.#drop(aggregate, (one) => one === state));
    }
  }

  /** Tells of what a transaction has appended, now that it is committed. */
  committed(dialect: SqlDialect, appends: readonly AppendedVersions[]): void {
    if (dialect === "sqlite") return;
    for (const { aggregate, last, isLast } of appends) {
      this.#drop(aggregate, ({ version }) => version <= last);
      const known = this.#states.get(aggregate);
      if (known !== undefined && known.version >= last) continue;
      this.#states.set(aggregate, { version: last, isClosed: isLast });
    }
  }

  #drop(aggregate: string, isOver: (state: RememberedState) => boolean): void {
    const pending = this.#pending.get(aggregate);
    if (pending === undefined) return;
    const left = pending.filter((state) => !isOver(state));
    if (left.length > 0) this.#pending.set(aggregate, left);
    else this.#pending.delete(aggregate);
  }
}
