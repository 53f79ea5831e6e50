// Ephemeral streams of a foreign writer, which tells nothing but what the
// protocol has; and lines that come as they should not.

import t, { type Test } from "tap";
import { z } from "zod";
import { defineStream, SlavedStore, WriterStore } from "../../mod.ts";
import { listenHttp } from "../../src/http/mod.ts";
import { deferred } from "../../src/runtime/waiting.ts";
import { until } from "../support/conditions.ts";
import { type FakeWriter, startFakeWriter } from "../support/fake_writer.ts";
import { temporaryDatabase } from "../support/folders.ts";
import type { TestDatabase } from "../support/stores.ts";

const typing = defineStream("typing", z.array(z.string()), { durable: false });

/** A foreign writer's HTTP side: what it has had, and what it was asked. */
interface Foreign {
  readonly fake: FakeWriter;
  rows: [number, string[]][];
  /** How many requests fail first. */
  failures: number;
  /** How many answers say that there is more, and give nothing. */
  empties: number;
  /** What the handler waits for. */
  held: Promise<void> | undefined;
  /** `from_token upto_token` of each request. */
  readonly asked: readonly string[];
  readonly heard: readonly string[];
  readonly logged: readonly string[];
  /** Resolves once it has asked, and been answered. */
  live(): Promise<void>;
}

async function start(t: Test): Promise<Foreign> {
  const database = temporaryDatabase(t);
  const writer = await WriterStore.open<TestDatabase>({ database });
  t.teardown(() => writer.close());
  const fake = await startFakeWriter(t);
  const asked: string[] = [];
  const heard: string[] = [];
  const logged: string[] = [];
  const live = () =>
    until(
      "it is live",
      () => asked.length > 0 && slaved.stats.ephemeralPending === 0,
    );
  const foreign: Foreign = {
    fake,
    rows: [],
    failures: 0,
    empties: 0,
    held: undefined,
    asked,
    heard,
    logged,
    live,
  };
  const server = await listenHttp((request) => {
    const { pathname, searchParams } = new URL(request.url);
    t.match(
      pathname,
      /^\/_synapse\/replication\/get_repl_stream_updates\/typing\/\w{10,}$/,
    );
    const from = Number(searchParams.get("from_token"));
    const upTo = Number(searchParams.get("upto_token"));
    asked.push(`${from} ${upTo}`);
    if (foreign.failures > 0) {
      foreign.failures -= 1;
      return new Response("no", { status: 500 });
    }
    if (foreign.empties > 0) {
      foreign.empties -= 1;
      return Response.json({ updates: [], upto_token: from, limited: true });
    }
    // As Synapse's: from beyond the end there is everything.
    const updates = foreign.rows.filter(([token]) =>
      token <= upTo && (from > upTo || token > from)
    );
    const upto_token = upTo;
    return Response.json({ updates, upto_token, limited: false });
  }, { url: "http://127.0.0.1:0" });
  t.teardown(() => server.close());
  fake.answer = "POSITION caches master 0 0\nPOSITION typing master 0 0\n";
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: fake.url,
    streams: [typing],
    http: server.url,
    minBackoffMs: 1,
    maxBackoffMs: 5,
    pollIntervalMs: 0,
    logger: (_level, message) => void logged.push(message),
  });
  t.teardown(() => slaved.close());
  slaved.subscribe(typing, ({ token, rows }) => {
    heard.push(`${token} ${JSON.stringify(rows)}`);
    return foreign.held;
  }, { onReset: ({ reason }) => void heard.push(reason) });
  await foreign.live();
  return foreign;
}

const line = (token: number | string, ...row: string[]) =>
  `RDATA typing master ${token} ${JSON.stringify(row)}\n`;
const position = (previous: number, token: number) =>
  `POSITION typing master ${previous} ${token}\n`;

t.test("A015: a token behind the position is discarded", async (t) => {
  const { fake, heard, asked } = await start(t);
  fake.send(line(5, "a"));
  await until("it is there", () => heard.length === 1);
  fake.send(line(3, "late") + line(5, "again") + line(60, "b"));
  await until("the next is there", () => heard.length === 2);
  t.same(heard, ['5 [["a"]]', '60 [["b"]]']);
  t.equal(
    asked.length,
    1,
    "tokens may jump, where only POSITION tells of gaps",
  );
});

t.test("a batch is one; without its beginning it is fetched", async (t) => {
  const foreign = await start(t);
  const { fake, heard, asked } = foreign;
  fake.send(line("batch", "a") + line("batch", "b") + line(4, "c"));
  await until("it is there", () => heard.length === 1);
  t.same(heard, ['4 [["a"],["b"],["c"]]']);
  // What a connection leaves behind is forgotten.
  foreign.rows = [[4, ["c"]], [6, ["d"]], [6, ["e"]]];
  fake.send(line("batch", "d"));
  fake.answer = "POSITION caches master 0 0\nPOSITION typing master 6 6\n";
  fake.cut();
  await until("it is fetched", () => heard.length === 2);
  t.equal(asked[1], "4 6");
  t.equal(heard[1], '6 [["d"],["e"]]');
});

t.test("rows before the position are dropped", async (t) => {
  const foreign = await start(t);
  const { fake, heard } = foreign;
  foreign.rows = [[1, ["a"]], [2, ["b"]]];
  fake.answer = "POSITION caches master 0 0\n" + line(2, "b") + position(2, 2) +
    line(3, "c");
  fake.cut();
  foreign.rows.push([3, ["c"]]);
  await until("all are there", () => heard.length === 3);
  t.same(heard, ['1 [["a"]]', '2 [["b"]]', '3 [["c"]]']);
});

t.test("a gap between positions is fetched, again and again if need be", async (t) => {
  const foreign = await start(t);
  const { fake, heard, asked } = foreign;
  fake.send(position(0, 2));
  fake.send(line(3, "c"));
  await until("it is there", () => heard.length === 1);
  t.equal(asked.length, 1, "nothing was missed");
  foreign.rows = [[5, ["e"]], [7, ["g"]]];
  foreign.failures = 2;
  fake.send(position(5, 7));
  await until("they are there", () => heard.length === 3);
  t.same(heard.slice(1), ['5 [["e"]]', '7 [["g"]]']);
  t.same(asked.slice(1), ["3 7", "3 7", "3 7"]);
});

t.test("an answer that leads nowhere counts as a failure", async (t) => {
  const foreign = await start(t);
  const { fake, heard, logged } = foreign;
  foreign.rows = [[5, ["e"]]];
  foreign.empties = 2;
  fake.send(position(4, 5));
  await until("it is there", () => heard.length === 1);
  t.same(heard, ['5 [["e"]]']);
  t.equal(logged.filter((message) => /trying again/.test(message)).length, 2);
});

t.test("A019: a position that moves back is a writer that started over", async (t) => {
  const foreign = await start(t);
  const { fake, heard, asked } = foreign;
  fake.send(line(102, "a"));
  await until("it is there", () => heard.length === 1);
  foreign.rows = [[1, ["new"]]];
  fake.answer = "POSITION caches master 0 0\n" + position(1, 1);
  fake.cut();
  await until("it starts over", () => heard.length === 3);
  t.equal(asked[1], "102 1");
  t.same(heard.slice(1), ["the position moved back", '1 [["new"]]']);
  await foreign.live();
  fake.send(line(2, "newer"));
  await until("it goes on", () => heard.length === 4);
  t.equal(heard[3], '2 [["newer"]]');
});

t.test("what an earlier connection had fetched is not taken for the new one's", async (t) => {
  const foreign = await start(t);
  const { fake, heard, asked } = foreign;
  fake.send(line(3, "a"));
  await until("it is there", () => heard.length === 1);
  const { promise, resolve } = deferred<void>();
  foreign.held = promise;
  foreign.rows = [[5, ["e"]], [6, ["f"]], [7, ["g"]]];
  fake.send(position(4, 7));
  await until("the first is being handled", () => heard.length === 2);
  foreign.rows = [[1, ["new"]]];
  fake.answer = "POSITION caches master 0 0\n" + position(1, 1);
  fake.cut();
  await until("it asks again", () => asked.at(-1) === "3 1");
  foreign.held = undefined;
  resolve();
  await until("it starts over", () => heard.length >= 4);
  await foreign.live();
  t.same(heard.slice(1), [
    '5 [["e"]]',
    "the position moved back",
    '1 [["new"]]',
  ]);
});

t.test("nonsense ends the connection, and nothing else", async (t) => {
  const { fake, heard } = await start(t);
  const before = fake.connections();
  fake.send("RDATA typing master 1 {\n");
  await until("it comes back", () => fake.connections() > before);
  t.match(fake.received(), /ERROR failed to parse line/);
  t.same(heard, []);
});
