/**
 * Following writers' logs: what is sent is applied, what was missed is fetched.
 *
 * @module
 */

import { readLastToken } from "../log/instances.ts";
import { readReach } from "../log/reach.ts";
import type { InvalidateCommand } from "../protocol/command.ts";
import {
  MAX_ROWS_PER_TRANSACTION,
  MAX_TRANSACTION_BYTES,
} from "../runtime/limits.ts";
import type { Token } from "../tokens/token.ts";
import { Attempts, foreignError, isForeign } from "./attempts.ts";
import { BatchAssembler } from "./batch_assembler.ts";
import { type CatchUpRange, isContained } from "./catch_up.ts";
import type { Receiver } from "./client.ts";
import { Fetcher } from "./fetcher.ts";
import type { FollowerOptions, FollowerStats } from "./follower_options.ts";
import { Resetter } from "./resetter.ts";
import { ToldPositions } from "./told_positions.ts";
import type { LoggedTransaction } from "./transaction.ts";

/**
 * Applies what one connection brings, in token order and without a gap.
 *
 * - Until an instance's first POSITION on this connection its rows are
 *   dropped: that POSITION's catch-up contains them.
 * - Promise 6, missed means flushed: where the rows between two positions
 *   can't be had, every cache is cleared before the new one is adopted.
 * - A position that moves back on one connection is compared with the log as a
 *   first one is: a writer that was started over on a log that was rewound, or
 *   another behind the same address.
 * - Promise 5: a token that the log doesn't have, as another log's writer tells
 *   it, is never adopted. Whoever waited for one of this log's would go on too
 *   early.
 * - All streams of an instance come in token order, so that one position an
 *   instance is enough.
 */
export class Follower implements Receiver {
  readonly #options: FollowerOptions;
  readonly #assembler = new BatchAssembler({
    maxRows: MAX_ROWS_PER_TRANSACTION,
    maxChars: MAX_TRANSACTION_BYTES,
  });
  /** When instances have told their position on this connection, in monotonic ms. */
  readonly #connected = new Map<string, number>();
  readonly #told = new ToldPositions();
  readonly #fetcher: Fetcher;
  readonly #attempts: Attempts;
  readonly #closing = new AbortController();
  readonly #resetter: Resetter;
  #catchUps = 0;

  /** Constructs a follower that knows no position. */
  constructor(options: FollowerOptions) {
    this.#options = options;
    const { signal } = this.#closing;
    this.#fetcher = new Fetcher({ ...options, signal });
    this.#attempts = new Attempts({ ...options, signal });
    this.#resetter = new Resetter(options);
  }

  /** What it had to do so far. */
  get stats(): FollowerStats {
    return {
      catchUps: this.#catchUps,
      catchUpRows: this.#fetcher.rows,
      resets: this.#resetter.resets,
      catchingUp: this.#fetcher.progress,
    };
  }

  /** Whether it has a position on this connection, and is not fetching towards one. */
  get isLive(): boolean {
    return this.#connected.size > 0 && this.#attempts.running === 0;
  }

  /**
   * Whether an instance tells of its commits over this connection.
   *
   * @param silenceMs How long it may have said nothing. On a shared connection
   *   nothing else shows that a writer is gone; it is forgotten, and what it
   *   says later on begins anew.
   */
  isConnected(instance: string, silenceMs = Infinity): boolean {
    const heardMs = this.#connected.get(instance);
    if (heardMs === undefined) return false;
    if (this.#options.clock.monotonicMs() - heardMs <= silenceMs) return true;
    this.disown(instance);
    return false;
  }

  /** Believes nothing of an instance until it tells its position again. */
  disown(instance: string): void {
    if (this.#connected.delete(instance)) this.#assembler.addPosition(instance);
  }

  row(
    stream: string,
    instance: string,
    token: Token | undefined,
    row: string,
  ): void | Promise<void> {
    const { ephemeral } = this.#options;
    if (ephemeral?.has(stream)) {
      return ephemeral.row(stream, instance, token, row);
    }
    if (!this.#connected.has(instance)) return;
    const complete = this.#assembler.addRow(stream, instance, token, row);
    return complete && this.#applyBefore(complete, token as Token);
  }

  invalidations(
    command: InvalidateCommand,
    chars: number,
  ): void | Promise<void> {
    const { instance, token } = command;
    if (!this.#connected.has(instance)) return;
    const complete = this.#assembler.addInvalidations(command, chars);
    return complete && this.#applyBefore(complete, token as Token);
  }

  position(
    stream: string,
    instance: string,
    previous: Token,
    token: Token,
  ): void | Promise<void> {
    const { ephemeral } = this.#options;
    this.#told.admit(instance);
    if (ephemeral?.has(stream)) {
      return ephemeral.position(stream, instance, previous, token);
    }
    this.#options.lag?.announced(instance, token);
    if (this.#told.movesBack(stream, instance, token)) {
      this.#connected.delete(instance);
    }
    const complete = this.#assembler.addPosition(instance);
    if (complete === undefined) return this.#adopt(instance, previous, token);
    const applied = this.#options.applier.apply(complete);
    if (applied === undefined) return this.#adopt(instance, previous, token);
    return applied.then(() => this.#adopt(instance, previous, token));
  }

  held(instance: string, holder: string): void {
    // Another's tokens: whether they go on with those that were applied is asked.
    const { position } = this.#options;
    if (position.holdersOf(instance)?.text !== holder) this.disown(instance);
  }

  disconnected(): void {
    this.#assembler.reset();
    this.#connected.clear();
    this.#told.clear();
    this.#options.ephemeral?.disconnected();
  }

  /** Gives up a catch-up that is under way. */
  close(): void {
    this.#closing.abort();
    this.#options.ephemeral?.disconnected();
  }

  /** Applies what is complete, as another transaction has begun behind it. */
  #applyBefore(
    complete: LoggedTransaction,
    begun: Token,
  ): void | Promise<void> {
    const applied = this.#options.applier.apply(complete);
    if (applied !== undefined) {
      this.#options.lag?.announced(complete.instance, begun);
    }
    return applied;
  }

  #adopt(
    instance: string,
    previous: Token,
    token: Token,
  ): void | Promise<void> {
    const { position, isShared } = this.#options;
    if (!this.#connected.has(instance)) {
      return this.#adoptFirst(instance, token);
    }
    this.#hear(instance);
    const reached = position.get(instance) as Token;
    if (previous > reached) {
      return this.#untilDone(
        "catch-up failed, trying again",
        instance,
        () => this.#catchUp({ instance, after: reached, upTo: token }),
      ).then(() => {});
    }
    if (token > reached && isShared?.()) {
      return this.#advance(instance, token);
    }
    position.advance(instance, token);
  }

  #hear(instance: string): void {
    this.#connected.set(instance, this.#options.clock.monotonicMs());
  }

  /** Without a row, where anybody may have told it. */
  async #advance(instance: string, token: Token): Promise<void> {
    const problem = "cannot adopt a position, trying again";
    await this.#untilDone(problem, instance, async () => {
      await this.#requireWritten(instance, token);
      this.#options.position.advance(instance, token);
    });
  }

  /** The instance's first POSITION on this connection. */
  async #adoptFirst(instance: string, token: Token): Promise<void> {
    const { session, position, history, live, refresh } = this.#options;
    const attempt = async () => {
      // What was read before it was told of may be nowhere in the new one.
      await refresh();
      const holders = await history.holdersOf(instance);
      const reached = position.get(instance);
      if (reached === undefined) {
        await this.#requireWritten(instance, token);
        // What is cached was loaded at a position nobody knows.
        await this.#resetter.reset(instance, token, FIRST, holders);
      } else if (!await history.isInHistory(instance, reached)) {
        const end = await readReach(session, instance);
        const upTo = token < end ? token : end;
        await this.#resetter.reset(instance, upTo, REWOUND, holders);
        await history.connect(instance, holders.last);
        if (token > end) {
          throw foreignError(instance, token, end, this.#options.source);
        }
      } else {
        position.goOn(instance, holders);
        if (token > reached) {
          await this.#catchUp({ instance, after: reached, upTo: token });
        }
      }
      await history.connect(instance, holders.last);
    };
    const isAdopted = await this.#untilDone(
      "cannot adopt a position, trying again",
      instance,
      () => history.alone(instance, attempt),
    );
    if (!isAdopted) return;
    this.#hear(instance);
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
    const { session, position, history, lag, changes } = this.#options;
    const holders = await history.holdersOf(instance);
    const last = await readLastToken(session, instance, upTo);
    lag?.announced(instance, last);
    // A writer that nobody tells of may be a new one.
    this.#options.caches.forgetJudged();
    // It may have connected meanwhile, and be beyond what was read.
    const reached = position.get(instance);
    if (reached === undefined && base === undefined && last > 0) {
      await this.#resetter.reset(instance, last, FIRST, holders);
    } else if (reached === undefined) {
      position.goOn(instance, holders);
      const after = base === undefined || base > last ? last : base;
      const begin = changes && await changes.read(instance, after);
      begin?.();
      if (last > after) await this.#catchUp({ instance, after, upTo: last });
      position.advance(instance, last);
    } else if (!await history.isInHistory(instance, reached)) {
      await this.#resetter.reset(instance, last, REWOUND, holders);
    } else {
      position.goOn(instance, holders);
      if (last <= reached) return;
      await this.#catchUp({ instance, after: reached, upTo: last });
    }
    await history.connect(instance, holders.last);
  }

  async #requireWritten(instance: string, token: Token): Promise<void> {
    const end = await readReach(this.#options.session, instance);
    if (token > end) {
      throw foreignError(instance, token, end, this.#options.source);
    }
  }

  /**
   * Tries until it succeeds: the instance isn't live before. If that takes too
   * long, or what is wanted is gone, the connection ends: another one may lead
   * to a writer that knows better. On a shared channel, what is another log's is
   * passed over, with the rows that follow it: others tell theirs there.
   *
   * @returns Whether it has succeeded.
   */
  async #untilDone(
    problem: string,
    instance: string,
    attempt: () => Promise<void>,
  ): Promise<boolean> {
    try {
      return await this.#attempts.run(problem, instance, attempt);
    } catch (error) {
      if (!isForeign(error) || !this.#options.isShared?.()) throw error;
      this.disown(instance);
      return false;
    }
  }

  async #catchUp(range: CatchUpRange): Promise<void> {
    const { session, position } = this.#options;
    const { instance, upTo } = range;
    this.#catchUps += 1;
    const after = position.get(instance) ?? range.after;
    if (!await isContained(session, { instance, after, upTo })) {
      // Over another way it came in time.
      if (position.contains(instance, upTo)) return;
      await this.#requireWritten(instance, upTo);
      await this.#resetter.reset(instance, upTo, DELETED);
      return;
    }
    if (await this.#fetcher.fetch({ instance, after, upTo })) {
      position.advance(instance, upTo);
    } else await this.#resetter.reset(instance, upTo, DELETED);
  }
}

const FIRST = "first position of the instance";
const REWOUND = "the log was rewound";
const DELETED = "the log does not reach back";
