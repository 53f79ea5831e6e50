// SQLite's log has a key of its own: a log from before it is carried over, and
// records come in the same order as on PostgreSQL, whatever their streams.

import t from "tap";
import { migrate } from "../../src/database/migrator.ts";
import { LOG_MIGRATIONS } from "../../src/log/log_schema.ts";
import { readLogPages } from "../../src/log/read.ts";
import type { LogRecord } from "../../src/log/record.ts";
import { parseToken, type Token } from "../../src/tokens/token.ts";
import { openEngine } from "../support/engines.ts";
import { temporaryDatabase } from "../support/folders.ts";
import {
  append,
  openAppender,
  openLog,
  type TestEngine,
} from "../support/logs.ts";

const STREAMS = ["caches", "events", "eventsmore", "even", "Zoo", "orders"];

async function readAll(engine: TestEngine, upTo: Token): Promise<LogRecord[]> {
  const range = { instance: "master", after: parseToken(0), upTo };
  const records: LogRecord[] = [];
  for await (const page of readLogPages(engine.session, range)) {
    records.push(...page.records);
  }
  return records;
}

t.test("a transaction's records stand in the order of their streams", async (t) => {
  const engine = await openLog(t);
  const { appender } = await openAppender(engine);
  const sets = [STREAMS, [...STREAMS].reverse(), ["orders"], ["events"], []];
  for (const streams of sets) {
    const rows = Object.fromEntries(streams.map((name) => [name, ["1"]]));
    await append(engine, appender, rows);
  }
  t.same(
    (await readAll(engine, parseToken(5))).map(({ token, stream }) => [
      token,
      stream,
    ]),
    sets.flatMap((streams, index) =>
      [...streams].sort().map((stream) => [index + 1, stream])
    ),
  );
});

t.test("a transaction has at most 255 streams on SQLite", async (t) => {
  const engine = await openLog(t);
  const { appender } = await openAppender(engine);
  for (const last of ["z", "a"]) {
    const names = Array.from({ length: 256 }, (_, index) => `${last}${index}`);
    const rows = Object.fromEntries(names.map((name) => [name, ["1"]]));
    await t.rejects(append(engine, appender, rows), {
      code: "TRANSACTION_TOO_LARGE",
      message: /^Cannot write to 256 streams in one transaction: .*255; use/,
    });
    delete rows[names[0] as string];
    const token = await append(engine, appender, rows);
    const found = (await readAll(engine, token))
      .filter((record) => record.token === token);
    t.equal(found.length, 255);
  }
});

t.test("a log with the key from before is carried over", async (t) => {
  const url = temporaryDatabase(t);
  const engine = openEngine(t, url);
  await engine.transaction(
    "migrate",
    (session) => migrate(session, LOG_MIGRATIONS.slice(0, 2), 0),
  );
  const written: [number, string, string][] = [1, 2, 7, 2 ** 40].flatMap((
    token,
  ) =>
    STREAMS.toSorted().map((stream): [number, string, string] => [
      token,
      stream,
      `"${stream} ${token}"`,
    ])
  );
  await engine.transaction("fill", async (session) => {
    for (const [token, stream, body] of written) {
      await session.run(
        `INSERT INTO headwater_log
          (token, stream, instance, commit_id, committed_ms, row_count, body)
        VALUES (?, ?, 'master', 'id', 5, 1, ?)`,
        [token, stream, body],
      );
    }
  });
  await engine.transaction(
    "migrate",
    (session) => migrate(session, LOG_MIGRATIONS, 0),
  );
  const records = await readAll(engine, parseToken(2 ** 41));
  t.same(
    records.map(({ token, stream, lines }) => [token, stream, lines[0]]),
    written,
  );
  const { appender } = await openAppender(engine);
  t.equal(await append(engine, appender, { a: ["1"] }), 2 ** 40 + 1);
});
