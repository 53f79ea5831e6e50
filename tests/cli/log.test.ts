// `headwater log`, as a process: what it prints, and how it ends.

import { spawn } from "node:child_process";
import process from "node:process";
import t, { type Test } from "tap";
import {
  DIALECTS,
  emptyDatabase,
  openWriter,
  orders,
  writeSmallLog,
} from "../admin/small_log.ts";
import { until } from "../support/conditions.ts";
import { commandFor, startProcess } from "../support/processes.ts";
import { command, run } from "./run.ts";

interface Line {
  readonly token: number;
  readonly stream: string;
}

for (const dialect of DIALECTS) {
  t.test(`headwater log on ${dialect}`, async (t) => {
    const database = await writeSmallLog(t, dialect);

    await t.test("prints each row on a line, for people", async (t) => {
      const { status, stderr, lines } = await run("log", database);
      t.equal(status, 0);
      t.equal(stderr, "");
      const time = "20\\d\\d-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z";
      const rows = [
        `       1  master    ${time}  caches    \\["things",null,\\d+\\]`,
        ` {47,}\\["thing",\\["é",2\\],\\d+\\]`,
        ` {47,}\\["thing",\\[null\\],\\d+\\]`,
        `       1  master    ${time}  events    \\["user:1",1,"named",".*","a",null\\]`,
        ` {47,}\\["user:1",2,"named",".*","b",null\\]`,
        `       1  master    ${time}  orders    {"n":1}`,
        ` {47,}{"n":2}`,
        `       2  master    ${time}  events    \\["user:1",3,.*\\]`,
        ` {47,}\\["user:2",1,.*\\]`,
        ` {47,}\\["user:5",1,.*\\]`,
        `       3  master    ${time}  -`,
        `       4  master    ${time}  orders    {"n":3}`,
        ` {47,}{"n":4}`,
        ` {47,}{"n":5}`,
        `       5  master    ${time}  events    \\["user:2",2,"\\$closed",.*\\]`,
        `       6  second    ${time}  events    \\["user:1",4,.*\\]`,
        `       7  second    ${time}  orders    {"n":6}`,
      ];
      t.match(lines, [
        /^ {3}TOKEN {2}INSTANCE {2}COMMITTED {17}STREAM {4}ROW$/,
        ...rows.map((row) => new RegExp(`^${row}$`)),
      ]);
      t.equal(lines.length, rows.length + 1);
    });

    await t.test("prints a line for each record, for programs", async (t) => {
      const { status, json } = await run("log", database, "--json");
      t.equal(status, 0);
      t.match(json()[2], {
        token: 1,
        stream: "orders",
        instance: "master",
        committedMs: Number,
        rows: [{ n: 1 }, { n: 2 }],
      });
      t.equal(json().length, 9);
    });

    await t.test("prints what is asked for", async (t) => {
      const places = async (...args: string[]) =>
        (await run("log", database, "--json", ...args)).json()
          .map((line) => `${(line as Line).token} ${(line as Line).stream}`);
      t.same(await places("--stream", "orders", "--after", "1"), [
        "4 orders",
        "7 orders",
      ]);
      t.same(await places("--instance", "second", "--upto", "6"), ["6 events"]);
    });

    await t.test("says that there is no such stream", async (t) => {
      const { status, stderr, lines } = await run(
        "log",
        database,
        "--stream",
        "order",
      );
      t.equal(status, 2);
      t.same(lines, []);
      t.equal(
        stderr,
        'headwater: Cannot print stream "order": the log has no rows of it; its ' +
          "streams are caches, events, orders\n",
      );
      const none = await run(
        "log",
        database,
        "--stream",
        "orders",
        "--after",
        "7",
      );
      t.match(none, { status: 0, stdout: "", stderr: "" });
    });

    await t.test("goes on with what is written, until it is told to stop", async (t) => {
      const person = startProcess(t, command, [
        "log",
        database,
        "--follow",
        "--json",
        "--after",
        "6",
      ]);
      await person.hear<Line>("the last", ({ token }) => token === 7);
      const writer = await openWriter(t, database);
      await writer.transaction("order", (txn) => {
        txn.write(orders, "next");
        return Promise.resolve();
      });
      await person.hear<Line>("the next", ({ token }) => token === 8);
      person.signal("SIGTERM");
      t.equal(await person.ended, 0);
      t.equal(person.errors(), "");
    });

    await t.test("ends once nobody reads it", async (t) => {
      const person = startProcess(t, command, [
        "log",
        database,
        "--follow",
        "--json",
      ]);
      await person.hear<Line>("the last", ({ token }) => token === 8);
      person.child.stdout?.destroy();
      const writer = await openWriter(t, database);
      await until("it has ended, its output gone", async () => {
        await writer.transaction("order", (txn) => {
          txn.write(orders, "more");
          return Promise.resolve();
        });
        return person.child.exitCode !== null;
      });
      t.equal(person.child.exitCode, 0);
      t.equal(person.errors(), "");
    });
  });
}

/** Writes rows of some length, each in a transaction of its own. */
async function writeRows(t: Test, count: number, length: number) {
  const database = await emptyDatabase(t, "sqlite");
  const writer = await openWriter(t, database);
  const row = "x".repeat(length);
  for (let n = 0; n < count; n += 1) {
    await writer.transaction("order", (txn) => {
      txn.write(orders, row);
      return Promise.resolve();
    });
  }
  return database;
}

t.test("headwater log, stuck for want of a reader", async (t) => {
  // Far more than pipes and sockets hold.
  const database = await writeRows(t, 30, 100_000);
  const [program, first] = commandFor(command);
  const person = spawn(program, [...first, "log", database, "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => void person.kill("SIGKILL"));
  // One piece is read, and then no more.
  await new Promise((resolve) => person.stdout.once("readable", resolve));
  // Not person.kill(): Deno's reports that signal, however it ended.
  process.kill(Number(person.pid), "SIGTERM");
  await until("it has ended", () => person.exitCode !== null);
  t.equal(person.exitCode, 0);
});

t.test("headwater log leaves nothing out for a reader that is slow", async (t) => {
  // A pipe takes six of them, and the seventh waits in the process.
  const database = await writeRows(t, 7, 10_000);
  const [program, first] = commandFor(command);
  // The reader begins once it is told to.
  const script = 'exec 3<&0; "$0" "$@" </dev/null | { read -r _ <&3; cat; }';
  const args = [program, ...first, "log", database, "--json"];
  const person = spawn("sh", ["-c", script, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.teardown(() => void person.kill("SIGKILL"));
  let text = "";
  person.stdout.setEncoding("utf8").on("data", (part) => text += part);
  const ended = new Promise((resolve) => person.on("close", resolve));
  // Time enough for the command to give up, if it would.
  for (let n = 0; n < 4; n += 1) {
    t.equal((await run("verify", database)).status, 0);
  }
  t.equal(text, "");
  person.stdin.end("now\n");
  t.equal(await ended, 0);
  const lines = text.split("\n").slice(0, -1);
  t.same(lines.map((line) => JSON.parse(line).token), [1, 2, 3, 4, 5, 6, 7]);
});
