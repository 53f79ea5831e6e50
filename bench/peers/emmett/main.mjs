/**
 * Headwater beside Emmett: appending, and reading a stream back, on SQLite and
 * on PostgreSQL. See README.md here.
 *
 * @module
 */

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { parseArgs } from "node:util";
import { getPostgreSQLEventStore } from "@event-driven-io/emmett-postgresql";
import {
  getSQLiteEventStore,
  sqliteConnection,
} from "@event-driven-io/emmett-sqlite";

const ROOT = new URL("../../../", import.meta.url);
const { options, isJson } = parse(process.argv.slice(2));
if (!existsSync(new URL("dist/mod.js", ROOT))) {
  console.error("bench: build Headwater first: npm run build, at the top");
  process.exit(1);
}
const load = (path) => import(new URL(`dist/${path}`, ROOT).href);
const { WriterStore } = await load("mod.js");
const { sharedPostgres } = await load("tests/support/postgres.js");
const { compete, perSecond } = await load("bench/support/measure.js");
const { describeMachine } = await load("bench/support/machine.js");

const BATCH = 100;
const STREAM = 1_000;
const LANES = 64;
const GOAL = "≥ 3";
const EVENTS = `CREATE TABLE events (
  stream text NOT NULL, version bigint NOT NULL, body text NOT NULL,
  PRIMARY KEY (stream, version)
)`;
const READ = "SELECT body FROM events WHERE stream = $1 ORDER BY version";

const folder = mkdtempSync(join(tmpdir(), "headwater-emmett-"));
const figures = [];
try {
  const machine = describeMachine();
  if (!isJson) console.log(Object.values(machine).join(", ") + "\n");
  for (const engine of [sqlite("full"), sqlite("normal"), onPostgres()]) {
    const sides = await engine;
    await measure(sides);
    await sides.close();
  }
  if (isJson) console.log(JSON.stringify({ machine, figures }, null, 2));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** SQLite: both in WAL; Emmett with one connection that it keeps. */
async function sqlite(synchronous) {
  const path = (whose) => join(folder, `${whose}-${synchronous}.db`);
  const writer = await WriterStore.open({
    database: `sqlite:${path("ours")}`,
    synchronous,
  });
  await settle(writer);
  const fileName = path("emmett");
  const connection = sqliteConnection({ fileName });
  // Emmett asks for WAL, too, but does not wait until it is so.
  await connection.query("PRAGMA journal_mode = WAL");
  await connection.command(`PRAGMA synchronous = ${synchronous}`);
  const store = getSQLiteEventStore({
    fileName,
    connectionOptions: { singleton: true, connection },
  });
  const journal = await connection.querySingle("PRAGMA journal_mode");
  const level = await connection.querySingle("PRAGMA synchronous");
  if (
    journal.journal_mode !== "wal" ||
    level.synchronous !== (synchronous === "full" ? 2 : 1)
  ) {
    const found = JSON.stringify({ ...journal, ...level });
    throw new Error(`Emmett's file is not as durable as ours: ${found}`);
  }
  return {
    where: `SQLite, synchronous=${synchronous}`,
    writer,
    store,
    bare: bareSqlite(path("bare"), synchronous),
    against: "Emmett, on one connection that it keeps",
    count: 500,
    close: async () => {
      await writer.close();
      connection.close();
    },
  };
}

/** Writes until SQLite's log is written over, not longer: Emmett's soon is. */
async function settle(writer) {
  for (let number = 0; number < 5_000; number += 1) {
    await writer.transaction("settle", async (txn) => {
      await txn.append("settling", makeEvents(number, 1));
    });
  }
}

/** What anybody could do at best: the driver, and nothing else. */
function bareSqlite(path, synchronous) {
  const database = new DatabaseSync(path);
  database.exec(
    `PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; ${EVENTS}`,
  );
  const insert = database.prepare("INSERT INTO events VALUES (?, ?, ?)");
  const select = database.prepare(READ.replace("$1", "?"));
  select.setReturnArrays(true);
  return {
    append(stream, events, version) {
      if (events.length > 1) database.exec("BEGIN");
      for (const event of events) {
        insert.run(stream, version++, JSON.stringify(event));
      }
      if (events.length > 1) database.exec("COMMIT");
    },
    read: (stream) => select.all(stream).map(([body]) => JSON.parse(body)),
  };
}

/** The same on PostgreSQL: one statement, one round trip. */
async function barePostgres(url) {
  const { default: postgres } = await import("postgres");
  const sql = postgres(url, { max: 32, onnotice: () => {} });
  await sql.unsafe(EVENTS);
  const prepared = { prepare: true };
  return {
    append: (stream, events, version) =>
      sql.unsafe(
        "INSERT INTO events SELECT $1, $2 + ordinality, body " +
          "FROM unnest($3::text[]) WITH ORDINALITY AS e (body, ordinality)",
        [stream, version, events.map((event) => JSON.stringify(event))],
        prepared,
      ),
    read: async (stream) =>
      (await sql.unsafe(READ, [stream], prepared).values())
        .map(([body]) => JSON.parse(body)),
    close: () => sql.end(),
  };
}

/** PostgreSQL: databases of one server, each library's own pool. */
async function onPostgres() {
  const server = await sharedPostgres();
  const bare = await barePostgres(await server.createDatabase());
  const writer = await WriterStore.open({
    database: await server.createDatabase(),
  });
  const store = getPostgreSQLEventStore(await server.createDatabase());
  return {
    where: "PostgreSQL",
    writer,
    store,
    bare,
    against: "Emmett",
    count: 300,
    close: async () => {
      await writer.close();
      await store.close();
      await bare.close();
    },
  };
}

async function measure({ where, writer, store, bare, against, count }) {
  const ours = {
    append: (stream, events) =>
      writer.transaction("append", async (txn) => {
        await txn.append(stream, events);
      }),
    read: async (stream) => {
      const events = [];
      for await (const event of writer.readAggregate(stream)) {
        events.push(event);
      }
      return events;
    },
  };
  const theirs = {
    append: (stream, events) => store.appendToStream(stream, events),
    read: async (stream) => (await store.readStream(stream)).events,
  };
  const kinds = [
    ["appends of one event, one after another", 1, count, 1],
    [`appends of one event, ${LANES} at a time`, 1, count * 2, LANES],
    [`appends of ${BATCH} events to one stream`, BATCH, count / 10, 1],
  ];
  for (const [what, each, appends, lanes] of kinds) {
    await contest({
      name: `${what}, ${where}`,
      against,
      ours: appendAll(ours, each, appends, lanes),
      baseline: appendAll(theirs, each, appends, lanes),
      floor: appendAll(bare, each, appends, lanes),
    });
  }
  const stored = [[BATCH, "in batches of 100"], [1, "one by one"]];
  for (const [each, how] of stored) {
    const stream = `read-${each}`;
    for (const side of [ours, theirs, bare]) await fill(side, stream, each);
    await contest({
      name: `reading a stream of ${STREAM} events, appended ${how}, ${where}`,
      against,
      ours: readAll(ours, stream),
      baseline: readAll(theirs, stream),
      floor: readAll(bare, stream),
    });
  }
}

async function contest({ floor, ...subject }) {
  const shared = { unit: "events/s", rounds: options.rounds, ...subject };
  const figure = await compete({ ...shared, goal: GOAL });
  const { name } = subject;
  const bare = await compete({
    ...shared,
    name: `${name}: the driver alone`,
    ours: floor,
  });
  figures.push(figure, bare);
  if (isJson) return;
  const show = (value) => Math.round(value).toLocaleString("en-US");
  const tell = ({ ratio, ratioMin, ratioMax }) =>
    `${ratio.toFixed(2)} (${ratioMin.toFixed(2)}..${ratioMax.toFixed(2)})`;
  console.log(
    `${name}\n  ours ${show(figure.ours)} events/s, baseline ` +
      `${show(figure.baseline)} (${figure.against})\n  ratio ` +
      `${tell(figure)}, goal ${GOAL}; of the driver alone ${tell(bare)}\n`,
  );
}

/** Ten streams in turn, one for batches, one for each lane; new each round. */
function appendAll(side, each, appends, lanes) {
  let round = 0;
  return async () => {
    round += 1;
    const streams = lanes > 1 ? lanes : each === 1 ? 10 : 1;
    let number = 0;
    const run = async (lane) => {
      while (number < appends) {
        const stream = `account-${each}-${lanes}-${round}-${
          lanes > 1 ? lane : number % streams
        }`;
        const version = number * each;
        await side.append(stream, makeEvents(number++, each), version);
      }
    };
    const began = performance.now();
    await Promise.all(Array.from({ length: lanes }, (_, lane) => run(lane)));
    return perSecond(appends * each, performance.now() - began);
  };
}

function readAll(side, stream) {
  const times = 10;
  return async () => {
    const began = performance.now();
    for (let time = 0; time < times; time += 1) {
      const events = await side.read(stream);
      if (events.length !== STREAM || events[STREAM - 1].data.cents !== 999) {
        throw new Error(`${events.length} events were read`);
      }
    }
    return perSecond(times * STREAM, performance.now() - began);
  };
}

async function fill(side, stream, each) {
  for (let number = 0; number < STREAM / each; number += 1) {
    await side.append(stream, makeEvents(number, each), number * each);
  }
}

/** As both libraries take them. */
function makeEvents(number, count) {
  return Array.from({ length: count }, (_, index) => ({
    type: "deposited",
    data: { cents: number * count + index, note: `deposit ${index}` },
    metadata: { user: `user${number}` },
  }));
}

function parse(args) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        json: { type: "boolean", default: false },
        rounds: { type: "string", default: "9" },
      },
    });
    const rounds = Number(values.rounds);
    if (!Number.isSafeInteger(rounds) || rounds < 1) {
      throw new Error(`--rounds is ${values.rounds}; give a whole number`);
    }
    return { options: { rounds }, isJson: values.json };
  } catch (error) {
    console.error(`bench: ${error.message}`);
    process.exit(2);
  }
}
