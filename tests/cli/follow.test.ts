// `headwater follow`, as a process, after a real writer and a foreign one.

import { spawn } from "node:child_process";
import { createServer, type Socket } from "node:net";
import process from "node:process";
import t from "tap";
import { z } from "zod";
import { defineStream, WriterStore } from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { startFakeWriter } from "../support/fake_writer.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { commandFor, startProcess } from "../support/processes.ts";
import type { TestDatabase } from "../support/stores.ts";

const command = new URL("../../src/cli/main.ts", import.meta.url);
const notes = defineStream("notes", z.string());

t.test("headwater follow", async (t) => {
  const database = temporaryDatabase(t);
  const open = (listen: string) =>
    WriterStore.open<TestDatabase>({ database, listen, streams: [notes] });
  let writer = await open("tcp://127.0.0.1:0");
  t.teardown(() => writer.close());
  const url = String(writer.url);
  const write = (...texts: string[]) =>
    writer.transaction("note", (txn) => {
      for (const text of texts) txn.write(notes, text);
      txn.invalidateAll("getUserById");
      return Promise.resolve();
    });
  const all = startProcess(t, command, ["follow", url, "--verbose"]);
  const some = startProcess(t, command, ["follow", url, "--stream", "notes"]);
  await until("both are there", () => writer.stats.connections === 2);

  const { token } = await write("a", "b");
  const line = { stream: "notes", instance: "master", token, rows: ["a", "b"] };
  t.same(await some.hear("the batch", () => true), line);
  t.match(await all.hear("the invalidation", () => true), {
    stream: "caches",
    instance: "master",
    token,
    rows: [["getUserById", null, Number]],
  });
  t.same(await all.hear("the batch", () => true), line);
  await until(
    "positions are told",
    () => all.errors().includes(`"stream":"notes","instance":"master"`),
  );

  await writer.close();
  writer = await open(url);
  await until("both are back", () => writer.stats.connections === 2);
  const again = await write("c");
  t.same(await some.hear("the batch after a restart", () => true), {
    stream: "notes",
    instance: "master",
    token: again.token,
    rows: ["c"],
  });

  all.signal("SIGTERM");
  t.equal(await all.ended, 0);
  some.child.stdout?.destroy();
  await until("it has ended, its output gone", async () => {
    await write("d");
    return some.child.exitCode !== null;
  });
  t.equal(some.child.exitCode, 0);
});

t.test("headwater follow of a foreign writer", async (t) => {
  const fake = await startFakeWriter(t);
  fake.answer = "POSITION typing w1 7\n";
  const person = startProcess(t, command, ["follow", fake.url]);
  await until("it is there", () => fake.received().includes("REPLICATE"));
  fake.send(
    `RDATA typing w1 batch ["!r:x", ["@é:x"] ]\n` +
      `RDATA typing w1 3 ["!s:x",[]]\r\nRDATA receipts w1 2 {"any":1}\n`,
  );
  t.same(await person.hear("a batch", () => true), {
    stream: "typing",
    instance: "w1",
    token: 3,
    rows: [["!r:x", ["@é:x"]], ["!s:x", []]],
  });
  t.match(await person.hear("another", () => true), { stream: "receipts" });
  fake.send(`RDATA typing w1 batch ["torn"]\nPOSITION typing w1 3 3\n`);
  fake.send(`RDATA typing w1 4 ["whole"]\n`);
  t.match(await person.hear("the next", () => true), { rows: [["whole"]] });

  let printed = "";
  person.child.stdout?.on("data", (chunk) => printed += String(chunk));
  fake.send('RDATA typing w1 batch {"id": 12345678901234567890}\r\n');
  fake.send("RDATA typing w1 5 [1e999, -0.0]\n");
  await until("it is printed", () => printed.includes("\n"));
  t.equal(
    printed,
    '{"stream":"typing","instance":"w1","token":5,' +
      '"rows":[{"id": 12345678901234567890},[1e999, -0.0]]}\n',
    "rows are as they came",
  );
});

t.test("headwater follow, stuck for want of a reader", async (t) => {
  let socket: Socket | undefined;
  const server = createServer((accepted) => {
    socket = accepted;
    accepted.on("error", () => {});
  });
  t.teardown(() => {
    socket?.destroy();
    server.close();
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  const { port } = server.address() as { port: number };
  // Not startProcess(): what is printed last is torn, and no JSON.
  const [program, first] = commandFor(command);
  const url = `tcp://127.0.0.1:${port}`;
  const person = spawn(program, [...first, "follow", url], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => void person.kill("SIGKILL"));
  await until("it is there", () => socket !== undefined);
  socket?.write(`SERVER fake\nRDATA s w 1 "first"\n`);
  // One piece is read, and then no more.
  await new Promise((resolve) => person.stdout.once("readable", resolve));
  // Far more than pipes and sockets hold.
  const row = "x".repeat(100_000);
  for (let token = 2; token < 400; token += 1) {
    socket?.write(`RDATA s w ${token} "${row}"\n`);
  }
  let left = -1;
  let times = 0;
  await until("it takes no more", () => {
    const now = socket?.writableLength ?? 0;
    times = now === left ? times + 1 : 0;
    left = now;
    return times > 50;
  });
  t.ok(left > 0, "the writer is held up");
  // Not person.kill(): Deno's reports that signal, however it ended.
  process.kill(Number(person.pid), "SIGTERM");
  await until("it has ended", () => person.exitCode !== null);
  t.equal(person.exitCode, 0);
});
