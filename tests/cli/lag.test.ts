// `headwater lag`, as a process: over a database, over a writer, and over both.

import { spawn, spawnSync } from "node:child_process";
import t, { type Test } from "tap";
import { until } from "../support/conditions.ts";
import { commandFor, startProcess } from "../support/processes.ts";
import {
  type Dialect,
  DIALECTS,
  openWriter,
  orders,
  writeSmallLog,
} from "../admin/small_log.ts";
import { WriterStore } from "../../mod.ts";
import { command, run } from "./run.ts";

/** Why there is no terminal here. */
const noScript = spawnSync("script", ["--version"]).status !== 0 &&
  "there is no script(1) to make a terminal with";

interface Report {
  readonly end: number | null;
  readonly connections: number | null;
  readonly instances: readonly {
    readonly name: string;
    readonly announced: number | null;
    readonly tokens: number | null;
  }[];
}

for (const dialect of DIALECTS) {
  t.test(`headwater lag of a database on ${dialect}`, (t) =>
    testDatabase(t, dialect));
}

async function testDatabase(t: Test, dialect: Dialect): Promise<void> {
  const database = await writeSmallLog(t, dialect);
  await openWriter(t, database, "third");
  const people = await run("lag", database, "--once");
  t.equal(people.status, 0, people.stderr);
  t.match(people.lines, [
    /^INSTANCE +POSITION +TO END +LEASE +ANNOUNCED +REACHED +TOKENS +SECONDS$/,
    /^master +5 +2 +released +- +- +- +-$/,
    /^second +7 +0 +released +- +- +- +-$/,
    /^third +0 +7 +held +- +- +- +-$/,
    /^$/,
    /^PROJECTION +POSITION +TOKENS +PARKED$/,
    /^behind +\d+ +\d+ +0$/,
    /^even +\d+ +\d+ +\d+$/,
    /^inline +inline +0 +0$/,
    /^$/,
    /^20\d\d-\S+Z; the log ends at token 7; it is complete up to 7$/,
  ]);

  const programs = await run("lag", database, "--once", "--json");
  t.match(programs.json(), [{
    atMs: Number,
    horizon: 7,
    end: 7,
    connections: null,
    instances: [
      { name: "master", position: 5, toEnd: 2, lease: "released" },
      { name: "second", position: 7, toEnd: 0, tokens: null, seconds: null },
      { name: "third", position: 0, toEnd: 7, lease: "held" },
    ],
    projections: [
      { name: "behind", position: 5, tokens: 2, parked: 0 },
      { name: "even" },
      { name: "inline", position: null, tokens: 0 },
    ],
  }]);
}

t.test("headwater lag of a writer, with its database and without", async (t) => {
  const database = await writeSmallLog(t, "sqlite");
  const writer = await WriterStore.open({
    database,
    listen: "tcp://127.0.0.1:0",
    streams: [orders],
  });
  t.teardown(() => writer.close());
  const url = String(writer.url);
  const live = ["--json", "--interval", "0.02"];
  const both = startProcess(t, command, [
    "lag",
    database,
    "--replicate",
    url,
    ...live,
  ]);
  const alone = startProcess(t, command, ["lag", url, ...live]);
  const first = await both.hear<Report>("a report", () => true);
  t.match(first, {
    end: 7,
    connections: 1,
    instances: [
      { name: "master", position: 5, lease: "held", tokens: 0, seconds: 0 },
      { name: "second" },
    ],
  });
  t.match(await alone.hear<Report>("a report", () => true), {
    end: null,
    projections: [],
    instances: [{ name: "master", position: null, lease: null, announced: 5 }],
  });

  const { token } = await writer.transaction("order", (txn) => {
    txn.write(orders, 1);
    return Promise.resolve();
  });
  const isThere = ({ instances: [master] }: Report) =>
    master?.announced === token && master.tokens === 0;
  t.ok(await both.hear<Report>("the commit", isThere));
  t.ok(await alone.hear<Report>("the commit", isThere));

  both.signal("SIGTERM");
  alone.signal("SIGTERM");
  t.equal(await both.ended, 0);
  t.equal(await alone.ended, 0);
  await until("both are gone", () => writer.stats.connections === 0);
});

/** What people see: the command's text as it comes. */
function startTable(t: Test, program: string, args: readonly string[]) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  t.teardown(() => void child.kill("SIGKILL"));
  let text = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => text += chunk);
  child.stdout.on("error", () => {});
  child.stderr.setEncoding("utf8").on("data", (chunk) => errors += chunk);
  const ended = new Promise((resolve) => child.on("exit", resolve));
  return {
    /** Resolves once what has come since the last call matches. */
    async shows(what: string, wanted: RegExp) {
      await until(what, () => wanted.test(text));
      text = text.slice((wanted.exec(text)?.index ?? 0) + 1);
    },
    text: () => text,
    errors: () => errors,
    leave: () => void child.stdout.destroy(),
    kill: () => void child.kill(),
    ended,
  };
}

const HEAD =
  "INSTANCE +POSITION +TO END +LEASE +ANNOUNCED +REACHED +TOKENS +SECONDS\\r?\\n";

function rowOf(token: number): string {
  return `master +- +- +- +${token} +${token} +0 +0\\.0\\r?\\n`;
}

t.test("headwater lag of a writer is a live table", async (t) => {
  const database = await writeSmallLog(t, "sqlite");
  const open = (listen: string) =>
    WriterStore.open({ database, listen, streams: [orders] });
  const first = await open("tcp://127.0.0.1:0");
  t.teardown(() => first.close());
  const url = String(first.url);
  const [program, args] = commandFor(command);
  const words = [...args, "lag", url, "--interval", "0.02"];
  const table = startTable(t, program, words);
  const facts = "\\r?\\n20\\S+Z; connections so far: ";
  const tableOf = (token: number, connections = 1) =>
    new RegExp(`${HEAD}${rowOf(token)}${facts}${connections}\\r?\\n\\r?\\n`);

  await t.test("it is told again and again, as it is by then", async (t) => {
    await table.shows("a table", tableOf(5));
    await table.shows("another", tableOf(5));
    const { token } = await first.transaction("order", (txn) => {
      txn.write(orders, 1);
      return Promise.resolve();
    });
    await table.shows("the commit", tableOf(token));
    t.notOk(table.text().includes("\x1b"), "nothing but text into a pipe");
  });

  const { token } = await first.transaction("order", (txn) => {
    txn.write(orders, 2);
    return Promise.resolve();
  });
  await table.shows("another commit", tableOf(token));
  await first.close();
  const second = await open(url);
  t.teardown(() => second.close());

  await t.test("it outlives the writer, and goes on with the next", async () => {
    await table.shows("another connection", tableOf(token, 2));
  });

  await t.test("a reader that goes away ends it", async (t) => {
    table.leave();
    t.equal(await table.ended, 0);
    t.equal(table.errors(), "");
    await until("it has left", () => second.stats.connections === 0);
  });

  await t.test("on a terminal each takes the place of the last", {
    skip: noScript,
  }, async (t) => {
    const line = [program, ...words].map((word) => `'${word}'`).join(" ");
    const screen = startTable(t, "script", ["-qefc", line, "/dev/null"]);
    const clear = "\\x1b\\[H\\x1b\\[2J\\x1b\\[3J";
    const drawn = new RegExp(
      `${clear}${HEAD}${rowOf(token)}${facts}1\\r?\\n(?=${clear}${HEAD})`,
    );
    await screen.shows("a table that is drawn over", drawn);
    t.equal(screen.errors(), "");
    // The terminal goes, and it with that.
    screen.kill();
    await until("it has left", () => second.stats.connections === 0);
  });
});

t.test("headwater lag of what isn't there", async (t) => {
  t.match(await run("lag", "sqlite:/no/such/folder/app.db"), {
    status: 1,
    stderr: /^headwater: Cannot open database/,
  });
  t.match(await run("lag", "nonsense"), {
    status: 2,
    stderr: /^headwater: [^\n]*nonsense[^\n]*\n$/,
  });
  const wrong = await run("lag", "sqlite:x.db", "--interval", "0");
  t.match(wrong, { status: 2, stderr: /Give seconds from 0.01 to 86400/ });
});
