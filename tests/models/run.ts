// One run: writers and readers of its own on the world's database, and what is
// right once all has ended.

import { deepStrictEqual, ok } from "node:assert/strict";
import { HeadwaterError, type WriterStore } from "../../mod.ts";
import { forget, held, type Model, openWriters } from "./model.ts";
import {
  EventPager,
  Follower,
  type Heard,
  Projector,
  RowPager,
} from "./readers.ts";
import {
  begin,
  type Decision,
  type ModelDatabase,
  openStore,
  RolledBack,
  type Transaction,
  type World,
} from "./world.ts";

type Store = WriterStore<ModelDatabase>;

/** What of a stream is in the log under one token. */
type Logged = Heard;

/** The writers, the readers and the transactions of a run. */
export class Run {
  readonly world: World;
  readonly follower: Follower;
  readonly events: EventPager;
  readonly rows: RowPager;
  readonly projector: Projector;
  readonly transactions = new Map<number, Transaction>();
  readonly #instances: readonly string[];
  /** By number; the last one, where it is closed now. */
  readonly #writers: Store[];
  /** Where each listened first: it does again, if it can. */
  readonly #urls: (string | undefined)[];
  readonly #zombies: Promise<unknown>[] = [];
  readonly #before: number;
  /** Connections were cut: what was under way may wait for what is held. */
  isShaken = false;

  private constructor(
    world: World,
    instances: readonly string[],
    writers: Store[],
    readers: readonly [Follower, Projector],
    before: number,
  ) {
    this.world = world;
    this.#instances = instances;
    this.#writers = writers;
    this.#urls = writers.map(({ url }) => url);
    [this.follower, this.projector] = readers;
    this.events = new EventPager(world.observer, before);
    this.rows = new RowPager();
    this.#before = before;
  }

  /**
   * Opens the first writers, and readers. The last writer tells nobody: it is
   * found in the database, as those are that come later.
   */
  static async open(world: World, model: Model): Promise<Run> {
    const run = world.nextRun++;
    const instances = model.writers.map((_, index) => `w${run}_${index}`);
    const stores: Store[] = [];
    for (const index of openWriters(model)) {
      const isLast = index === instances.length - 1;
      const listen = isLast ? undefined : "tcp://127.0.0.1:0";
      const instance = instances[index] as string;
      stores.push(await openStore(world.database, instance, listen));
    }
    const [last] = await world.session.rows(
      "SELECT coalesce(max(token), 0) FROM headwater_log",
      [],
    );
    const urls = stores.flatMap(({ url }) => url ?? []);
    const names = stores.map(({ instance }) => instance);
    const follower = await Follower.connect(world, urls, names);
    const projector = await Projector.open(world);
    const before = Number(last?.[0]);
    return new Run(world, instances, stores, [follower, projector], before);
  }

  /** A writer. */
  writer(index: number): Store {
    return this.#writers[index] as Store;
  }

  /** Begins a transaction of a writer. */
  begin(writer: number, id: number): Transaction {
    const transaction = begin(this.writer(writer), id);
    this.transactions.set(id, transaction);
    return transaction;
  }

  /** A transaction. */
  transaction(id: number): Transaction {
    return this.transactions.get(id) as Transaction;
  }

  /** Has a transaction end, but doesn't wait for it. */
  decide(id: number, decision: Decision): void {
    const transaction = this.transaction(id);
    transaction.decision = decision;
    transaction.wake();
  }

  /** Waits for all that are decided: where nothing that is open holds them up. */
  async settle(): Promise<void> {
    for (const { decision, ended } of this.transactions.values()) {
      if (decision !== undefined) await ended;
    }
  }

  /** Lets every commit go on that is held back. */
  async releaseAll(model: Model): Promise<void> {
    for (const each of held(model)) {
      forget(model, each);
      await this.world.release(each.id, "commit");
    }
  }

  /** Opens a writer that was closed, or never open. */
  async reopen(index: number): Promise<void> {
    const instance = this.#instances[index] as string;
    const { database } = this.world;
    this.#writers[index] = await openStore(
      database,
      instance,
      this.#urls[index],
    );
  }

  /**
   * Has another take a writer's name, as if it had died; then it finds that it
   * is dead. What it had open never ends well unless it had by then.
   */
  async takeOver(index: number): Promise<void> {
    const zombie = this.writer(index);
    const own = [...this.transactions.values()].filter((each) =>
      each.instance === zombie.instance && !each.commit && !each.error
    );
    for (const transaction of own) {
      transaction.isCrashed = true;
      transaction.decision ??= "roll back";
      if (!this.world.isPostgres) transaction.wake();
    }
    if (!this.world.isPostgres) await this.settle();
    await this.world.expire(zombie.instance);
    await this.reopen(index);
    const late = zombie.transaction("too late", async ({ db }) => {
      await db.insertInto("notes").values({ id: `late ${zombie.instance}` })
        .execute();
    });
    const code = await late.then(() => "none", ({ code }) => code);
    deepStrictEqual(code, "LEASE_LOST", "a writer whose name was taken");
    for (const { wake } of own) wake();
    this.#zombies.push(zombie.close());
  }

  /** Ends what is open, and compares what every reader saw with the log. */
  async finish(model: Model): Promise<void> {
    await this.releaseAll(model);
    for (const { id } of model.open) this.decide(id, "commit");
    await this.settle();
    const log = await this.#readLog();
    await this.#checkTransactions(log);
    const last = new Map<string, number>();
    for (const { instance, token } of log) last.set(instance, token);
    const [least] = await this.world.session.rows(
      "SELECT coalesce(max(token), 0) FROM headwater_log",
      [],
    );
    await this.follower.finish(last);
    await this.events.finish();
    for (const [index, isOpen] of model.writers.entries()) {
      if (!isOpen) await this.reopen(index);
      model.writers[index] = true;
      await this.rows.finish(this.writer(index));
    }
    this.#checkReaders(log);
    const projected = await this.projector.finish(Number(least?.[0]));
    const events = log.filter(({ stream }) => stream === "events");
    const expected = events.flatMap(({ ids }) => ids);
    const known = new Set([...this.transactions.keys()].map(String));
    deepStrictEqual(
      projected.filter((id) => known.has(id.split(".")[0] as string)),
      expected,
      "the projection took in other events than the log has, or in another order",
    );
  }

  async close(): Promise<void> {
    for (const transaction of this.transactions.values()) {
      transaction.isCrashed = true;
      transaction.wake();
    }
    await this.follower.close();
    await this.projector.close();
    this.events.restart();
    await Promise.all(
      Object.values(this.#writers).map((writer) => writer.close()),
    );
    await Promise.all(this.#zombies);
  }

  /** What the log has of this run's rows, by token. */
  async #readLog(): Promise<Logged[]> {
    const rows = await this.world.session.rows(
      `SELECT stream, instance, token, body FROM headwater_log
      WHERE token > ? AND stream IN ('events', 'marks') ORDER BY token, stream`,
      [this.#before],
    );
    return rows.map(([stream, instance, token, body]) => ({
      stream: stream as Logged["stream"],
      instance: String(instance),
      token: Number(token),
      ids: [...String(body).matchAll(/\{"id":"([\d.]+)"\}/g)]
        .map(([, id]) => id as string),
    }));
  }

  /** Each transaction is in the log whole and once, or not at all, as it was told. */
  async #checkTransactions(log: readonly Logged[]): Promise<void> {
    const committed: Logged[] = [];
    const logged = new Set(log.flatMap(({ ids }) => ids));
    for (const transaction of this.transactions.values()) {
      const { id, instance, rows, commit, error, decision, isCrashed } =
        transaction;
      const wasCommitted = commit !== undefined ||
        isUnknown(error) && rows.some((row) => logged.has(row.id));
      if (commit === undefined) {
        const isExpected = isCrashed || error instanceof RolledBack ||
          decision === "roll back" || isUnknown(error);
        ok(isExpected, `transaction ${id} failed: ${String(error)}`);
      } else ok(decision === "commit" || isCrashed, `${id} was rolled back`);
      this.world.count(wasCommitted ? "[committed]" : "[rolled back]");
      if (!wasCommitted) continue;
      const token = commit?.token ??
        log.find(({ ids }) => ids[0]?.startsWith(`${id}.`))?.token as number;
      for (const kind of ["event", "mark"] as const) {
        const ids = rows.filter((row) => row.kind === kind).map(({ id }) => id);
        if (ids.length === 0) continue;
        committed.push({ stream: `${kind}s`, instance, token, ids });
      }
    }
    committed.sort((a, b) =>
      a.token - b.token || (a.stream < b.stream ? -1 : 1)
    );
    deepStrictEqual(
      log,
      committed,
      "the log has other rows than were committed",
    );
    const notes = await this.world.session.rows("SELECT id FROM notes", []);
    const known = new Set(
      [...this.transactions.values()].flatMap(({ rows }) =>
        rows.map(({ id }) => id)
      ),
    );
    const written = notes.map(([id]) => String(id))
      .filter((id) => known.has(id) || id.startsWith("late"));
    const ids = log.flatMap(({ ids }) => ids);
    deepStrictEqual(
      written.sort(),
      ids.sort(),
      "the tables have other rows than the log",
    );
  }

  /** Each batch once, whole, and in token order: of an instance, or of all. */
  #checkReaders(log: readonly Logged[]): void {
    for (const stream of ["events", "marks"] as const) {
      for (const instance of this.#instances) {
        const of = (heard: readonly Heard[]) =>
          heard.filter((each) =>
            each.stream === stream && each.instance === instance
          );
        const expected = of(log);
        const what =
          `of ${instance}'s ${stream} what the log doesn't have, or otherwise`;
        deepStrictEqual(
          of(this.follower.heard),
          expected,
          `the slaved store heard ${what}`,
        );
        if (stream === "events") continue;
        deepStrictEqual(of(this.rows.heard), expected, `readRows gave ${what}`);
      }
    }
    deepStrictEqual(
      this.events.heard,
      log.filter(({ stream }) => stream === "events")
        .map((each) => ({ ...each, instance: "" })),
      "readEvents gave what the log doesn't have, or otherwise",
    );
  }
}

function isUnknown(error: unknown): boolean {
  return error instanceof HeadwaterError && error.code === "COMMIT_UNKNOWN";
}
