// Files and disks as they should not be: a clear error, nothing kept of what
// failed, and on it goes once the cause is gone.

import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import t from "tap";
import { openForReading } from "../../src/database/open_database.ts";
import {
  addThing,
  openEngine,
  openThings,
  readIds,
  type ThingDatabase,
} from "../support/engines.ts";
import { temporaryFolder } from "../support/folders.ts";
import { makeReadOnly, mountDisk } from "../support/mounts.ts";

t.test("a file that is no database is refused, and left as it is", (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, "notes.txt");
  const text = "Not a database, but long enough to be taken for one. ".repeat(
    9,
  );
  writeFileSync(path, text);
  const error = {
    code: "DATABASE_INVALID",
    message: `Cannot open database "${path}": file is not a database; ` +
      "give the path of an SQLite database, or restore it from a backup",
  };
  t.throws(() => openEngine(t, `sqlite:${path}`), error);
  t.throws(() => openForReading(`sqlite:${path}`, {}), error);
  t.equal(readFileSync(path, "utf8"), text);
  t.same(readdirSync(folder), ["notes.txt"]);
  t.end();
});

t.test("a file that can't be used is not held open", {
  skip: existsSync("/proc/self/fd") ? false : "there is no /proc here",
}, (t) => {
  const path = join(temporaryFolder(t), "notes.txt");
  writeFileSync(path, "not a database ".repeat(100));
  for (let round = 0; round < 5; round += 1) {
    t.throws(() => openEngine(t, `sqlite:${path}`));
  }
  const open = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      // It was the folder's own.
      return "";
    }
  });
  t.notOk(open.includes(path));
  t.end();
});

t.test("a corrupted database is told as such, wherever it is noticed", async (t) => {
  const path = join(temporaryFolder(t), "test.db");
  const whole = await openThings(t, `sqlite:${path}`, {}, 500);
  await whole.close();
  const file = openSync(path, "r+");
  // Past the first page, which is read when the file is opened.
  writeSync(file, new Uint8Array(8_192).fill(0xa5), 0, 8_192, 4_096);
  closeSync(file);
  const error = {
    code: "DATABASE_INVALID",
    message: /^Cannot (read|run "add" on) ".*test\.db": .*malformed; give the/,
  };
  const engine = openEngine(t, `sqlite:${path}`);
  await t.rejects(readIds(engine.db), error, "a read");
  for (let round = 0; round < 10; round += 1) {
    // More often than there are connections: each is given back, or replaced.
    await t.rejects(
      engine.db.transaction().execute((trx) => readIds(trx)),
      error,
      "a read transaction",
    );
  }
  t.throws(() => engine.session.rows("SELECT * FROM things", []), error);
  await t.rejects(
    engine.transaction("add", ({ db }) => addThing(db, 1_000)),
    error,
    "a transaction",
  );
});

t.test("a folder that isn't there, or is the database, is told", (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "sub"));
  for (const path of [join(folder, "no", "test.db"), join(folder, "sub")]) {
    const error = {
      code: "DATABASE_UNAVAILABLE",
      message:
        /^Cannot open database ".*": (unable to open database file|disk I\/O error).*; check that /,
    };
    t.throws(() => openEngine(t, `sqlite:${path}`), error, path);
    t.throws(() => openForReading(`sqlite:${path}`, {}), error, path);
  }
  t.same(readdirSync(folder), ["sub"]);
  t.end();
});

t.test("a slaved store's side never creates the file", (t) => {
  const folder = temporaryFolder(t);
  t.throws(() => openForReading(`sqlite:${join(folder, "test.db")}`, {}), {
    code: "DATABASE_UNAVAILABLE",
  });
  t.same(readdirSync(folder), []);
  t.end();
});

t.test("a read-only folder is told", async (t) => {
  const folder = mountDisk(t, "size=4m") ?? temporaryFolder(t);
  const path = join(folder, "old.db");
  const engine = await openThings(t, `sqlite:${path}`);
  await engine.close();
  if (!makeReadOnly(t, folder)) {
    t.comment("root can write everywhere, and may not mount here");
    return;
  }
  for (const name of ["old.db", "new.db"]) {
    t.throws(() => openEngine(t, `sqlite:${join(folder, name)}`), {
      code: "DATABASE_UNAVAILABLE",
      message: /check that the folder exists and that this process may write/,
    }, name);
  }
  t.same(readdirSync(folder), ["old.db"]);
});

t.test("a full disk: nothing is kept, and on it goes once there is room", async (t) => {
  const folder = mountDisk(t, "size=1m");
  if (folder === undefined) {
    t.comment("this process may not mount");
    return;
  }
  const engine = await openThings(t, `sqlite:${join(folder, "test.db")}`);
  const ballast = join(folder, "ballast");
  writeFileSync(ballast, new Uint8Array(500_000));
  const error = {
    code: "DATABASE_FULL",
    message:
      /^Cannot run "add" on ".*": database or disk is full; free some space; nothing of this transaction was kept$/,
  };
  const add = (id: number, rows = 1) =>
    engine.transaction("add", async ({ db }) => {
      for (let row = 0; row < rows; row += 1) {
        await db.insertInto("things")
          .values({ id: id + row, name: "x".repeat(3_000) }).execute();
      }
    });
  const kept = [1, 2, 3];
  let id = 4;
  await t.rejects(
    async () => {
      while (true) {
        await add(id);
        kept.push(id);
        id += 1;
      }
    },
    error,
    "a small transaction at last",
  );
  t.ok(kept.length > 10);
  t.same(await readIds(engine.db), kept);
  await t.rejects(add(id, 1_000), error, "a large one, midway");
  t.same(await readIds(engine.db), kept);
  rmSync(ballast);
  await add(id, 3);
  kept.push(id, id + 1, id + 2);
  t.same(await readIds(engine.db), kept);
});

t.test("no room to begin with", (t) => {
  const folder = mountDisk(t, "size=64k");
  if (folder === undefined) {
    t.comment("this process may not mount");
    t.end();
    return;
  }
  fill(join(folder, "ballast"));
  t.throws(() => openEngine(t, `sqlite:${join(folder, "test.db")}`), {
    code: "DATABASE_FULL",
    message: /^Cannot open database ".*" for writing: .*; free some space/,
  });
  t.end();
});

t.test("the library's own failures are not blamed on the user's SQL", async (t) => {
  const engine = await openThings(t);
  const own = engine.transaction(
    "mistake",
    ({ db }) =>
      db.insertInto("things").values({ id: 1, name: "twice" }).execute(),
  );
  await t.rejects(own, { code: "ERR_SQLITE_ERROR", message: /UNIQUE/ });
  type Missing = ThingDatabase & { missing: { id: number } };
  const unknown = (engine as unknown as typeof engine & {
    db: {
      selectFrom(
        table: keyof Missing,
      ): { selectAll(): { execute(): Promise<unknown> } };
    };
  }).db.selectFrom("missing").selectAll().execute();
  await t.rejects(unknown, {
    code: "ERR_SQLITE_ERROR",
    message: /no such table/,
  });
});

function fill(path: string): void {
  const file = openSync(path, "w");
  try {
    while (true) writeSync(file, new Uint8Array(4_096));
  } catch {
    // That's what is wanted.
  } finally {
    closeSync(file);
  }
  if (statSync(path).size === 0) throw new RangeError("nothing was filled");
}
