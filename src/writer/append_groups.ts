/**
 * Transactions that only write to the log, recorded together on PostgreSQL.
 *
 * @module
 */

import { SharedRollbackError } from "../database/commit_group.ts";
import type { CommitSession } from "../database/engine.ts";
import { isRefusal } from "../database/postgres_errors.ts";
import type { Appended } from "../log/postgres_append.ts";
import type { LogEntry } from "../log/record.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { Gate } from "../runtime/gate.ts";
import {
  MAX_RECORDED_CHARS,
  MAX_RECORDED_TOGETHER,
} from "../runtime/limits.ts";
import { type Deferred, deferred } from "../runtime/waiting.ts";
import type { Token } from "../tokens/token.ts";
import {
  type AppendFate,
  commitFate,
  loseFate,
  openFate,
} from "./append_fate.ts";

/** Writes transactions into the log and commits them: all, or none. */
export type AppendTogether = (
  session: CommitSession,
  entries: readonly LogEntry[],
  isSnapshotOld: boolean,
) => Promise<Appended>;

/** How a transaction is recorded. */
export interface RecordManner {
  /** Whether it must not fail for others. */
  readonly isAlone: boolean;
  /** Whether it sees the database as it was when it began. */
  readonly isSnapshotOld: boolean;
}

/** A transaction that is to be recorded. */
export interface Recording {
  readonly session: CommitSession;
  readonly entry: LogEntry;
  /** What others know of it that append after it; `undefined` if nobody can. */
  readonly fate: AppendFate | undefined;
  /** Called before it is given a token, perhaps more than once. */
  readonly sent: () => void;
}

interface Member extends Recording {
  readonly fate: AppendFate;
  readonly recorded: Deferred<Token>;
}

/** Some that are recorded by the first one's session. */
interface AppendGroup {
  readonly members: Member[];
  readonly isOpen: boolean;
  /** Characters of what they record. */
  chars: number;
}

/**
 * While one group is on its way to the server, those that come wait for it, and
 * then are recorded by one statement of one connection; the others' connections
 * are given back. Whoever comes alone waits for nobody.
 *
 * Only those go together that have run no statement of their own: nothing but
 * their rows is at stake. One group follows the other, so that an append may go
 * on from another that isn't committed yet: it is recorded with that one, or
 * after it, or not at all. Whoever finds that events it didn't know of are
 * there, or on their way, is told to run again.
 */
export class AppendGroups {
  readonly #append: AppendTogether;
  readonly #timeoutMs: number;
  readonly #gate: Gate;
  readonly #waiting: AppendGroup[] = [];
  /** By aggregate, the last append that is on its way. */
  readonly #last = new Map<string, AppendFate>();

  /**
   * Constructs one in which nobody waits.
   *
   * @param timeoutMs How long a group waits for those before it.
   */
  constructor(append: AppendTogether, clock: Clock, timeoutMs: number) {
    this.#append = append;
    this.#timeoutMs = timeoutMs;
    this.#gate = new Gate({
      subject: "those before it",
      permits: 1,
      // As many as there are connections.
      maxQueued: Infinity,
      timeoutMs,
      clock,
    });
  }

  /**
   * Records a transaction, and commits it.
   *
   * @returns Its token.
   * @throws As `append` does; {@linkcode SharedRollbackError} if it was refused
   *   for another one.
   */
  async record(
    recording: Recording,
    { isAlone, isSnapshotOld }: RecordManner,
  ): Promise<Token> {
    const { session, entry, fate = openFate() } = recording;
    const mayShare = !isSnapshotOld && session.isUntouched === true;
    this.#requireNext(entry, fate, mayShare);
    fate.status = "queued";
    for (const aggregate of aggregatesOf(entry)) {
      this.#last.set(aggregate, fate);
    }
    const member = { ...recording, fate, recorded: deferred<Token>() };
    if (mayShare) {
      this.#join(member, isAlone);
    } else {
      const group = { members: [member], isOpen: false, chars: 0 };
      this.#send(group, isSnapshotOld);
    }
    return await member.recorded.promise;
  }

  #join(member: Member, isAlone: boolean): void {
    const { session, entry } = member;
    session.seal?.();
    const chars = charsOf(entry);
    const group = this.#waiting.at(-1);
    const mayJoin = !isAlone && group?.isOpen === true &&
      group.members.length < MAX_RECORDED_TOGETHER &&
      group.chars + chars <= MAX_RECORDED_CHARS;
    if (mayJoin) {
      group.members.push(member);
      group.chars += chars;
      session.leave?.();
      return;
    }
    void this.#lead({ members: [member], isOpen: !isAlone, chars });
  }

  /** Records a group in its turn. */
  async #lead(group: AppendGroup): Promise<void> {
    const turn = this.#gate.enter("");
    if (turn !== undefined) {
      this.#waiting.push(group);
      const isLate = await turn.then(() => false, () => true);
      // First come, first served, whether late or not.
      this.#waiting.shift();
      if (isLate) return this.#refuse(group);
    }
    await this.#send(group, false);
    this.#gate.leave();
  }

  /** The first one's connection was the others', too: they are run again. */
  #refuse({ members: [first, ...others] }: AppendGroup): void {
    const error = new HeadwaterError(
      "DATABASE_BUSY",
      `Cannot record the transaction: waited ${this.#timeoutMs} ms for those ` +
        "before it, which the server holds up; is one open that has appended " +
        "to the same aggregate, or locked the log?",
    );
    this.#lost(first as Member, error);
    for (const other of others) {
      this.#lost(other, new SharedRollbackError(error));
    }
  }

  /** Records a group. Never rejects: each member is told by itself. */
  async #send(group: AppendGroup, isSnapshotOld: boolean): Promise<void> {
    const [{ session }] = group.members as [Member];
    const late: Member[] = [];
    let members: Member[] = group.members;
    let failure: unknown;
    try {
      for (;;) {
        members = inOrder(members, late);
        if (members.length === 0) break;
        for (const { sent } of members) sent();
        const entries = members.map(({ entry }) => entry);
        const { tokens, stale } = await this.#append(
          session,
          entries,
          isSnapshotOld,
        );
        if (stale.size === 0) {
          this.#committed(members, tokens);
          break;
        }
        late.push(...members.filter((_, index) => stale.has(index)));
        members = members.filter((_, index) => !stale.has(index));
      }
    } catch (error) {
      failure = error;
    }
    // The first one's session was the group's until here.
    if (failure !== undefined) {
      const isShared = group.members.length > 1 && isRefusal(failure);
      const told = isShared ? new SharedRollbackError(failure) : failure;
      for (const member of members) this.#lost(member, told);
    }
    for (const member of late) this.#lost(member, lateError(member));
  }

  #committed(members: readonly Member[], tokens: readonly Token[]): void {
    for (const [index, member] of members.entries()) {
      commitFate(member.fate);
      this.#end(member);
      member.recorded.resolve(tokens[index] as Token);
    }
  }

  #lost(member: Member, error: unknown): void {
    loseFate(member.fate);
    this.#end(member);
    member.recorded.reject(error);
  }

  #end({ entry, fate }: Member): void {
    for (const aggregate of aggregatesOf(entry)) {
      if (this.#last.get(aggregate) === fate) this.#last.delete(aggregate);
    }
  }

  /** Refuses what is based on less than is on its way, or on what isn't. */
  #requireNext(entry: LogEntry, fate: AppendFate, mayWait: boolean): void {
    for (const aggregate of aggregatesOf(entry)) {
      const last = this.#last.get(aggregate);
      if (last !== undefined && !fate.after.has(last)) throw quicker(aggregate);
    }
    if (fate.status === "lost") throw quicker();
    for (const { status } of fate.after) {
      const isSettled = status === "committed";
      if (!isSettled && !(mayWait && status === "queued")) throw quicker();
    }
  }
}

/** Those that may be recorded now; the others are late. */
function inOrder(members: readonly Member[], late: Member[]): Member[] {
  const before = new Set<AppendFate>();
  return members.filter((member) => {
    const { fate } = member;
    const mayGo = fate.status !== "lost" &&
      [...fate.after].every((other) =>
        other.status === "committed" || before.has(other)
      );
    if (mayGo) before.add(fate);
    else late.push(member);
    return mayGo;
  });
}

function aggregatesOf({ appends = [] }: LogEntry): readonly string[] {
  return appends.map(({ aggregate }) => aggregate);
}

function charsOf({ bodies }: LogEntry): number {
  let chars = 0;
  for (const { body } of bodies.values()) chars += body.length;
  return chars;
}

function lateError({ entry }: Member): SharedRollbackError {
  return quicker(aggregatesOf(entry)[0]);
}

function quicker(aggregate?: string): SharedRollbackError {
  return new SharedRollbackError(
    `another append${
      aggregate === undefined ? "" : ` to "${aggregate}"`
    } was quicker`,
  );
}
