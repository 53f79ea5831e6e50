// Sections 3.1 to 3.3 of the protocol, and rules 2, 7 and 9: what a slaved store
// makes of RDATA and POSITION, said to it by hand. Acceptance cases by number.

import t, { type Test } from "tap";
import { z } from "zod";
import { defineStream, SlavedStore, WriterStore } from "../../../mod.ts";
import { until } from "../../support/conditions.ts";
import { type FakeWriter, startFakeWriter } from "../../support/fake_writer.ts";
import { temporaryDatabase } from "../../support/folders.ts";
import type { TestDatabase } from "../../support/stores.ts";

const ev = defineStream("ev", z.unknown());
const typing = defineStream("typing", z.unknown());
const streams = [ev, typing];

interface Setting {
  readonly fake: FakeWriter;
  readonly slaved: SlavedStore<TestDatabase>;
  /** What its handlers were given: stream, instance, token, rows. */
  readonly given: unknown[];
  /** Tokens of real transactions of the instance `master`, in the log. */
  write(stream: typeof ev, ...rows: unknown[]): Promise<number>;
}

/** A slaved store of a real log, and a writer's end that says what it is told to. */
async function start(t: Test, answer?: string): Promise<Setting> {
  const database = temporaryDatabase(t);
  const writer = await WriterStore.open<TestDatabase>({ database, streams });
  t.teardown(() => writer.close());
  const fake = await startFakeWriter(t);
  fake.answer = answer ?? "POSITION ev master 0 0\nPOSITION ev other 0 0\n";
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: fake.url,
    streams,
    pollIntervalMs: 0,
    minBackoffMs: 1,
    maxBackoffMs: 5,
  });
  t.teardown(() => slaved.close());
  const given: unknown[] = [];
  for (const stream of streams) {
    slaved.subscribe(
      stream,
      ({ stream, instance, token, rows }) =>
        void given.push([stream, instance, token, rows]),
    );
  }
  return {
    fake,
    slaved,
    given,
    async write(stream, ...rows) {
      const { token } = await writer.transaction("write", (txn) => {
        for (const row of rows) txn.write(stream, row);
        return Promise.resolve();
      });
      return token;
    },
  };
}

const master = (token: number) => ({ instance: "master", token });

t.test("A001: REPLICATE without an argument is a command", async (t) => {
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  await using slaved = await connectByHand(String(writer.url));
  t.match(slaved.text, /^POSITION caches master 0 0$/m);
});

t.test("A002: RDATA has a stream, an instance, a whole token, and JSON with spaces", async (t) => {
  const { fake, slaved, given } = await start(t);
  fake.send(
    'RDATA ev master 6287863 ["ev", ["$event", "!room", null]]\n' +
      "POSITION ev master 6287863 6287863\n",
  );
  await slaved.waitFor(master(6287863));
  t.same(given, [
    ["ev", "master", 6287863, [["ev", ["$event", "!room", null]]]],
  ]);
});

t.test("A003: a token that is batch is none yet", async (t) => {
  const { fake, slaved, given } = await start(t);
  fake.send("RDATA ev master batch 1\nRDATA ev master batch 2\n");
  fake.send("RDATA ev master 7 3\nPOSITION ev master 7 7\n");
  await slaved.waitFor(master(7));
  t.same(given, [["ev", "master", 7, [1, 2, 3]]]);
});

t.test("A008 and rule 9: a wait for one writer's token isn't ended by another writer's", async (t) => {
  const { fake, slaved } = await start(t);
  fake.send("POSITION ev other 0 9\n");
  await slaved.waitFor({ instance: "other", token: 9 });
  await t.rejects(slaved.waitFor(master(9), { timeoutMs: 20 }), {
    code: "WAIT_TIMEOUT",
  });
  const wait = slaved.waitFor(master(9));
  fake.send("POSITION ev master 0 9\n");
  await wait;
});

t.test("A009: RDATA of the first of two tokens, and a POSITION, end a wait for the second", async (t) => {
  const { fake, slaved, given } = await start(t);
  const wait = slaved.waitFor(master(3));
  fake.send('RDATA ev master 2 "first"\nPOSITION ev master 2 3\n');
  await wait;
  t.same(given, [["ev", "master", 2, ["first"]]]);
});

t.test("A015: a token behind the position is dropped, and the position stays", async (t) => {
  const { fake, slaved, given } = await start(t);
  fake.send(
    'RDATA ev master 5 "a"\nPOSITION ev master 5 5\n' +
      'RDATA ev master 4 "late"\nPOSITION ev master 5 6\n',
  );
  await slaved.waitFor(master(6));
  t.same(given, [["ev", "master", 5, ["a"]]]);
  t.equal(slaved.position.get("master"), 6);
});

t.test("3.1: tokens may leap, and come twice", async (t) => {
  const { fake, slaved, given } = await start(t);
  fake.send(
    "RDATA ev master 6 6\nRDATA ev master 60 60\nRDATA ev master 60 60\n" +
      "POSITION ev master 60 60\nRDATA ev master 60 60\n" +
      "POSITION ev master 60 61\n",
  );
  await slaved.waitFor(master(61));
  t.same(given, [["ev", "master", 6, [6]], ["ev", "master", 60, [60]]]);
  t.equal(slaved.stats.catchUps, 0);
});

t.test("rule 2: batches are apart by stream and by instance", async (t) => {
  const { fake, slaved, given } = await start(t);
  fake.send(
    'RDATA ev master batch "e1"\nRDATA typing master batch "t1"\n' +
      'RDATA ev other batch "o1"\nRDATA ev master 2 "e2"\n' +
      'RDATA typing master 2 "t2"\nRDATA ev other 2 "o2"\n' +
      "POSITION ev master 2 2\nPOSITION ev other 2 2\n",
  );
  await slaved.waitFor(new Map([["master", 2], ["other", 2]]));
  t.same(given, [
    ["ev", "master", 2, ["e1", "e2"]],
    ["typing", "master", 2, ["t1", "t2"]],
    ["ev", "other", 2, ["o1", "o2"]],
  ]);
});

t.test("rule 2: a POSITION ends what was pending", async (t) => {
  const { fake, slaved, given } = await start(t);
  fake.send(
    'RDATA ev master batch "torn"\nPOSITION ev master 0 1\n' +
      'RDATA ev master 2 "whole"\nPOSITION ev master 2 2\n',
  );
  await slaved.waitFor(master(2));
  t.same(given, [["ev", "master", 2, ["whole"]]]);
});

t.test("rule 2: a lost connection ends what was pending; the log has it whole", async (t) => {
  const { fake, slaved, given, write } = await start(t);
  const token = await write(ev, "a", "b");
  fake.send(`RDATA ev master batch "a"\n`);
  fake.answer = `POSITION ev master ${token} ${token}\n`;
  fake.cut();
  await slaved.waitFor(master(token));
  t.same(given, [["ev", "master", token, ["a", "b"]]]);
  t.equal(slaved.stats.connections, 2);
});

t.test("3.1: rows before the connection's first POSITION are dropped, as it brings them", async (t) => {
  const { fake, slaved, given, write } = await start(t);
  const token = await write(ev, "a");
  fake.answer = `RDATA ev master ${token} "not this one"\n` +
    `POSITION ev master ${token} ${token}\n`;
  fake.cut();
  await slaved.waitFor(master(token));
  t.same(given, [["ev", "master", token, ["a"]]]);
});

t.test("3.3: a POSITION whose previous token is ahead fetches what lies between", async (t) => {
  const { fake, slaved, given, write } = await start(t);
  const first = await write(ev, "a");
  const second = await write(typing, "b");
  fake.send(`POSITION ev master ${second} ${second}\n`);
  await slaved.waitFor(master(second));
  t.same(given, [
    ["ev", "master", first, ["a"]],
    ["typing", "master", second, ["b"]],
  ]);
  t.equal(slaved.stats.catchUps, 1);
});

t.test("3.3: a POSITION whose previous token was reached fetches nothing", async (t) => {
  const { fake, slaved } = await start(t);
  fake.send("POSITION ev master 0 40\nPOSITION ev master 40 50\n");
  await slaved.waitFor(master(50));
  t.equal(slaved.stats.catchUps, 0);
});

t.test("rule 1: POSITION with one token, of a stream that isn't known", async (t) => {
  const { fake, slaved } = await start(t);
  fake.send(
    `RDATA federation master 4 ["p",{}]\nPOSITION federation master 4\r\n`,
  );
  await slaved.waitFor(master(4));
  t.equal(slaved.stats.connections, 1);
});

t.test("3.1: a row that its stream's schema refuses loses its batch, and no connection", async (t) => {
  const { fake, slaved, given } = await start(t);
  const strict = defineStream("strict", z.string());
  t.throws(() => slaved.subscribe(strict, () => {}), {
    code: "STREAM_UNKNOWN",
  });
  fake.send(`RDATA strict master 1 5\nRDATA ev master 2 "next"\n`);
  fake.send("POSITION ev master 2 2\n");
  await slaved.waitFor(master(2));
  t.same(given, [["ev", "master", 2, ["next"]]]);
  t.equal(slaved.stats.connections, 1);
});

/** Asks a real server for its positions. */
async function connectByHand(url: string) {
  const { connect } = await import("node:net");
  const { hostname, port } = new URL(url.replace("tcp:", "http:"));
  const socket = connect({ host: hostname, port: Number(port) });
  let text = "";
  socket.on("data", (chunk) => text += chunk);
  socket.write("REPLICATE\n");
  await until("it is answered", () => text.includes("POSITION events"));
  return {
    get text() {
      return text;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(void socket.destroy()),
  };
}
