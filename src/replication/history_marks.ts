/**
 * Remembering where in the log's history a reader stands.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import {
  type HistoryMark,
  isInHistory,
  readCommitId,
  readHolderMark,
  readHolders,
} from "../log/history.ts";
import type { InstanceEnd } from "../log/instances.ts";
import { readReach } from "../log/reach.ts";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { MARK_INTERVAL_MS } from "../runtime/limits.ts";
import {
  type HolderMark,
  type Holders,
  isSameHolder,
} from "../tokens/holders.ts";
import type { Token } from "../tokens/token.ts";
import type { ReaderPosition } from "./reader_position.ts";

/** Is in no log's history. */
const NOBODY: HolderMark = { fence: 0, holder: "" };

/** What {@linkcode HistoryMarks} works with. */
export interface HistoryMarksOptions {
  /** Reads the log. */
  readonly session: Session;
  readonly position: ReaderPosition;
  readonly clock: Clock;
}

/**
 * Promise 7, a rewound log is noticed: by instance, the commit id of a token
 * that was applied, and who was writing then.
 *
 * The wire carries no commit ids; they are read from the log, once a second at
 * most, beside what is applied. A reader whose connection is lost may so be
 * beyond its mark: then the mark must stand in the log, and no later holder of
 * the name may have begun below the reader's token, which is what happens to a
 * log that was restored to before it.
 */
export class HistoryMarks {
  readonly #options: HistoryMarksOptions;
  readonly #marks = new Map<string, HistoryMark>();
  readonly #busy = new Map<string, Promise<unknown>>();
  readonly #cancelTimer: CancelTimer;
  #isMarking = false;

  /** Constructs one that remembers nothing. */
  constructor(options: HistoryMarksOptions) {
    this.#options = options;
    this.#cancelTimer = options.clock.repeat(
      () => void this.#mark(),
      MARK_INTERVAL_MS,
    );
  }

  /**
   * Runs what compares an instance's position with the log, or adopts another
   * one: one at a time, whatever connection it comes over. A position that
   * moved while the mark stayed would look like a log that was rewound.
   */
  async alone(instance: string, work: () => Promise<void>): Promise<void> {
    const before = this.#busy.get(instance);
    const turn = before === undefined ? work() : before.then(work, work);
    this.#busy.set(instance, turn);
    try {
      await turn;
    } finally {
      if (this.#busy.get(instance) === turn) this.#busy.delete(instance);
    }
  }

  /** Who has held the instance's name: to be asked before its position is compared. */
  async holdersOf(instance: string): Promise<Holders> {
    const { session, position } = this.#options;
    const known = position.holdersOf(instance);
    // Random ids: with the same last one they are the same.
    if (known !== undefined && await this.isHeld(instance)) return known;
    return await readHolders(session, instance);
  }

  /** Whether the name is held by whom its position was adopted from. */
  async isHeld(instance: string): Promise<boolean> {
    const { session, position } = this.#options;
    return isSameHolder(
      await readHolderMark(session, instance),
      position.holdersOf(instance)?.last,
    );
  }

  /** The instances whose name another has by now. */
  async taken(): Promise<string[]> {
    const taken: string[] = [];
    for (const instance of this.#marks.keys()) {
      if (!await this.isHeld(instance)) taken.push(instance);
    }
    return taken;
  }

  /**
   * Begins anew, as the instance's position has been adopted.
   *
   * @param holder Who held the name before the position was compared: one that
   *   came since, as the log was restored meanwhile, vouches for nothing.
   */
  async connect(
    instance: string,
    holder: HolderMark | undefined,
  ): Promise<void> {
    const { session, position } = this.#options;
    const token = position.get(instance);
    if (token === undefined) return;
    const commitId = await readCommitId(session, instance, token);
    const isThere = commitId !== undefined ||
      token <= await readReach(session, instance);
    const now = await readHolderMark(session, instance);
    const isOurs = isSameHolder(now, holder);
    // A writer that has died since may have told of what a restore has undone.
    this.#marks.set(instance, {
      token,
      // Another's commit under the same token must not be taken for this one.
      commitId: isOurs ? commitId : undefined,
      holder: isThere ? holder : NOBODY,
    });
  }

  /** Whether an instance's log ends with the transaction that was applied last. */
  isReached({ name, token, commitId }: InstanceEnd): boolean {
    const mark = this.#marks.get(name);
    return mark?.token === token && mark.commitId === commitId &&
      this.#options.position.get(name) === token;
  }

  /**
   * Whether the log still contains what has been applied of an instance.
   *
   * @param instance Who wrote.
   * @param reached The reader's token.
   */
  async isInHistory(instance: string, reached: Token): Promise<boolean> {
    const { session } = this.#options;
    const mark = this.#marks.get(instance);
    const here = {
      token: reached,
      commitId: mark?.token === reached ? mark.commitId : undefined,
      holder: mark?.holder,
    };
    if (!await isInHistory(session, instance, here)) return false;
    return mark === undefined || mark.token >= reached ||
      await isInHistory(session, instance, mark);
  }

  /** Ends its timer. */
  close(): void {
    this.#cancelTimer();
  }

  /** Brings marks up to positions that have moved. */
  async #mark(): Promise<void> {
    if (this.#isMarking) return;
    this.#isMarking = true;
    const { session, position } = this.#options;
    try {
      for (const [instance, mark] of this.#marks) {
        const token = position.get(instance);
        if (token === undefined || token === mark.token) continue;
        const commitId = await readCommitId(session, instance, token);
        if (commitId === undefined) continue;
        // Under a later holder the token may be another transaction's.
        const holder = await readHolderMark(session, instance);
        if (!isSameHolder(holder, mark.holder)) continue;
        // A mark that was set meanwhile knows more.
        if (this.#marks.get(instance) !== mark) continue;
        this.#marks.set(instance, { token, commitId, holder: mark.holder });
      }
    } catch {
      // The database can't be read now: the mark before is as good.
    } finally {
      this.#isMarking = false;
    }
  }
}
