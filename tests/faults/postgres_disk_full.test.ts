// PostgreSQL's disk is full: the caller is told so, nothing acknowledged is
// lost and nothing is there by half, and all goes on by itself once there is
// room. Real disks, in memory: only root may mount them.

import { sql } from "kysely";
import t, { type Test } from "tap";
import { HeadwaterError, WriterStore } from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { postgresDatabase, startPostgres } from "../support/postgres.ts";
import { createEntries, type EntryDatabase, type Told } from "./entries.ts";
import { startLoad } from "./load.ts";
import {
  createDatabaseOn,
  mountSmallDisk,
  moveLogTo,
  readLog,
  type SmallDisk,
  useUpLog,
} from "./small_disks.ts";

const LANES = 8;
const MEBIBYTE = 1024 * 1024;
// Each fills a quarter of a page of the table's.
const FILLING_BYTES = 1_800;
const CANNOT =
  /^Cannot run "[a-z ]+" on "postgres:.*": .*No space left on device; free some space; nothing of this transaction was kept$/;

/** How the disk becomes full, under load. */
const WAYS: Readonly<Record<string, (disk: SmallDisk) => void>> = {
  "a file takes all there is": (disk) => disk.fill(),
  "what is written takes the rest": (disk) => disk.fill(MEBIBYTE),
};

t.test("wherever disks can't be mounted: what the server says", async (t) => {
  const database = await postgresDatabase(t);
  const writer = await WriterStore.open<EntryDatabase>({ database });
  t.teardown(() => writer.close());
  let runs = 0;
  const error = await writer.transaction("say so", async ({ db }) => {
    runs += 1;
    await sql`DO $$ BEGIN RAISE 'No space left on device'
      USING ERRCODE = 'disk_full'; END $$`.execute(db);
  }).catch((caught) => caught);
  t.match(error, { code: "DATABASE_FULL", message: CANNOT });
  t.equal(runs, 1);
});

t.test("the disk of the tables", async (t) => {
  const server = await startPostgres(t);
  const openDisk = async (t: Test) => {
    const disk = mountSmallDisk(t, server, "32m");
    if (disk === undefined) t.comment("this process may not mount");
    return disk &&
      { disk, database: await createDatabaseOn(t, server, disk) };
  };

  for (const [what, fill] of Object.entries(WAYS)) {
    await t.test(`is full under load: ${what}`, async (t) => {
      const small = await openDisk(t);
      if (small === undefined) return;
      const { disk, database } = small;
      const load = await startLoad(t, database, LANES, FILLING_BYTES);
      for (let round = 0; round < 2; round += 1) {
        await load.goesOn(50);
        fill(disk);
        await load.fails(2 * LANES);
        disk.free();
        await load.goesOn(100);
      }
      const failed = load.told().filter(({ code }) => code !== undefined);
      t.same(failed.filter(isUnclear), [], "each says what to do");
      await load.end(t, ["DATABASE_FULL"]);
    });
  }

  await t.test("is full in the middle of a large transaction", async (t) => {
    const small = await openDisk(t);
    if (small === undefined) return;
    const { disk, database } = small;
    const writer = await WriterStore.open<EntryDatabase>({ database });
    t.teardown(() => writer.close());
    await createEntries(writer);
    const calls: string[] = [];
    const add = (id: string, count: number) =>
      writer.transaction("add", async (txn) => {
        calls.push(`run ${id}`);
        txn.afterCommit(() => calls.push(`committed ${id}`));
        txn.afterRollback(() => calls.push(`rolled back ${id}`));
        await txn.append(id, [{ type: "added" }]);
        await sql`INSERT INTO entries SELECT ${sql.lit(id)}, ${
          sql.lit(txn.attempt)
        }, repeat('x', ${sql.lit(FILLING_BYTES)})
          FROM generate_series(1, ${sql.lit(count)})`.execute(txn.db);
      });
    const before = await add("small", 1);
    disk.fill(2 * MEBIBYTE);
    const error = await add("large", 10_000).catch((caught) => caught);
    t.ok(error instanceof HeadwaterError);
    t.match(error, { code: "DATABASE_FULL", message: CANNOT });
    t.match(error.cause, { code: "53100" }, "the server's own is beneath");
    t.same(
      await server.run("SELECT DISTINCT id FROM entries", database),
      [["small"]],
    );
    disk.free();
    const after = await add("large", 100);
    t.ok(after.token > before.token);
    t.same(
      writer.position.get("master"),
      after.token,
      "no token stands in the way",
    );
    t.same(calls, [
      "run small",
      "committed small",
      "run large",
      "rolled back large",
      "run large",
      "committed large",
    ], "it is not tried again in vain");
    t.same(
      await server.run(
        "SELECT id, count(*)::int FROM entries GROUP BY id ORDER BY id",
        database,
      ),
      [["large", 100], ["small", 1]],
    );
  });

  await t.test("is full only for the log's record", async (t) => {
    const small = await openDisk(t);
    if (small === undefined) return;
    const { disk, database } = small;
    const writer = await WriterStore.open<EntryDatabase>({ database });
    t.teardown(() => writer.close());
    await createEntries(writer);
    // No table is touched before the log is: it fails beside the COMMIT.
    const append = (count: number) =>
      writer.transaction("append", async (txn) => {
        const data = "x".repeat(FILLING_BYTES);
        await txn.append(
          "aggregate",
          Array.from({ length: count }, () => ({ type: "added", data })),
        );
      });
    const first = await append(1);
    disk.fill();
    let acknowledged = 1;
    const error = await (async () => {
      // There is some room left in the pages that are there.
      for (let count = 0; count < 1_000; count += 1) {
        await append(20);
        acknowledged += 20;
      }
    })().catch((caught) => caught);
    t.match(error, { code: "DATABASE_FULL", message: CANNOT });
    disk.free();
    const last = await append(20);
    t.equal(writer.position.get("master"), last.token);
    let read = 0;
    for await (const { token } of writer.readAggregate("aggregate")) {
      if (token < first.token) t.fail(`token ${token}`);
      read += 1;
    }
    t.equal(read, acknowledged + 20, "what was acknowledged, and no more");
  });

  await t.test("is full to begin with", async (t) => {
    const small = await openDisk(t);
    if (small === undefined) return;
    const { disk, database } = small;
    disk.fill();
    const open = () => WriterStore.open<EntryDatabase>({ database });
    const error = await open().catch((caught) => caught);
    // PostgreSQL 13 doesn't say why it can't let anybody in.
    if (!/could not write init file; the server ended/.test(error.message)) {
      t.match(error, { code: "DATABASE_FULL", message: CANNOT });
    }
    disk.free();
    t.same(
      await server.run(
        "SELECT relname FROM pg_class WHERE relname LIKE 'headwater%'",
        database,
      ),
      [],
      "no table is made by half",
    );
    const writer = await open();
    await createEntries(writer);
    await writer.close();
  });
});

t.test("the disk of the server's own log is full", async (t) => {
  const server = await startPostgres(t, {
    settings: {
      wal_keep_size: "0",
      min_wal_size: "32MB",
      max_wal_size: "32MB",
    },
  });
  const disk = mountSmallDisk(t, server, "64m");
  if (disk === undefined) {
    t.comment("this process may not mount");
    return;
  }
  await moveLogTo(server, disk);
  const database = await server.createDatabase();
  const load = await startLoad(t, database, LANES, FILLING_BYTES);
  await load.goesOn(100);
  disk.fill();
  const since = readLog(server).length;
  const has = (line: RegExp) => line.test(readLog(server).slice(since));
  useUpLog(t, server);
  await until(
    "the server gives up for the lack of room",
    () => has(/PANIC: .* No space left on device/),
  );
  await until(
    "it can't come back either, or has found some",
    () => has(/system is (?:shut down|ready to accept connections)/),
  );
  disk.free();
  // As whoever looks after it does, if it has not come back by itself.
  await until(
    "the server is back",
    () =>
      server.start().then(() => server.run("SELECT 1")).then(
        () => true,
        () => false,
      ),
  );
  await load.goesOn(100);
  await load.end(t, ["DATABASE_UNAVAILABLE", "COMMIT_UNKNOWN"]);
});

function isUnclear({ error = "" }: Told): boolean {
  return !CANNOT.test(error.replace(/^HeadwaterError: /, ""));
}
