// What is in the log comes into the database file: while it is written, and
// once it isn't any more.

import { statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import t from "tap";
import { SqliteCheckpointer } from "../../src/database/sqlite_checkpointer.ts";
import { until } from "../support/conditions.ts";
import { temporaryFolder } from "../support/folders.ts";
import { manualClock } from "../support/manual_clock.ts";

const MEBIBYTE = 1024 * 1024;

t.test("a log that is written no more is checkpointed, and looked at no more", async (t) => {
  const path = `${temporaryFolder(t)}/test.db`;
  const database = new DatabaseSync(path);
  t.teardown(() => database.close());
  database.exec(
    "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; " +
      "CREATE TABLE things (body TEXT)",
  );
  const clock = manualClock();
  const failures: unknown[] = [];
  const checkpointer = new SqliteCheckpointer(
    path,
    clock,
    (error) => failures.push(error),
  );
  const write = (bytes: number) => {
    database.prepare("INSERT INTO things VALUES (?)").run("x".repeat(bytes));
    t.equal(checkpointer.committed(), undefined, "nobody is held");
  };
  const size = () => statSync(path).size;

  write(MEBIBYTE);
  const before = size();
  clock.advance(5_000);
  write(8 * MEBIBYTE);
  t.equal(size(), before, "neither a short log, nor at once");
  clock.advance(1_000);
  await until("it is in the file", () => size() > 9 * MEBIBYTE);
  t.equal(clock.timers, 1);
  await checkpointer.close();
  t.equal(clock.timers, 0);
  t.same(failures, []);
});

t.test("a log that many commits are written to is checkpointed meanwhile", async (t) => {
  const path = `${temporaryFolder(t)}/test.db`;
  const database = new DatabaseSync(path);
  t.teardown(() => database.close());
  database.exec(
    "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; " +
      "PRAGMA synchronous = off; CREATE TABLE things (body TEXT)",
  );
  const checkpointer = new SqliteCheckpointer(
    path,
    manualClock(),
    (error) => t.fail(String(error)),
  );
  const insert = database.prepare("INSERT INTO things VALUES (?)");
  const before = statSync(path).size;
  for (let commit = 0; commit < 4_000; commit += 1) {
    insert.run("x".repeat(1_000));
    await checkpointer.committed();
  }
  await until(
    "it is in the file",
    () => statSync(path).size > before + MEBIBYTE,
  );
  await checkpointer.close();
});
