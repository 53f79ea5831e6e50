// Those who read while commits are held back. Each keeps what it has been given.

import type { Test } from "tap";
import { eventsStream, SlavedStore, type WriterStore } from "../../mod.ts";
import type { Session } from "../../src/database/engine.ts";
import { openForReading } from "../../src/database/open_database.ts";
import { readLogEvents } from "../../src/events/read_events.ts";
import { readHorizon } from "../../src/log/horizon.ts";
import {
  defineProjection,
  ProjectionRunner,
} from "../../src/projections/mod.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { until } from "../support/conditions.ts";
import { type TestDatabase, Users } from "../support/stores.ts";

/** A slaved store, and what it was told of. */
export interface Reader {
  readonly slaved: SlavedStore<TestDatabase>;
  readonly users: Users;
  /** The aggregates whose events it was given, in that order; of one instance. */
  delivered(instance: string): string[];
  /** How far it has got with an instance; 0 if it never heard of it. */
  reached(instance: string): number;
}

/** Connects one. */
export async function connectReader(
  t: Test,
  database: string,
  replicate: string | readonly string[],
): Promise<Reader> {
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate,
    pollIntervalMs: 20,
    maxBackoffMs: 50,
  });
  t.teardown(() => slaved.close());
  const heard: (readonly [string, string])[] = [];
  slaved.subscribe(eventsStream, ({ instance, rows }) => {
    for (const [aggregate] of rows) heard.push([instance, aggregate]);
  });
  return {
    slaved,
    users: slaved.attach(Users),
    delivered: (wanted) =>
      heard.flatMap(([instance, id]) => instance === wanted ? [id] : []),
    reached: (instance) => slaved.position.get(instance) ?? 0,
  };
}

/** Someone who reads all events, two at a time, and goes on where it ended. */
export interface Pager {
  /** How often it has begun a page. */
  readonly begun: () => number;
  /** The aggregates of the events that it has got, in that order, once it has one. */
  until(last: string): Promise<string[]>;
}

/** Starts one. */
export function startPager(t: Test, store: WriterStore<TestDatabase>): Pager {
  const ids: string[] = [];
  let after = 0;
  let begun = 0;
  let isOver = false;
  let last: string | undefined;
  t.teardown(() => isOver = true);
  const paging = (async () => {
    while (!isOver && (last === undefined || !ids.includes(last))) {
      begun += 1;
      for await (const event of store.readEvents({ after, limit: 2 })) {
        ids.push(event.aggregate);
        after = event.token;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  return {
    begun: () => begun,
    async until(id) {
      last = id;
      await paging;
      return ids;
    },
  };
}

/** A projection that is kept up with the log. */
export interface Projecting {
  readonly runner: ProjectionRunner<TestDatabase>;
  /** The aggregates of the events that it was given, in that order. */
  readonly ids: readonly string[];
}

/** Starts one, and waits until it has looked. */
export async function startProjection(
  t: Test,
  database: string,
): Promise<Projecting> {
  const ids: string[] = [];
  const projection = defineProjection<TestDatabase>({
    name: "held",
    tables: [],
    create: () => Promise.resolve(),
    handle: ({ aggregate }) => void ids.push(aggregate),
  });
  const projections = [projection];
  const options = { database, projections, pollIntervalMs: 5 };
  const runner = await ProjectionRunner.open<TestDatabase>(options);
  t.teardown(() => runner.close());
  await until(
    "it projects",
    async () => (await runner.progress("held")).isHolding,
  );
  return { runner, ids };
}

/** A look for the horizon, which is under way. */
export interface HorizonLook {
  /** How often it has asked the server. */
  readonly queries: () => number;
  /** The horizon, and the aggregates of the events up to it, as they are then. */
  readonly found: Promise<{ token: number; ids: string[] }>;
}

/** Starts one. */
export function lookForHorizon(t: Test, database: string): HorizonLook {
  const { session, close } = openSession(database);
  t.teardown(close);
  let queries = 0;
  const counting: Session = {
    ...session,
    rows(sql, parameters) {
      queries += 1;
      return session.rows(sql, parameters);
    },
  };
  const look = async () => {
    const token = await readHorizon(counting, { clock: systemClock });
    const ids: string[] = [];
    for await (const { aggregate } of readLogEvents(session, token)) {
      ids.push(aggregate);
    }
    return { token, ids };
  };
  const found = look();
  // It may fail before anybody awaits it.
  found.catch(() => {});
  return { queries: () => queries, found };
}

function openSession(database: string) {
  const engine = openForReading<TestDatabase>(database, {});
  return { session: engine.session, close: () => engine.close() };
}
