// Section 1 of the protocol, and rules 1 and 5: lines, fields and JSON, as they
// are sent and as they are taken.

import t from "tap";
import { z } from "zod";
import { defineStream, WriterStore } from "../../../mod.ts";
import { follow } from "../../../src/slaved/mod.ts";
import { until } from "../../support/conditions.ts";
import { startFakeWriter } from "../../support/fake_writer.ts";
import { netcat } from "../../support/netcat.ts";
import type { TestDatabase } from "../../support/stores.ts";

const notes = defineStream("notes", z.unknown());

t.test("lines where Synapse listens", async (t) => {
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
    serverName: "localhost:8823",
    streams: [notes],
    synapseCompatible: true,
  });
  t.teardown(() => writer.close());
  const url = String(writer.url);
  const write = (...rows: unknown[]) =>
    writer.transaction("note", (txn) => {
      for (const row of rows) txn.write(notes, row);
      return Promise.resolve();
    });

  await t.test("2.1: SERVER says the configured name, a port included", async (t) => {
    const person = await netcat(t, url);
    await person.line("it is served", (line) => line.startsWith("SERVER"));
    t.same(person.lines(), ["SERVER localhost:8823"]);
  });

  await t.test("1: JSON goes out compact, and as ASCII", async (t) => {
    const person = await netcat(t, url);
    await person.line("it is served", (line) => line.startsWith("SERVER"));
    await write({ a: ["é", "👍", "\u2028"], b: { c: null } }, 1.5, "a\n\r\tb");
    await person.line("its end", (line) => line.startsWith("POSITION"));
    t.same(person.lines().slice(1, 4), [
      String
        .raw`RDATA notes master batch {"a":["\u00e9","\ud83d\udc4d","\u2028"],"b":{"c":null}}`,
      "RDATA notes master batch 1.5",
      String.raw`RDATA notes master 1 "a\n\r\tb"`,
    ]);
  });

  await t.test("1 and rule 5: a line of 16384 bytes passes, one of 16385 does not", async (t) => {
    const person = await netcat(t, url);
    person.send(`NAME ${"n".repeat(16_384 - 5)}\nREPLICATE\n`);
    await person.line("a position", (line) => line.startsWith("POSITION"));
    const other = await netcat(t, url);
    other.send(`NAME ${"n".repeat(16_385 - 5)}\nREPLICATE\n`);
    t.match(
      await other.line("an error", (line) => line.startsWith("ERROR")),
      /^ERROR Line length exceeded/,
    );
    await until("it is closed", other.isClosed);
  });

  await t.test("rule 5: a row that would not fit is refused before anything is committed", async (t) => {
    const before = writer.position;
    await t.rejects(write("small", "n".repeat(16_384)), {
      code: "ROW_TOO_LONG",
      message: /maxLineBytes is 16384/,
    });
    t.same(writer.position, before);
    const { token } = await write("n".repeat(16_000));
    t.equal(token, Number(before.get("master")) + 1, "no token is lost");
  });
});

t.test("rule 5: between Headwater's own ends a line may have 1 MiB", async (t) => {
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
    streams: [notes],
  });
  t.teardown(() => writer.close());
  const lengths: number[] = [];
  await using _following = follow({
    replicate: String(writer.url),
    onBatch: ({ rows }) => void lengths.push(String(rows[0]).length),
  });
  await until("it is there", () => writer.stats.connections === 1);
  await writer.transaction("note", (txn) => {
    txn.write(notes, "n".repeat(1_000_000));
    return Promise.resolve();
  });
  await until("it is given", () => lengths.length > 0);
  t.same(lengths, [1_000_000]);
});

t.test("rule 1: what other senders write is taken", async (t) => {
  const fake = await startFakeWriter(t);
  const given: unknown[] = [];
  const positions: unknown[] = [];
  await using following = follow({
    replicate: fake.url,
    onBatch: ({ stream, token, rows }) =>
      void given.push([stream, token, rows]),
    onPosition: ({ stream, previous, token }) =>
      void positions.push([stream, previous, token]),
  });
  await until("it is there", () => fake.received().includes("REPLICATE"));
  fake.send(
    `RDATA typing w1 batch ["!r:x", [ "@é:x" ] ]\r\n` +
      `RDATA typing w1 batch ["!q:x", []]\r\n` +
      `RDATA typing w1 3 ["!s:x",[]]\r\n\r\n\n` +
      `RDATA receipts w1 5  { "big" : 123456789012345678901234567890 }\n` +
      `POSITION typing w1 7\r\nPOSITION receipts w1 5 9\n` +
      `PING 1\r\nPOSITION never_heard w2 1 1\r\n`,
  );
  await until("all is told", () => positions.length === 3);
  t.same(given, [
    ["typing", 3, [["!r:x", ["@é:x"]], ["!q:x", []], ["!s:x", []]]],
    ["receipts", 5, [{ big: 123456789012345678901234567890 }]],
  ]);
  t.same(positions, [["typing", 7, 7], ["receipts", 5, 9], [
    "never_heard",
    1,
    1,
  ]]);
  t.equal(following.connections, 1);
});

t.test("1: names are matched exactly, as upper case", async (t) => {
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  for (const line of ["replicate", "Ping 1", " REPLICATE", "REPLICATE\t"]) {
    const person = await netcat(t, String(writer.url));
    person.send(`${line}\n`);
    const quoted = JSON.stringify(line);
    await person.line(
      `${quoted} is refused`,
      (answer) =>
        answer === `ERROR failed to parse line: unknown command (${quoted})`,
    );
  }
});

t.test("1: a server's name that would not be one field is refused", async (t) => {
  for (const serverName of ["", "a b", "a\n", "é", "x".repeat(256)]) {
    await t.rejects(
      WriterStore.open({ database: "sqlite::memory:", serverName }),
      { code: "INVALID_ARGUMENT", message: /serverName is/ },
    );
  }
});
