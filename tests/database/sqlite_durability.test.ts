// SQLite's log file has room for the commits that are to come, and what is in
// that room is none.

import { copyFileSync, statSync, truncateSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import t from "tap";
import { WriterStore } from "../../mod.ts";
import { openAdmin } from "../../src/admin/mod.ts";
import { LOG_ROOM_BYTES } from "../../src/runtime/limits.ts";
import { temporaryFolder } from "../support/folders.ts";

const FRAME_BYTES = 4_096 + 24;
const COMMITS = 300;

t.test("an fsync seldom finds that the log file is longer", async (t) => {
  const folder = temporaryFolder(t);
  const path = `${folder}/app.db`;
  const writer = await WriterStore.open({ database: `sqlite:${path}` });
  t.teardown(() => writer.close());
  const log = `${path}-wal`;
  const lengths = new Set<number>();
  for (let n = 1; n <= COMMITS; n += 1) {
    await writer.transaction("add", (txn) => txn.append("a:1", [one(n)]));
    lengths.add(statSync(log).size);
  }
  t.ok(lengths.size < COMMITS / 10, `${lengths.size} lengths`);

  // What a crash leaves: no index of the log, so that it is read from its file.
  const copy = (name: string, bytes?: number) => {
    const to = `${folder}/${name}.db`;
    copyFileSync(path, to);
    copyFileSync(log, `${to}-wal`);
    if (bytes !== undefined) truncateSync(`${to}-wal`, bytes);
    const database = new DatabaseSync(to);
    t.teardown(() => database.close());
    const events = database
      .prepare("SELECT count(*) AS n FROM headwater_appends").get()?.["n"];
    const integrity = database
      .prepare("PRAGMA integrity_check").get()?.["integrity_check"];
    t.equal(integrity, "ok");
    return events;
  };
  t.equal(copy("whole"), COMMITS);
  const used = usedBytes(path);
  t.equal(copy("without room", used), COMMITS, "the room is of no use to it");
  t.equal(copy("shorter", used - 1), COMMITS - 1);
  t.ok(statSync(log).size - used <= LOG_ROOM_BYTES, "which is bounded");
});

t.test("several writers of one file leave each other's commits alone", async (t) => {
  const database = `sqlite:${temporaryFolder(t)}/app.db`;
  const writers = await Promise.all(
    ["a", "b", "c"].map((instance) =>
      WriterStore.open({ database, instance, queueTimeoutMs: 60_000 })
    ),
  );
  t.teardown(() => Promise.all(writers.map((writer) => writer.close())));
  await Promise.all(
    writers.flatMap((writer) =>
      Array.from(
        { length: COMMITS },
        (_, n) =>
          writer.transaction("add", (txn) =>
            txn.append(`${writer.instance}:1`, [one(n)])),
      )
    ),
  );
  for (const writer of writers) {
    const { version } = await writer.aggregate(`${writer.instance}:1`)
      .fold(0, (sum) => sum + 1);
    t.equal(version, COMMITS);
  }
  await using admin = await openAdmin(database);
  t.same((await admin.verify()).problems, []);
});

function one(n: number) {
  return { type: "added", data: { n } };
}

/** What its index says of the log: frames, in a header of 32 bytes. */
function usedBytes(path: string): number {
  const reader = new DatabaseSync(path);
  try {
    const state = reader.prepare("PRAGMA wal_checkpoint(PASSIVE)").get();
    return 32 + Number(state?.["log"]) * FRAME_BYTES;
  } finally {
    reader.close();
  }
}
