/**
 * Following writers' logs: what is sent is applied, what was missed is fetched.
 *
 * @module
 */

import type { CacheRegistry } from "../caches/cache_registry.ts";
import type { Session } from "../database/engine.ts";
import { readFloor } from "../log/history.ts";
import { readLastToken } from "../log/instances.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import {
  MAX_BACKOFF_MS,
  MAX_ROWS_PER_TRANSACTION,
  MAX_TRANSACTION_BYTES,
  MIN_BACKOFF_MS,
} from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import { pause } from "../runtime/waiting.ts";
import type { Token } from "../tokens/token.ts";
import { BatchAssembler } from "./batch_assembler.ts";
import { catchUp, type CatchUpRange, isContained } from "./catch_up.ts";
import type { Receiver } from "./client.ts";
import type { HistoryMarks } from "./history_marks.ts";
import type { ReaderPosition } from "./reader_position.ts";
import type { TransactionApplier } from "./transaction_applier.ts";

/** What a follower works with. */
export interface FollowerOptions {
  /** Reads the log. */
  readonly session: Session;
  /** Has the database opened anew if it was replaced; says whether it was. */
  readonly refresh: () => boolean;
  readonly applier: TransactionApplier;
  readonly caches: CacheRegistry;
  readonly position: ReaderPosition;
  readonly history: HistoryMarks;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called when the first position is adopted, on each connection. */
  readonly live: () => void;
}

/** What a follower had to do besides applying what it was sent. */
export interface FollowerStats {
  /** Times that rows were fetched from the log. */
  readonly catchUps: number;
  /** Times that rows could not be had, and every cache was cleared instead. */
  readonly resets: number;
}

/**
 * Applies what one connection brings, in token order and without a gap.
 *
 * - Until an instance's first POSITION on this connection its rows are
 *   dropped: that POSITION's catch-up contains them.
 * - Promise 6, missed means flushed: where the rows between two positions
 *   can't be had, every cache is cleared before the new one is adopted.
 * - All streams of an instance come in token order, so that one position an
 *   instance is enough.
 */
export class Follower implements Receiver {
  readonly #options: FollowerOptions;
  readonly #assembler = new BatchAssembler({
    maxRows: MAX_ROWS_PER_TRANSACTION,
    maxChars: MAX_TRANSACTION_BYTES,
  });
  /** The instances that have told their position on this connection. */
  readonly #connected = new Set<string>();
  readonly #closing = new AbortController();
  #catchUps = 0;
  #resets = 0;

  /** Constructs a follower that knows no position. */
  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** What it had to do so far. */
  get stats(): FollowerStats {
    return { catchUps: this.#catchUps, resets: this.#resets };
  }

  get isLive(): boolean {
    return this.#connected.size > 0;
  }

  /** Whether an instance tells of its commits over this connection. */
  isConnected(instance: string): boolean {
    return this.#connected.has(instance);
  }

  row(
    stream: string,
    instance: string,
    token: Token | undefined,
    row: string,
  ): void | Promise<void> {
    if (!this.#connected.has(instance)) return;
    const complete = this.#assembler.addRow(stream, instance, token, row);
    if (complete !== undefined) return this.#options.applier.apply(complete);
  }

  position(
    _stream: string,
    instance: string,
    previous: Token,
    token: Token,
  ): void | Promise<void> {
    const complete = this.#assembler.addPosition(instance);
    if (complete === undefined) return this.#adopt(instance, previous, token);
    const applied = this.#options.applier.apply(complete);
    if (applied === undefined) return this.#adopt(instance, previous, token);
    return applied.then(() => this.#adopt(instance, previous, token));
  }

  disconnected(): void {
    this.#assembler.reset();
    this.#connected.clear();
  }

  /** Gives up a catch-up that is under way. */
  close(): void {
    this.#closing.abort();
  }

  #adopt(
    instance: string,
    previous: Token,
    token: Token,
  ): void | Promise<void> {
    const { position } = this.#options;
    if (!this.#connected.has(instance)) {
      return this.#adoptFirst(instance, token);
    }
    const reached = position.get(instance) as Token;
    if (previous > reached) {
      return this.#untilDone(
        "catch-up failed, trying again",
        instance,
        () => this.#catchUp({ instance, after: reached, upTo: token }),
      );
    }
    position.advance(instance, token);
  }

  /** The instance's first POSITION on this connection. */
  async #adoptFirst(instance: string, token: Token): Promise<void> {
    const { caches, position, history, live, refresh } = this.#options;
    const attempt = async () => {
      // What was read before it was told of may be nowhere in the new one.
      if (refresh()) caches.flush();
      const reached = position.get(instance);
      if (reached === undefined) {
        // What is cached was loaded at a position nobody knows.
        await this.#reset(instance, token, "first position of the instance");
      } else if (!await history.isInHistory(instance, reached)) {
        await this.#reset(instance, token, "the log was rewound");
      } else if (token > reached) {
        await this.#catchUp({ instance, after: reached, upTo: token });
      }
      await history.connect(instance);
    };
    await this.#untilDone(
      "cannot adopt a position, trying again",
      instance,
      () => history.alone(instance, attempt),
    );
    if (this.#closing.signal.aborted) return;
    this.#connected.add(instance);
    live();
  }

  /**
   * Applies what an instance has written that nobody tells of.
   *
   * @param instance Who wrote; it isn't connected.
   * @param base Where to begin if it was never heard of: all that was written up
   *   to there is contained in what is cached. `undefined` if nobody knows.
   * @param upTo A token that nothing can appear below any more.
   */
  follow(
    instance: string,
    base: Token | undefined,
    upTo: Token,
  ): Promise<void> {
    const { history } = this.#options;
    return history.alone(instance, () => this.#follow(instance, base, upTo));
  }

  async #follow(
    instance: string,
    base: Token | undefined,
    upTo: Token,
  ): Promise<void> {
    const { session, position, history } = this.#options;
    const last = await readLastToken(session, instance, upTo);
    // It may have connected meanwhile, and be beyond what was read.
    const reached = position.get(instance);
    if (reached === undefined && base === undefined && last > 0) {
      await this.#reset(instance, last, "first position of the instance");
    } else if (reached === undefined) {
      if (last > (base ?? last)) {
        await this.#catchUp({ instance, after: base as Token, upTo: last });
      }
      position.advance(instance, last);
    } else if (!await history.isInHistory(instance, reached)) {
      await this.#reset(instance, last, "the log was rewound");
    } else if (last > reached) {
      await this.#catchUp({ instance, after: reached, upTo: last });
    } else return;
    await history.connect(instance);
  }

  async #reset(
    instance: string,
    token: Token,
    reason: string,
  ): Promise<void> {
    const { applier, caches, position, logger } = this.#options;
    this.#resets += 1;
    logger("info", "every cache cleared", { instance, token, reason });
    caches.flush();
    const visible = applier.visibleAgain(instance, token);
    if (visible !== undefined) {
      await visible;
      // Promise 10: what was loaded meanwhile may be older.
      caches.flush();
    }
    position.reset(instance, token);
  }

  /** Tries until it succeeds: the instance isn't live before. */
  async #untilDone(
    problem: string,
    instance: string,
    attempt: () => Promise<void>,
  ): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#closing;
    let delayMs = MIN_BACKOFF_MS;
    while (!signal.aborted) {
      try {
        await attempt();
        return;
      } catch (error) {
        if (signal.aborted) return;
        logger("error", problem, { instance, error: messageOf(error) });
      }
      await pause(clock, delayMs, signal);
      delayMs = Math.min(MAX_BACKOFF_MS, delayMs * Math.E);
    }
  }

  async #catchUp(range: CatchUpRange): Promise<void> {
    const { session, applier, position, clock } = this.#options;
    const { instance, upTo } = range;
    this.#catchUps += 1;
    const after = position.get(instance) ?? range.after;
    if (!await isContained(session, { instance, after, upTo })) {
      // Over another way it came in time.
      if (position.contains(instance, upTo)) return;
      await this.#reset(instance, upTo, "the log does not reach back");
      return;
    }
    for await (const page of catchUp(session, { instance, after, upTo })) {
      if (this.#closing.signal.aborted) throw closedError();
      // Retention may have been faster than the reading of the page.
      const reached = position.get(instance) ?? after;
      if (await readFloor(session) > reached) {
        await this.#reset(
          instance,
          upTo,
          "the log does not reach back any more",
        );
        return;
      }
      for (const transaction of page) await applier.apply(transaction);
      // Pages come without waiting; others want a turn, too.
      await new Promise<void>((resolve) => clock.nextTurn(resolve));
    }
    position.advance(instance, upTo);
  }
}

function closedError(): HeadwaterError {
  return new HeadwaterError("CLOSED", "Cannot catch up: the store is closed");
}
