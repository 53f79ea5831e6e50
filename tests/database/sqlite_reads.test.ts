// Reads: fresh unless they ask for a snapshot, which is then theirs alone.
// One read that held its snapshot for the others would let a cache keep an
// old value after its invalidation.

import { type Kysely, sql } from "kysely";
import { renameSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { Engine } from "../../src/database/engine.ts";
import { openForReading } from "../../src/database/open_database.ts";
import { deferred } from "../../src/runtime/waiting.ts";
import {
  addThing,
  openThings,
  readIds,
  type ThingDatabase,
} from "../support/engines.ts";
import { temporaryFolder } from "../support/folders.ts";

function add(engine: Engine<ThingDatabase>, id: number): Promise<void> {
  return engine.transaction("add", ({ db }) => addThing(db, id));
}

/** Runs raw SQL, which reads refuse by their type already. */
function run(text: string, db: unknown): Promise<unknown> {
  return sql.raw(text).execute(db as Kysely<ThingDatabase>);
}

t.test("an open stream has a snapshot of its own, plain reads stay fresh", async (t) => {
  const engine = await openThings(t, undefined, undefined, 300);
  const seen: number[] = [];
  let next = 301;
  const rows = engine.db.selectFrom("things").select("id").orderBy("id");
  for await (const { id } of rows.stream(1)) {
    seen.push(id);
    if (id % 100 !== 0) continue;
    await add(engine, next);
    const ids = await readIds(engine.db);
    t.equal(ids.at(-1), next, "a plain read sees the last commit");
    t.equal(
      (await engine.session.rows("SELECT max(id) FROM things", []))[0]?.[0],
      next,
      "and so does the library's own",
    );
    next += 1;
  }
  t.same(seen, Array.from({ length: 300 }, (_, index) => index + 1));
});

t.test("a read transaction has a snapshot of its own, plain reads stay fresh", async (t) => {
  const engine = await openThings(t);
  await engine.db.transaction().execute(async (trx) => {
    t.same(await readIds(trx), [1, 2, 3]);
    await add(engine, 4);
    t.same(await readIds(engine.db), [1, 2, 3, 4], "beside it");
    t.same(await readIds(trx), [1, 2, 3], "within it");
    const streamed: number[] = [];
    for await (const { id } of trx.selectFrom("things").select("id").stream()) {
      streamed.push(id);
    }
    t.same(streamed, [1, 2, 3], "streamed within it");
  });
  const ids = await engine.db.transaction().execute((trx) => readIds(trx));
  t.same(ids, [1, 2, 3, 4], "the next one sees the last commit");
});

t.test("a read transaction that fails gives its connection back", async (t) => {
  const engine = await openThings(t, undefined, { maxReadConnections: 1 });
  for (let round = 0; round < 3; round += 1) {
    const failing = engine.db.transaction().execute(async (trx) => {
      await readIds(trx);
      throw new RangeError(`round ${round}`);
    });
    await t.rejects(failing, { message: `round ${round}` });
    await add(engine, 10 + round);
    const ids = await engine.db.transaction().execute((trx) => readIds(trx));
    t.equal(ids.at(-1), 10 + round);
  }
});

t.test("a stream left open in a read transaction doesn't hold back the next one", async (t) => {
  const engine = await openThings(t, undefined, { maxReadConnections: 1 });
  const leaked: AsyncIterator<{ id: number }>[] = [];
  await engine.db.transaction().execute(async (trx) => {
    const rows = trx.selectFrom("things").select("id").stream(1);
    leaked.push(rows[Symbol.asyncIterator]());
    t.match(await leaked[0]?.next(), { done: false });
  });
  await add(engine, 4);
  const ids = await engine.db.transaction().execute((trx) => readIds(trx));
  t.same(ids, [1, 2, 3, 4]);
  await t.rejects(Promise.resolve(leaked[0]?.next()), {
    code: "TRANSACTION_ENDED",
  }, "it doesn't end as if it had given every row");
});

t.test("a stream that is broken off gives its connection back", async (t) => {
  const engine = await openThings(t, undefined, { maxReadConnections: 1 });
  for (let round = 4; round < 10; round += 1) {
    for await (
      const { id } of engine.db.selectFrom("things").select("id").stream(1)
    ) {
      t.equal(id, 1);
      break;
    }
    await add(engine, round);
  }
  const ids = await engine.db.transaction().execute((trx) => readIds(trx));
  t.equal(ids.at(-1), 9);
});

t.test("more read transactions than connections wait for their turn", async (t) => {
  const engine = await openThings(t, undefined, { maxReadConnections: 2 });
  let open = 0;
  let most = 0;
  const read = () =>
    engine.db.transaction().execute(async (trx) => {
      open += 1;
      most = Math.max(most, open);
      await readIds(trx);
      await new Promise((resolve) => setImmediate(resolve));
      open -= 1;
    });
  await Promise.all(Array.from({ length: 10 }, read));
  t.equal(most, 2);
});

t.test("reads can't write", async (t) => {
  const engine = await openThings(t);
  const texts = [
    "INSERT INTO things VALUES (9, 'x')",
    "INSERT INTO things VALUES (9, 'x') RETURNING id",
    "DELETE FROM things",
    "CREATE TABLE more (id INTEGER)",
    "PRAGMA user_version = 5",
  ];
  for (const text of texts) {
    const error = { code: "DATABASE_READ_ONLY" };
    await t.rejects(run(text, engine.db), error, text);
    await t.rejects(
      engine.db.transaction().execute((trx) => run(text, trx)),
      error,
      `${text} in a transaction`,
    );
  }
  t.same(await readIds(engine.db), [1, 2, 3]);
});

t.test("a plain read begins no transaction, which would hold a snapshot for all", async (t) => {
  const engine = await openThings(t);
  await t.rejects(run("BEGIN", engine.db), { code: "INVALID_ARGUMENT" });
  await readIds(engine.db);
  await add(engine, 4);
  t.same(await readIds(engine.db), [1, 2, 3, 4]);
});

t.test("reads go on once a file that was away for a moment is back", async (t) => {
  const path = join(temporaryFolder(t), "test.db");
  const writing = await openThings(t, `sqlite:${path}`);
  await writing.close();
  const reads = openForReading<ThingDatabase>(`sqlite:${path}`, {});
  t.teardown(() => reads.close());
  t.same(await readIds(reads.db), [1, 2, 3]);
  t.notOk(reads.reopenIfReplaced());
  renameSync(path, `${path}.away`);
  for (const time of ["once", "twice"]) {
    t.throws(
      () => reads.reopenIfReplaced(),
      { code: "DATABASE_UNAVAILABLE" },
      time,
    );
  }
  renameSync(`${path}.away`, path);
  t.ok(reads.reopenIfReplaced(), "what was read before may be of another");
  t.same(await readIds(reads.db), [1, 2, 3]);
  t.same(await reads.session.rows("SELECT max(id) FROM things", []), [[3]]);
  t.notOk(reads.reopenIfReplaced());
});

t.test("close() ends what is open, with a clear error", async (t) => {
  const engine = await openThings(t, undefined, { maxReadConnections: 2 });
  const hold = deferred<void>();
  const reading = engine.db.transaction().execute(async (trx) => {
    await readIds(trx);
    await hold.promise;
    await readIds(trx);
  });
  const rows = engine.db.selectFrom("things").select("id").stream(1);
  const streamed = rows[Symbol.asyncIterator]();
  await streamed.next();
  const waiting = engine.db.transaction().execute((trx) => readIds(trx));
  await engine.close();
  await engine.close();
  hold.resolve();
  await t.rejects(reading, { code: "CLOSED" });
  await t.rejects(streamed.next(), { code: "TRANSACTION_ENDED" });
  await t.rejects(waiting, { code: "CLOSED" });
  await t.rejects(readIds(engine.db), { code: "CLOSED" });
  await t.rejects(
    engine.db.transaction().execute((trx) => readIds(trx)),
    { code: "CLOSED" },
  );
});
