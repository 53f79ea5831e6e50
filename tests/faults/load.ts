// A writer under load in a process of its own, a reader that follows it, and
// what must hold of both when it is over.

import type { Test } from "tap";
import { eventsStream, SlavedStore, Store } from "../../mod.ts";
import { openForReading } from "../../src/database/open_database.ts";
import { until } from "../support/conditions.ts";
import { startProcess, type TestProcess } from "../support/processes.ts";
import type { EntryDatabase, Told } from "./entries.ts";

const loadFile = new URL("./load_process.ts", import.meta.url);

/** Reads past every cache. */
export class Entries extends Store<EntryDatabase> {
  /** How many there are. */
  async countEntries(): Promise<number> {
    const { count } = await this.db.selectFrom("entries")
      .select((eb) => eb.fn.countAll<number>().as("count"))
      .executeTakeFirstOrThrow();
    return Number(count);
  }
}

/** A writer under load. */
export interface Load {
  readonly writer: TestProcess;
  readonly slaved: SlavedStore<EntryDatabase>;
  readonly entries: Entries;
  /** What it has said of its entries so far. */
  told(): Told[];
  /** Resolves once so many more are acknowledged. */
  goesOn(count: number): Promise<void>;
  /** Resolves once so many more have failed. */
  fails(count: number): Promise<void>;
  /** Ends it, and checks what must hold. */
  end(t: Test, codes: readonly string[]): Promise<void>;
}

/** Starts one. */
export async function startLoad(
  t: Test,
  database: string,
  lanes: number,
  fillingBytes = 0,
): Promise<Load> {
  const writer = startProcess(
    t,
    loadFile,
    [database, `${lanes}`, `${fillingBytes}`],
  );
  const { url } = await writer.hear<{ url: string }>("it is open", () => true);
  const slaved = await SlavedStore.connect<EntryDatabase>({
    database,
    replicate: url,
    maxBackoffMs: 50,
  });
  t.teardown(() => slaved.close());
  const first = slaved.position.get("master") ?? 0;
  const delivered: (readonly [number, string])[] = [];
  slaved.subscribe(eventsStream, ({ token, rows }) => {
    for (const [id] of rows) delivered.push([token, id]);
  });
  const told = () => writer.messages.slice(1) as Told[];
  const count = (wanted: (told: Told) => boolean) =>
    told().filter(wanted).length;
  const more = async (
    what: string,
    least: number,
    wanted: (told: Told) => boolean,
  ) => {
    const before = count(wanted);
    await until(`${least} ${what}`, () => count(wanted) >= before + least);
  };
  return {
    writer,
    slaved,
    entries: slaved.attach(Entries),
    told,
    goesOn: (least) =>
      more("are acknowledged", least, ({ token }) => token !== undefined),
    fails: (least) => more("fail", least, ({ code }) => code !== undefined),
    async end(t, codes) {
      writer.tell("stop");
      t.equal(await writer.ended, 0, "the process lives to its end");
      t.equal(writer.errors(), "", "and nothing troubled it");
      const all = told();
      const failed = all.filter(({ code }) => code !== undefined);
      t.same(
        failed.filter(({ code = "" }) => !codes.includes(code)),
        [],
        `all failures are ${codes.join(" or ")}`,
      );
      const { data, log } = await readBack(database);
      checkOnce(t, all, data, log);
      const last = Math.max(...log.keys());
      await slaved.waitFor({ instance: "master", token: last });
      t.same(
        delivered,
        [...log].filter(([token]) => token > first),
        "every transaction was told of: once, in token order",
      );
      t.comment(`${log.size} acknowledged, ${failed.length} failed`);
    },
  };
}

/** The ids in the table, and by token in the log. */
async function readBack(database: string) {
  const engine = openForReading<EntryDatabase>(database, {});
  try {
    const rows = await engine.session.rows("SELECT id FROM entries", []);
    const records = await engine.session.rows(
      "SELECT token, body FROM headwater_log WHERE stream = 'events' ORDER BY token",
      [],
    );
    return {
      data: rows.map(([id]) => String(id)),
      log: new Map(
        records.map(([token, body]) => [
          Number(token),
          String(JSON.parse(String(body))[0]),
        ]),
      ),
    };
  } finally {
    await engine.close();
  }
}

/** Nothing acknowledged is lost, nothing is there twice, or by half. */
function checkOnce(
  t: Test,
  all: readonly Told[],
  data: readonly string[],
  log: ReadonlyMap<number, string>,
): void {
  const ids = new Set(data);
  t.equal(data.length, ids.size, "no entry is there twice");
  t.same([...log.values()].toSorted(), data.toSorted(), "log and data agree");
  t.same(
    all.filter(({ id, token }) => token !== undefined && log.get(token) !== id),
    [],
    "nothing acknowledged is lost",
  );
  t.same(
    all.filter(({ id, code }) =>
      code !== undefined && code !== "COMMIT_UNKNOWN" && ids.has(id)
    ),
    [],
    "nothing that failed is there",
  );
}
