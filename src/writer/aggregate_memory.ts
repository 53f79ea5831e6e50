/**
 * Remembering where aggregates stand, so that appends need not ask.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import type { CommitSession, SqlDialect } from "../database/engine.ts";
import type { AggregateState } from "../events/aggregate_state.ts";
import type { AppendedVersions } from "../log/record.ts";
import { MAX_REMEMBERED_AGGREGATES } from "../runtime/limits.ts";

/**
 * Where aggregates stood when this process appended to them last.
 *
 * Others may have appended since: what is remembered may be too low, and never
 * is too high. An append after a version that isn't the last meets the other's
 * row, whose key it has, and fails; its transaction is run again, and asks.
 *
 * - PostgreSQL: transactions run beside each other, so only what is committed
 *   is remembered.
 * - SQLite: they follow one another on one connection, so what one has appended
 *   is there for the next before it is committed; it is forgotten in the turn in
 *   which it is rolled back.
 */
export class AggregateMemory {
  readonly #states = new LRUCache<string, AggregateState>({
    max: MAX_REMEMBERED_AGGREGATES,
  });

  /** Where an aggregate stands at least; `undefined` if that isn't known. */
  recall(aggregate: string): AggregateState | undefined {
    return this.#states.get(aggregate);
  }

  /** Tells of an append in a transaction that is still open. */
  appended(
    session: CommitSession,
    aggregate: string,
    state: AggregateState,
  ): void {
    if (session.dialect !== "sqlite") return;
    this.#states.set(aggregate, state);
    session.onRollback(() => this.#states.delete(aggregate));
  }

  /** Tells of what a transaction has appended, now that it is committed. */
  committed(dialect: SqlDialect, appends: readonly AppendedVersions[]): void {
    if (dialect === "sqlite") return;
    for (const { aggregate, last, isLast } of appends) {
      const known = this.#states.get(aggregate);
      if (known !== undefined && known.version >= last) continue;
      this.#states.set(aggregate, { version: last, isClosed: isLast });
    }
  }
}
