/**
 * Applying transactions as it is seen from outside.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { ChangeRegistry } from "../caches/change_registry.ts";
import type { InvalidationJournal } from "../replication/invalidation_journal.ts";
import type { LogIdentity } from "../replication/log_identity.ts";
import type { ReaderPosition } from "../replication/reader_position.ts";
import type { VisibilityGate } from "../replication/replica_gate.ts";
import {
  countRows,
  type LoggedStep,
  type LoggedTransaction,
} from "../replication/transaction.ts";
import {
  type GroupJudge,
  TransactionApplier,
} from "../replication/transaction_applier.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { applications } from "../telemetry/channels.ts";
import {
  findTracer,
  SpanMaker,
  type SpannedApplication,
} from "../telemetry/spans.ts";
import type { Token } from "../tokens/token.ts";
import type { SlavedStoreOptions } from "./slaved_options.ts";

/** What an applier works with. */
export interface ApplierParts {
  readonly caches: CacheRegistry;
  readonly changes: ChangeRegistry | undefined;
  readonly position: ReaderPosition;
  readonly logger: Logger;
  readonly visible: VisibilityGate | undefined;
  readonly judge: GroupJudge;
  readonly journal: InvalidationJournal;
  readonly clock: Clock;
}

/** Makes the applier that the options ask for. */
export function createApplier(
  parts: ApplierParts,
  { traceApplied = false }: SlavedStoreOptions,
  identity: LogIdentity,
): TransactionApplier {
  const tracer = traceApplied ? findTracer() : undefined;
  return new ObservedApplier(
    parts,
    tracer && new SpanMaker({ tracer, logId: () => identity.id }),
  );
}

/** Tells of what is applied where somebody wants to know. */
class ObservedApplier extends TransactionApplier {
  readonly #position: ReaderPosition;
  readonly #spans: SpanMaker | undefined;

  constructor(
    { caches, changes, position, logger, visible, judge, journal, clock }:
      ApplierParts,
    spans: SpanMaker | undefined,
  ) {
    super(
      caches,
      position,
      logger,
      visible,
      clock,
      judge,
      changes,
      journal,
    );
    this.#position = position;
    this.#spans = spans;
  }

  override apply(transaction: LoggedTransaction): void | Promise<void> {
    if (this.#spans === undefined && !applications.isHeard) {
      return super.apply(transaction);
    }
    const { instance, token } = transaction;
    if (this.#isPassedOver(instance, token)) return super.apply(transaction);
    const rows = countRows(transaction)
      .reduce((sum, [, count]) => sum + count, 0);
    const what = { instance, token, rows, transactions: 1 };
    const apply = () => super.apply(transaction);
    const applied = this.#spans === undefined
      ? apply()
      : this.#spans.apply(what, apply);
    if (applied === undefined) this.#tell(what);
    else return applied.then(() => this.#tell(what));
  }

  override async applyStep(step: LoggedStep): Promise<boolean> {
    const { instance, upTo: token, transactions, rowsByStream } = step;
    const isSeen = this.#spans !== undefined || applications.isHeard;
    if (!isSeen || this.#isPassedOver(instance, token)) {
      return await super.applyStep(step);
    }
    let rows = 0;
    for (const count of rowsByStream.values()) rows += count;
    const what = { instance, token, rows, transactions };
    const apply = () => super.applyStep(step);
    const isWhole = this.#spans === undefined
      ? await apply()
      : await this.#spans.apply(what, apply);
    if (isWhole) this.#tell(what);
    return isWhole;
  }

  /** Whether it is no news, or comes here again when it is its turn. */
  #isPassedOver(instance: string, token: Token): boolean {
    return this.isBusy || this.#position.contains(instance, token);
  }

  #tell(what: SpannedApplication): void {
    if (applications.isHeard) applications.publish(what);
  }
}
