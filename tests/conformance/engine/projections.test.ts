// Tables made of events: in the write's own transaction, and behind it.

import type { Test } from "tap";
import {
  defineProjection,
  type Projection,
  ProjectionRunner,
  type ProjectionRunnerOptions,
} from "../../../src/projections/mod.ts";
import { until } from "../../support/conditions.ts";
import { type Case, type CaseWriter, conform, range } from "./engines.ts";

interface Database {
  sums: { n: number };
}

/** Keeps each event's number; of those that it is told, it fails at first. */
function sums(failing = new Set<number>()): Projection<Database> {
  return defineProjection<Database>({
    name: "sums",
    tables: ["sums"],
    async create({ db, table }) {
      await db.schema.createTable(table("sums"))
        .addColumn("n", "integer", (column) => column.notNull()).execute();
    },
    async handle({ data }, { db, table }) {
      await db.insertInto(table("sums")).values({ n: Number(data) }).execute();
      if (failing.has(Number(data))) throw new RangeError(`no ${data}`);
    },
  });
}

const append = async (writer: CaseWriter, ...numbers: number[]) => {
  let commit = { token: 0 };
  for (const n of numbers) {
    commit = await writer.transaction(
      "append",
      (txn) => txn.append(`a:${n % 3}`, [{ type: "x", data: n }]),
    );
  }
  return commit;
};

async function read(writer: CaseWriter): Promise<number[]> {
  const { result } = await writer.transaction(
    "read",
    async ({ db }) =>
      await db.selectFrom("sums" as "things").select("n" as "id")
        .orderBy("n" as "id").execute(),
  );
  return result.map((row) => Number((row as unknown as { n: number }).n));
}

async function run(
  t: Test,
  database: string,
  projection: Projection<Database>,
  options: Partial<ProjectionRunnerOptions<Database>> = {},
): Promise<ProjectionRunner<Database>> {
  const runner = await ProjectionRunner.open<Database>({
    database,
    projections: [projection],
    pollIntervalMs: 10,
    ...options,
  });
  t.teardown(() => runner.close());
  return runner;
}

// A runner is a store of its own.
const behind = (run: Case) => ({ except: ["sqlite memory"] as const, run });

conform("projections", {
  "are written with the write": async (t, { open }) => {
    const writer = await open();
    await append(writer, 1, 2);
    await writer.project(sums() as never);
    await append(writer, 3, 4);
    t.same(await read(writer), [1, 2, 3, 4]);
  },
  "fail the write if they fail": async (t, { open }) => {
    const writer = await open();
    await writer.project(sums(new Set([2])) as never);
    await append(writer, 1);
    await t.rejects(append(writer, 2), { message: /no 2/ });
    await append(writer, 3);
    t.same(await read(writer), [1, 3]);
    t.equal((await writer.aggregate("a:2").fold(0, (n) => n + 1)).version, 0);
  },
  "take each event once, over restarts": behind(
    async (t, { open, database }) => {
      const writer = await open();
      for (const round of [0, 1, 2]) {
        const runner = await run(t, database, sums());
        const commit = await append(
          writer,
          ...range(10 * round + 1, 10 * round + 10),
        );
        if (round < 2) await runner.close();
        else await runner.whenCaughtUp(commit as never);
      }
      t.same(await read(writer), range(1, 30));
    },
  ),
  "park what fails, and take it once it doesn't": behind(
    async (t, { open, database }) => {
      const writer = await open();
      const failing = new Set([2]);
      const runner = await run(t, database, sums(failing), { maxTries: 2 });
      await runner.whenCaughtUp(await append(writer, 1, 2, 3) as never);
      t.same(await read(writer), [1, 3]);
      failing.clear();
      t.equal(await runner.retryParked("sums"), 1);
      await until("it is taken", async () => (await read(writer)).length === 3);
      t.same(await read(writer), [1, 2, 3]);
    },
  ),
  "are rebuilt while they serve": behind(async (t, { open, database }) => {
    const writer = await open();
    const runner = await run(t, database, sums());
    await runner.whenCaughtUp(await append(writer, ...range(1, 20)) as never);
    for (const round of [1, 2]) {
      await runner.rebuild("sums");
      await append(writer, 20 + round);
      const done = async () =>
        (await runner.progress("sums")).rebuild === undefined;
      await until("it is rebuilt", done);
    }
    await runner.whenCaughtUp(await append(writer, 23) as never);
    t.same(await read(writer), range(1, 23));
  }),
});
