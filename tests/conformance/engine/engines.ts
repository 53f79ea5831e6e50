// The engines that every case of this suite runs on, once each.

import t, { type Test } from "tap";
import { WriterStore, type WriterStoreOptions } from "../../../mod.ts";
import { temporaryDatabase } from "../../support/folders.ts";
import { postgresDatabase } from "../../support/postgres.ts";

/** The tables that cases write. */
export interface CaseDatabase {
  things: { id: number; name: string | null };
  values: { id: number; value: unknown };
}

/** A writer of a case. */
export type CaseWriter = WriterStore<CaseDatabase>;

/** An engine, with a database of the case's own. */
export interface CaseEngine {
  readonly kind: "sqlite file" | "sqlite memory" | "postgres";
  readonly database: string;
  /** Opens a writer store with the table `things`; it is closed with the case. */
  open(options?: Partial<WriterStoreOptions>): Promise<CaseWriter>;
}

type Kind = CaseEngine["kind"];

/** What a case does. */
export type Case = (t: Test, engine: CaseEngine) => Promise<void>;

/** A case that can't be had everywhere; {@linkcode EXCEPTIONS} says why. */
export interface PartialCase {
  readonly except: readonly Kind[];
  readonly run: Case;
}

/** Why some cases don't run on an engine. */
export const EXCEPTIONS: Readonly<Partial<Record<Kind, string>>> = {
  "sqlite memory":
    "no other store, and no later one, can reach a database in a process's memory",
};

const DATABASES: readonly (readonly [Kind, (t: Test) => Promise<string>])[] = [
  ["sqlite file", (t) => Promise.resolve(temporaryDatabase(t))],
  ["sqlite memory", () => Promise.resolve("sqlite::memory:")],
  ["postgres", postgresDatabase],
];

/** Runs each case on each engine. */
export function conform(
  subject: string,
  cases: Readonly<Record<string, Case | PartialCase>>,
): void {
  for (const [kind, makeDatabase] of DATABASES) {
    t.test(`${subject} (${kind})`, async (t) => {
      for (const [name, each] of Object.entries(cases)) {
        const { except, run } = typeof each === "function"
          ? { except: [], run: each }
          : each;
        if (except.includes(kind)) {
          if (EXCEPTIONS[kind] === undefined) {
            t.fail(`${name}: no reason given`);
          }
          continue;
        }
        await t.test(name, async (t) => {
          const database = await makeDatabase(t);
          await run(t, { kind, database, open: (o) => open(t, database, o) });
        });
      }
    });
  }
}

async function open(
  t: Test,
  database: string,
  options: Partial<WriterStoreOptions> = {},
): Promise<CaseWriter> {
  const writer = await WriterStore.open<CaseDatabase>({
    database,
    synchronous: "normal",
    ...options,
  });
  t.teardown(() => writer.close());
  await writer.transaction("create", async ({ db }) => {
    await db.schema.createTable("things").ifNotExists()
      .addColumn("id", "integer", (column) => column.primaryKey())
      .addColumn("name", "text").execute();
  });
  return writer;
}

/** Adds a thing, in a transaction of its own. */
export function add(
  writer: CaseWriter,
  id: number,
  name: string | null = `thing ${id}`,
): ReturnType<CaseWriter["transaction"]> {
  return writer.transaction("add", async ({ db }) => {
    await db.insertInto("things").values({ id, name }).execute();
  });
}

/** The things that are there. */
export async function things(writer: CaseWriter): Promise<number[]> {
  const { result } = await writer.transaction(
    "look",
    async ({ db }) =>
      await db.selectFrom("things").select("id").orderBy("id").execute(),
  );
  return result.map(({ id }) => id);
}

/** All of an iterable. */
export async function collect<Item>(
  items: AsyncIterable<Item>,
): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** The integers from one to another. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
