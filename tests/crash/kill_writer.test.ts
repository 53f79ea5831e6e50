// Promise 1, a crash included. The writer is killed at random moments under
// load, again and again. Each time: what was acknowledged is in the log and in the
// data; nothing is there by half; tokens go on upward; readers come back by
// themselves, and converge to the truth.

import t from "tap";
import { DatabaseSync } from "node:sqlite";
import { SlavedStore } from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { freePort } from "../support/ports.ts";
import { startProcess, type TestProcess } from "../support/processes.ts";
import { freshlySeeded } from "../support/seeded.ts";
import { type TestDatabase, Users } from "../support/stores.ts";
import { KEYS, writes } from "./writes.ts";

const KILLS = 8;
const MOST_WRITES = 120;
const writerFile = new URL("./writer_process.ts", import.meta.url);
const readerFile = new URL("./reader_process.ts", import.meta.url);

interface Written {
  readonly token: number;
  readonly version: number;
}

t.test(`a writer that is killed ${KILLS} times`, async (t) => {
  const { below } = freshlySeeded(t);
  const database = temporaryDatabase(t);
  const url = `tcp://127.0.0.1:${await freePort()}`;
  const start = async (version: number): Promise<TestProcess> => {
    const writer = startProcess(t, writerFile, [database, url, `${version}`]);
    await writer.hear("it is open", (message: object) => "open" in message);
    return writer;
  };

  let writer = await start(1);
  const outside = new DatabaseSync(database.slice("sqlite:".length), {
    readOnly: true,
  });
  t.teardown(() => outside.close());
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: url,
    streams: [writes],
    maxBackoffMs: 50,
  });
  t.teardown(() => slaved.close());
  const users = slaved.attach(Users);
  const reader = startProcess(t, readerFile, [database, url]);
  await reader.hear("it reads", (message) => message === "reading");
  const tokens: number[] = [];
  slaved.subscribe(writes, ({ token }) => void tokens.push(token));

  const acknowledged: Written[] = [];
  let lastToken = 0;
  let halves = 0;
  let missing = 0;
  let stale = 0;
  for (let kill = 0; kill < KILLS; kill += 1) {
    const doomed = writer;
    const moment = 1 + below(MOST_WRITES);
    await until("it has written some", () => doomed.messages.length > moment);
    doomed.signal("SIGKILL");
    await doomed.ended;
    const told = doomed.messages.slice(1) as Written[];
    acknowledged.push(...told);
    for (const { token } of told) {
      if (token <= lastToken) t.fail(`token ${token} after ${lastToken}`);
      lastToken = token;
    }

    const log = readLog(outside);
    halves += countHalves(outside, log);
    for (const { token, version } of told) {
      if (log.get(token) !== version) missing += 1;
    }

    writer = await start(Math.max(...log.values()) + 1);
    const commit = await writer.hear<Written>("it writes on", () => true);
    await slaved.waitFor({ instance: "master", token: commit.token });
    for (let key = 0; key < KEYS; key += 1) {
      const id = `user${key}`;
      const truth = outside.prepare("SELECT version FROM users WHERE id = ?");
      // The writer writes on: what is read must be no older than before.
      const before = Number(truth.get(id)?.version ?? 0);
      const reached = Number(
        readVersionAt(outside, id, Number(slaved.position.get("master"))),
      );
      const read = (await users.getUserById(id))?.version ?? 0;
      if (read < Math.min(before, reached)) stale += 1;
    }
  }
  t.equal(halves, 0, "no half transaction");
  t.equal(missing, 0, "no acknowledged transaction is missing");
  t.equal(stale, 0, "no stale entry");
  t.ok(acknowledged.length >= KILLS, `${acknowledged.length} acknowledged`);

  writer.signal("SIGKILL");
  await writer.ended;
  const log = readLog(outside);
  const last = Math.max(...log.keys());
  const final = await start(Math.max(...log.values()) + 1);
  const commit = await final.hear<Written>("it writes on", () => true);
  await slaved.waitFor({ instance: "master", token: commit.token });
  const inLog = [...log.keys()].filter((token) => token > (tokens[0] ?? 0));
  const heard = new Set(tokens);
  t.same(
    inLog.filter((token) => !heard.has(token)),
    [],
    "every transaction was heard of",
  );
  t.equal(heard.size, tokens.length, "and none twice");
  t.same(tokens, tokens.toSorted((a, b) => a - b), "in token order");
  t.ok(Number(slaved.position.get("master")) > last);
  t.ok(slaved.stats.connections > KILLS, "it came back each time");

  final.signal("SIGKILL");
  await final.ended;
  const ends = readLog(outside);
  const end = Math.max(...ends.keys());
  const quiet = startProcess(t, readerFile, [database, url, "hold"]);
  await quiet.hear("it serves the last position", (m) => m === "holding");
  reader.tell({ instance: "master", token: end });
  const verdict = await reader.hear<{ wrong: unknown[]; reads: number }>(
    "the other process's verdict",
    (message: object) => typeof message === "object",
  );
  t.same(verdict.wrong, [], "the other process is right, too");
  t.ok(verdict.reads > 0);
});

/** Token → version of each transaction in the log. */
function readLog(outside: DatabaseSync): Map<number, number> {
  const records = outside.prepare(
    "SELECT token, body FROM headwater_log WHERE stream = 'writes' ORDER BY id",
  ).all();
  return new Map(records.map(({ token, body }) => {
    const [first, second] = String(body).split("\n").map((row) =>
      JSON.parse(row)
    );
    if (first.version !== -second?.version) throw new Error(`torn: ${body}`);
    return [Number(token), Number(first.version)];
  }));
}

/** Transactions whose data, rows and invalidation are not all there, or not all missing. */
function countHalves(
  outside: DatabaseSync,
  log: ReadonlyMap<number, number>,
): number {
  const newest = new Map<string, number>();
  for (const version of log.values()) {
    newest.set(`user${version % KEYS}`, version);
  }
  const rows = outside.prepare("SELECT id, version FROM users").all();
  const inData = new Map(rows.map(({ id, version }) => [id, version]));
  let halves = inData.size === newest.size ? 0 : 1;
  for (const [id, version] of newest) {
    if (inData.get(id) !== version) halves += 1;
  }
  const { count } = outside.prepare(
    `SELECT count(*) AS count FROM headwater_log AS w WHERE stream = 'writes'
     AND NOT EXISTS (SELECT 1 FROM headwater_log AS c
       WHERE c.id BETWEEN w.token << 9 AND w.id AND c.stream = 'caches' AND c.commit_id = w.commit_id)`,
  ).get() as { count: number };
  return halves + count;
}

/** The newest version of a user in the log, up to a token. */
function readVersionAt(
  outside: DatabaseSync,
  id: string,
  token: number,
): number {
  let version = 0;
  const records = outside.prepare(
    `SELECT body FROM headwater_log WHERE stream = 'writes' AND id < (? + 1) << 9
     AND body LIKE ? ORDER BY id DESC LIMIT 1`,
  ).all(token, `{"id":"${id}",%`);
  for (const { body } of records) {
    version = JSON.parse(String(body).split("\n")[0] as string).version;
  }
  return version;
}
