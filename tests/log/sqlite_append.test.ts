// Tokens only ever go up: over rollbacks, over the end of a process, even if
// somebody deletes the log's end. And only the holder of the name gets any.

import { sql } from "kysely";
import t from "tap";
import type { SyncCommitSession } from "../../src/database/engine.ts";
import { releaseLease } from "../../src/log/lease.ts";
import { LogAppender } from "../../src/log/sqlite_append.ts";
import { parseToken, TOKEN_ZERO } from "../../src/tokens/token.ts";
import { temporaryDatabase } from "../support/folders.ts";
import {
  append,
  openAppender,
  openLog,
  type TestEngine,
} from "../support/logs.ts";
import { seeded } from "../support/seeded.ts";

function run(engine: TestEngine, text: string): Promise<unknown> {
  return engine.transaction("raw", ({ db }) => sql.raw(text).execute(db));
}

t.test("LogAppender records a transaction's rows, stream by stream", async (t) => {
  const engine = await openLog(t);
  const { appender } = await openAppender(engine);
  t.equal(await append(engine, appender, { b: ["1", '"x"'], a: ["[]"] }), 1);
  t.equal(await append(engine, appender), 2, "one without rows");
  t.equal(appender.lastTaken, 2);
  t.same(
    await engine.session.rows(
      `SELECT token, stream, instance, commit_id, committed_ms, row_count, body
      FROM headwater_log ORDER BY id`,
      [],
    ),
    [
      [1, "a", "master", "0123456789abcdef", 5, 1, "[]"],
      [1, "b", "master", "0123456789abcdef", 5, 2, '1\n"x"'],
      [2, "", "master", "0123456789abcdef", 5, 0, ""],
    ],
  );
});

t.test("LogAppender never gives a token twice, or a lower one", async (t) => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const random = seeded(seed);
    const url = temporaryDatabase(t);
    let engine = await openLog(t, url);
    let { lease, appender } = await openAppender(engine);
    let given: number[] = [];
    const rolledBack = new Set<number>();
    const wrong: number[] = [];
    const give = (token: number): void => {
      if (token <= (given.at(-1) ?? 0)) wrong.push(token);
      given.push(token);
    };
    for (let step = 0; step < 80; step += 1) {
      const action = random.below(12);
      if (action < 7) {
        give(await append(engine, appender, { s: ["1"] }));
      } else if (action < 9) {
        await engine.transaction("fails", async (session) => {
          const bodies = new Map([["s", { rowCount: 1, body: "1" }]]);
          const entry = { bodies, commitId: "x", committedMs: 0 };
          give(await appender.append(session as SyncCommitSession, entry));
          rolledBack.add(appender.lastTaken);
          throw new RangeError("no");
        }).catch(() => {});
      } else if (action < 10) {
        const [cut = 0] = given.slice(-1 - random.below(5));
        await run(engine, `DELETE FROM headwater_log WHERE token > ${cut}`);
      } else {
        // A writer that closed well, or one that just died.
        if (action === 10) {
          await engine.transaction(
            "release",
            (session) =>
              releaseLease(session, lease, appender.lastTaken, TOKEN_ZERO),
          );
        } else {
          // What only a process knew that is dead was never seen by anybody.
          given = given.filter((token) => !rolledBack.has(token));
        }
        await engine.close();
        engine = await openLog(t, url);
        await run(engine, "UPDATE headwater_instances SET expires_ms = 0");
        ({ lease, appender } = await openAppender(engine));
      }
    }
    t.same(wrong, [], `seed ${seed}`);
    t.ok(given.length > 30);
  }
});

t.test("LogAppender: a well closed writer leaves no gap", async (t) => {
  const engine = await openLog(t);
  const first = await openAppender(engine);
  t.equal(await append(engine, first.appender), 1);
  await engine.transaction(
    "release",
    (session) =>
      releaseLease(session, first.lease, first.appender.lastTaken, TOKEN_ZERO),
  );
  const second = await openAppender(engine);
  t.equal(second.lease.lastToken, 1);
  t.equal(await append(engine, second.appender), 2);
});

t.test("LogAppender: a rolled back reservation is made again", async (t) => {
  const engine = await openLog(t);
  const { lease, appender } = await openAppender(engine);
  await engine.transaction("fails", async (session) => {
    const entry = { bodies: new Map(), commitId: "x", committedMs: 0 };
    await appender.append(session as SyncCommitSession, entry);
    throw new RangeError("no");
  }).catch(() => {});
  const token = await append(engine, appender);
  const [row] = await engine.session.rows(
    "SELECT last_token FROM headwater_instances",
    [],
  );
  t.ok(Number(row?.[0]) >= token, "what is set aside is in the database");
  t.ok(token > lease.lastReserved);
});

t.test("LogAppender: instances of one database share no token", async (t) => {
  const engine = await openLog(t);
  const writers = [];
  for (const instance of ["a", "b", "c"]) {
    writers.push((await openAppender(engine, instance)).appender);
  }
  const random = seeded(9);
  const given: [LogAppender, number][] = [];
  for (let step = 0; step < 200; step += 1) {
    const writer = random.pick(writers);
    given.push([writer, await append(engine, writer, { s: ["1"], r: ["2"] })]);
  }
  const tokens = given.map(([, token]) => token);
  t.same(tokens, [...tokens].sort((a, b) => a - b), "upward over all");
  t.equal(new Set(tokens).size, tokens.length);
});

t.test("LogAppender: who lost the lease can't commit", async (t) => {
  const url = temporaryDatabase(t);
  const engine = await openLog(t, url);
  const { appender } = await openAppender(engine);
  await append(engine, appender);
  const other = await openLog(t, url);
  await run(other, "UPDATE headwater_instances SET expires_ms = 0");
  const next = await openAppender(other);
  const error = {
    code: "LEASE_LOST",
    message:
      /^Cannot write as instance "master": this process lost its lease; the holder is process \d+ on .+; open the writer store again$/,
  };
  const write = () =>
    engine.transaction("late", async (session) => {
      const db = session.db;
      await sql`CREATE TABLE late (id INTEGER)`.execute(db);
      const bodies = new Map([["s", { rowCount: 1, body: "1" }]]);
      await appender.append(session as SyncCommitSession, {
        bodies,
        commitId: "x",
        committedMs: 0,
      });
    });
  await t.rejects(write(), error);
  const token = await append(other, next.appender, { s: ["2"] });
  await t.rejects(write(), error, "nor later");
  await t.rejects(append(engine, appender), error, "nor without rows");
  t.same(
    await engine.session.rows("SELECT token FROM headwater_log", []),
    [[1], [token]],
  );
  t.same(
    await engine.session.rows(
      "SELECT name FROM sqlite_schema WHERE name = 'late'",
      [],
    ),
    [],
    "its data is taken back, too",
  );
});

t.test("LogAppender: the holder's row was deleted", async (t) => {
  const engine = await openLog(t);
  const { appender } = await openAppender(engine);
  await run(engine, "DELETE FROM headwater_instances");
  await t.rejects(append(engine, appender), {
    code: "LEASE_LOST",
    message: /the holder is nobody; its row was deleted;/,
  });
});

t.test("LogAppender ends with the last safe integer", async (t) => {
  const engine = await openLog(t);
  const { lease } = await openAppender(engine);
  const last = Number.MAX_SAFE_INTEGER;
  const appender = new LogAppender({
    ...lease,
    lastReserved: parseToken(last - 2),
  });
  t.equal(await append(engine, appender), last - 1);
  t.equal(await append(engine, appender), last);
  await t.rejects(append(engine, appender), {
    code: "TOKENS_EXHAUSTED",
    message:
      `Cannot take a token: ${last} is the last there is; start a new database`,
  });
});
