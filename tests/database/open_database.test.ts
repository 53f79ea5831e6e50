// Connection strings choose the database; what is none says what one is.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import t from "tap";
import {
  openDatabase,
  openForReading,
} from "../../src/database/open_database.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { addThing, openThings, readIds } from "../support/engines.ts";
import { temporaryFolder } from "../support/folders.ts";

t.test("openDatabase() and openForReading() refuse other schemes", (t) => {
  const urls = [
    "",
    "app.db",
    "sqlite",
    "sqlite:",
    "SQLITE:app.db",
    "postgres:app",
    "mysql://localhost/app",
    undefined,
    5,
  ];
  for (const url of urls) {
    const error = {
      code: "INVALID_ARGUMENT",
      message: `Cannot open database ${
        JSON.stringify(String(url))
      }: the schemes are sqlite:FILE, sqlite::memory: and postgres://USER@HOST/DATABASE`,
    };
    t.throws(() => openDatabase(url as string, systemClock, {}), error);
    t.throws(() => openForReading(url as string, {}), error);
  }
  t.end();
});

t.test("sqlite:FILE is shared by everybody who opens it", async (t) => {
  const path = join(temporaryFolder(t), "with space é?#.db");
  const engine = await openThings(t, `sqlite:${path}`);
  const reads = openForReading<{ things: { id: number; name: string } }>(
    `sqlite:${path}`,
    {},
  );
  t.teardown(() => reads.close());
  t.same(await readIds(reads.db), [1, 2, 3]);
  await engine.transaction("add", ({ db }) => addThing(db, 4));
  t.same(await readIds(reads.db), [1, 2, 3, 4]);
  await engine.close();
  t.same(await readIds(reads.db), [1, 2, 3, 4], "without its writer, too");
});

t.test("sqlite::memory: is private, and gone after close()", async (t) => {
  const folder = temporaryFolder(t);
  const before = process.env["TMPDIR"];
  process.env["TMPDIR"] = folder;
  t.teardown(() => {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
  });
  const first = await openThings(t, "sqlite::memory:");
  const second = await openThings(t, "sqlite::memory:", {}, 1);
  await first.transaction("add", async ({ db }) => {
    await addThing(db, 4);
    t.same(await readIds(first.db), [1, 2, 3], "reads don't wait there either");
  });
  t.same(await readIds(first.db), [1, 2, 3, 4]);
  t.same(await readIds(second.db), [1]);
  t.equal(readdirSync(folder).length, 2);
  await first.close();
  await second.close();
  t.same(readdirSync(folder), [], "nothing is left on the disk");
});

t.test("sqlite::memory: is none for a slaved store", (t) => {
  t.throws(() => openForReading("sqlite::memory:", {}), {
    code: "INVALID_ARGUMENT",
    message:
      'Cannot open "sqlite::memory:" in a slaved store: no other process can ' +
      "reach it; give both sides the same sqlite:FILE",
  });
  t.end();
});
