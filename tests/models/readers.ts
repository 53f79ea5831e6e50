// Those who read while writers write, each in another way. Each keeps what it
// was given, in that order, and nothing else.

import { eventsStream, SlavedStore, type WriterStore } from "../../mod.ts";
import {
  defineProjection,
  ProjectionRunner,
} from "../../src/projections/mod.ts";
import { until } from "../support/conditions.ts";
import { marks, type ModelDatabase, type World } from "./world.ts";

/** A transaction's rows of one stream, as a reader got them: whole, or else. */
export interface Heard {
  readonly stream: "events" | "marks";
  readonly instance: string;
  readonly token: number;
  readonly ids: readonly string[];
}

/** How long a reader may take to get to the end, in ms. */
const PATIENCE_MS = 8_000;

const idOf = (data: unknown) => (data as { id: string }).id;

/** A slaved store that hears of every batch. */
export class Follower {
  readonly heard: Heard[] = [];
  readonly #slaved: SlavedStore<ModelDatabase>;

  private constructor(slaved: SlavedStore<ModelDatabase>) {
    this.#slaved = slaved;
    slaved.subscribe(eventsStream, ({ instance, token, rows }) => {
      const ids = rows.map((row) => idOf(row[4]));
      this.heard.push({ stream: "events", instance, token, ids });
    });
    slaved.subscribe(marks, ({ instance, token, rows }) => {
      this.heard.push({
        stream: "marks",
        instance,
        token,
        ids: rows.map(idOf),
      });
    });
  }

  /** Connects one; it hears of what those instances commit from now on. */
  static async connect(
    world: World,
    replicate: readonly string[],
    instances: readonly string[],
  ): Promise<Follower> {
    const slaved = await SlavedStore.connect<ModelDatabase>({
      database: world.database,
      replicate,
      streams: [marks],
      pollIntervalMs: 10,
      minBackoffMs: 5,
      maxBackoffMs: 40,
    });
    const follower = new Follower(slaved);
    // An instance without a connection is followed from the first look on, which
    // connecting doesn't wait for.
    await until(
      "it has heard of all",
      () => instances.every((instance) => slaved.position.has(instance)),
    );
    return follower;
  }

  /** Resolves once it has come to a position. */
  async finish(last: ReadonlyMap<string, number>): Promise<void> {
    const position = () => this.#slaved.position;
    await until(
      "the slaved store has come to the end",
      () =>
        [...last].every(([instance, token]) =>
          (position().get(instance) ?? 0) >= token
        ),
      PATIENCE_MS,
    );
  }

  close(): Promise<void> {
    return this.#slaved.close();
  }
}

/** Reads all events by pages, from the token where it ended. */
export class EventPager {
  readonly heard: Heard[] = [];
  readonly #store: WriterStore<ModelDatabase>;
  #after: number;
  #paging: Promise<void> | undefined;
  #runs = 0;

  constructor(store: WriterStore<ModelDatabase>, after: number) {
    this.#store = store;
    this.#after = after;
  }

  /** Begins a page of so many tokens, unless one is under way: it may wait long. */
  step(tokens: number): void {
    if (this.#paging !== undefined) return;
    const paging: Promise<void> = this.#page(tokens)
      // Its connection was cut: whoever reads next begins there.
      .then(() => {}, () => {})
      .finally(() => {
        if (this.#paging === paging) this.#paging = undefined;
      });
    this.#paging = paging;
  }

  /** Forgets the page under way, and begins again from the last whole token. */
  restart(): void {
    this.#runs += 1;
    this.#paging = undefined;
  }

  /** Reads on, token by token, until nothing more comes. */
  async finish(): Promise<void> {
    await this.#paging;
    while (await this.#page(1) > 0);
  }

  /** Takes in whole tokens only, and says how many: one that is cut short isn't. */
  async #page(tokens: number): Promise<number> {
    const run = this.#runs += 1;
    let batch: { token: number; ids: string[] } | undefined;
    let taken = 0;
    const take = () => {
      if (batch === undefined || run !== this.#runs) return;
      this.heard.push({ stream: "events", instance: "", ...batch });
      this.#after = batch.token;
      taken += 1;
    };
    const after = this.#after;
    for await (const event of this.#store.readEvents({ after })) {
      if (run !== this.#runs) return 0;
      if (batch?.token !== event.token) {
        take();
        batch = undefined;
        if (taken === tokens) return taken;
        batch = { token: event.token, ids: [] };
      }
      batch.ids.push(idOf(event.data));
    }
    take();
    return taken;
  }
}

/** Reads the marks of each instance by pages, through its own writer. */
export class RowPager {
  readonly heard: Heard[] = [];
  readonly #after = new Map<string, number>();

  /** Reads a page; whether there may be more. */
  async step(
    store: WriterStore<ModelDatabase>,
    limit: number,
  ): Promise<boolean> {
    const { instance } = store;
    const after = this.#after.get(instance) ?? 0;
    const page = await store.readRows(marks, { after, limit });
    const batches = new Map<number, string[]>();
    for (const [token, { id }] of page.rows) {
      batches.set(token, [...batches.get(token) ?? [], id]);
    }
    for (const [token, ids] of batches) {
      this.heard.push({ stream: "marks", instance, token, ids });
    }
    this.#after.set(instance, page.upTo);
    return page.isLimited;
  }

  /** Reads on to the end, token by token. */
  async finish(store: WriterStore<ModelDatabase>): Promise<void> {
    while (await this.step(store, 1));
  }
}

/** Keeps every event's id, in the order they were taken in. */
const projected = defineProjection<ModelDatabase>({
  name: "projected",
  tables: ["projected"],
  async create({ db, table }) {
    await db.schema.createTable(table("projected"))
      .addColumn("place", "integer").addColumn("id", "text").execute();
  },
  async handle({ data }, { db, table }) {
    const { last } = await db.selectFrom(table("projected"))
      .select((eb) => eb.fn.max("place").as("last")).executeTakeFirstOrThrow();
    await db.insertInto(table("projected"))
      .values({ place: Number(last ?? 0) + 1, id: idOf(data) }).execute();
  },
});

/** A projection, and its runner, which can be closed at any time. */
export class Projector {
  readonly #world: World;
  #runner: ProjectionRunner<ModelDatabase>;

  private constructor(world: World, runner: ProjectionRunner<ModelDatabase>) {
    this.#world = world;
    this.#runner = runner;
  }

  static async open(world: World): Promise<Projector> {
    return new Projector(world, await openRunner(world));
  }

  /** Closes its runner, and opens another beside it. */
  async restart(): Promise<void> {
    const runner = this.#runner;
    this.#runner = await openRunner(this.#world);
    await runner.close();
  }

  /** The ids that it has taken in, once it has come to a token. */
  async finish(token: number): Promise<string[]> {
    await this.#runner.whenCaughtUp(token, { timeoutMs: PATIENCE_MS });
    const rows = await this.#world.session.rows(
      "SELECT id FROM projected ORDER BY place",
      [],
    );
    return rows.map(([id]) => String(id));
  }

  close(): Promise<void> {
    return this.#runner.close();
  }
}

function openRunner(world: World): Promise<ProjectionRunner<ModelDatabase>> {
  return ProjectionRunner.open<ModelDatabase>({
    database: world.database,
    projections: [projected],
    pollIntervalMs: 10,
    maxBatchEvents: 3,
    synchronous: "normal",
    leaseMs: 120_000,
  });
}
