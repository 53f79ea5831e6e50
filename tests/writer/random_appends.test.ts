// PostgreSQL: whatever goes together or follows what isn't committed yet, every
// acknowledged append is there once, whole, under its versions and its token;
// what failed is nowhere; and no aggregate has a gap. Two writers append to the
// same aggregates while functions throw and connections end.
//
// APPENDS_RUNS=500 makes more runs, APPENDS_SEED=1 the same again.

import process from "node:process";
import fc from "fast-check";
import { sql } from "kysely";
import postgres from "postgres";
import t from "tap";
import { WriterStore } from "../../mod.ts";
import type { ExpectedVersion } from "../../src/events/version_conflict.ts";
import { postgresDatabase } from "../support/postgres.ts";

const { APPENDS_RUNS = "12", APPENDS_SEED } = process.env;

type Writer = WriterStore<Record<string, never>>;

/** What a transaction does, in order. */
interface Step {
  readonly aggregate: number;
  readonly events: number;
  readonly expected: ExpectedVersion;
}

interface Transaction {
  readonly writer: number;
  readonly steps: readonly Step[];
  /** Where it runs a statement of its own: before or after its appends. */
  readonly statement: "none" | "before" | "after";
  /** How often the function throws before it succeeds; or for ever. */
  readonly end: "commit" | "throw" | "close";
  /** Turns of the event loop that its function takes after its first step. */
  readonly turns: number;
}

/** What was said of one. */
interface Told {
  readonly id: string;
  readonly error: unknown;
  readonly token: number | undefined;
  readonly versions: ReadonlyMap<string, number>;
}

const step = fc.record<Step>({
  aggregate: fc.nat(3),
  events: fc.integer({ min: 1, max: 3 }),
  expected: fc.oneof(
    { weight: 6, arbitrary: fc.constant<ExpectedVersion>("any") },
    {
      weight: 1,
      arbitrary: fc.constantFrom<ExpectedVersion>("none", "exists"),
    },
    { weight: 1, arbitrary: fc.nat(12) },
  ),
});
const transaction = fc.record<Transaction>({
  writer: fc.constantFrom(0, 0, 0, 1),
  steps: fc.array(step, { minLength: 0, maxLength: 3 }),
  statement: fc.constantFrom("none", "none", "none", "before", "after"),
  end: fc.constantFrom(
    "commit",
    "commit",
    "commit",
    "commit",
    "throw",
    "close",
  ),
  turns: fc.constantFrom(0, 0, 0, 1, 3),
});
/** Those of a wave begin in one turn; "cut" ends the server's side of all connections. */
const wave = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.array(transaction, { minLength: 1, maxLength: 40 }),
  },
  { weight: 1, arbitrary: fc.constant("cut" as const) },
);

t.setTimeout(0);
t.test("random appends", async (t) => {
  const database = await postgresDatabase(t);
  const outside = postgres(database, { max: 1, onnotice: () => {} });
  t.teardown(() => outside.end());
  const writers: Writer[] = [];
  for (const instance of ["one", "two"]) {
    const writer = await WriterStore.open<Record<string, never>>({
      database,
      instance,
      maxAttempts: 20,
    });
    t.teardown(() => writer.close());
    writers.push(writer);
  }
  const boom = new Error("boom");
  let count = 0;
  let acknowledged = 0;
  const seed = APPENDS_SEED === undefined
    ? Math.floor(Math.random() * 2 ** 31)
    : Number(APPENDS_SEED);
  t.comment(`APPENDS_SEED=${seed} APPENDS_RUNS=${APPENDS_RUNS}`);

  async function run(run: string, planned: Transaction): Promise<Told> {
    const id = `${run}-${count += 1}`;
    const versions = new Map<string, number>();
    const told = { id, versions, token: undefined, error: undefined };
    try {
      const { token } = await (writers[planned.writer] as Writer).transaction(
        "random",
        async (txn) => {
          versions.clear();
          const look = () => sql`SELECT 1`.execute(txn.db);
          if (planned.statement === "before") await look();
          txn.invalidate("get_user_by_id", [id]);
          for (const [index, step] of planned.steps.entries()) {
            const { aggregate, expected: expectedVersion } = step;
            const name = `${run}:${aggregate}`;
            const events = Array.from({ length: step.events }, (_, number) => ({
              type: "happened",
              data: { id, index, number },
            }));
            versions.set(
              name,
              await txn.append(name, events, { expectedVersion }),
            );
            for (let turn = 0; index === 0 && turn < planned.turns; turn += 1) {
              await new Promise((resolve) => setImmediate(resolve));
            }
          }
          if (planned.statement === "after") await look();
          if (planned.end === "throw") throw boom;
          if (planned.end === "close" && planned.steps.length > 2) {
            await txn.closeAggregate(`${run}:${planned.steps[0]?.aggregate}`);
          }
        },
      );
      return { ...told, token };
    } catch (error) {
      return { ...told, error };
    }
  }

  /** What stands in the log, compared with what was said. */
  async function compare(run: string, all: readonly Told[]): Promise<void> {
    const found = new Map<string, Set<number>>();
    const last = new Map<string, Map<string, number>>();
    for (const aggregate of [0, 1, 2, 3]) {
      const name = `${run}:${aggregate}`;
      let [version, token] = [0, 0];
      for await (const event of (writers[0] as Writer).readAggregate(name)) {
        version += 1;
        if (event.version !== version) throw new Error(`${name}: a gap`);
        if (event.token < token) throw new Error(`${name}: tokens go back`);
        token = event.token;
        if (event.type !== "happened") continue;
        const { id } = event.data as { id: string };
        found.set(id, (found.get(id) ?? new Set()).add(token));
        const own = last.get(id) ?? new Map<string, number>();
        last.set(id, own.set(name, version));
      }
    }
    for (const { id, error, token, versions } of all) {
      const tokens = [...found.get(id) ?? []];
      const { code } = Object(error) as { code?: unknown };
      if (error === undefined) {
        acknowledged += 1;
        if (versions.size > 0 && (tokens.length !== 1 || tokens[0] !== token)) {
          throw new Error(`${id}: told ${token}, found ${tokens}`);
        }
        for (const [name, version] of versions) {
          if (last.get(id)?.get(name) !== version) {
            throw new Error(`${id}: told version ${version} of ${name}`);
          }
        }
      } else if (tokens.length > (code === "COMMIT_UNKNOWN" ? 1 : 0)) {
        throw new Error(`${id}: failed with ${error}, found ${tokens}`);
      }
      if (error !== undefined && error !== boom && !EXPECTED.has(`${code}`)) {
        throw error;
      }
    }
  }

  const property = fc.asyncProperty(
    fc.array(wave, { minLength: 1, maxLength: 5 }),
    async (waves) => {
      const name = `run${count += 1}`;
      const running: Promise<Told>[] = [];
      for (const wave of waves) {
        if (wave === "cut") {
          await outside.unsafe(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity " +
              "WHERE datname = current_database() AND pid <> pg_backend_pid()",
          );
        } else {
          for (const planned of wave) running.push(run(name, planned));
          await running.at(-1);
        }
      }
      await compare(name, await Promise.all(running));
    },
  );
  const numRuns = Number(APPENDS_RUNS);
  // What runs beside each other is not the same twice: it would shrink to nothing.
  await fc.assert(property, { seed, numRuns, endOnFailure: true });
  t.ok(acknowledged > numRuns, `${acknowledged} were acknowledged`);
  const { retries, commits } = (writers[0] as Writer).stats;
  t.ok(retries > 0, `${retries} of ${commits} were run again`);
});

/** What a transaction may be told. */
const EXPECTED = new Set([
  "AGGREGATE_CLOSED",
  "COMMIT_UNKNOWN",
  "DATABASE_BUSY",
  "DATABASE_UNAVAILABLE",
  "VERSION_CONFLICT",
]);
