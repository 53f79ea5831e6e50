// What diagnostics_channel is told of real stores.

import { Socket } from "node:net";
import { Buffer } from "node:buffer";
import t, { type Test } from "tap";
import { z } from "zod";
import {
  defineStream,
  SlavedStore,
  type Token,
  WriterStore,
} from "../../mod.ts";
import {
  onTelemetry,
  type TelemetryEventName,
  type TelemetryEvents,
} from "../../src/telemetry/mod.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import type { TestDatabase } from "../support/stores.ts";

const notes = defineStream("notes", z.string());

/** Keeps what a channel tells during a test. */
function listen<Name extends TelemetryEventName>(
  t: Test,
  name: Name,
): TelemetryEvents[Name][] {
  const events: TelemetryEvents[Name][] = [];
  t.teardown(onTelemetry(name, (event) => events.push(event)));
  return events;
}

function note(
  writer: WriterStore<TestDatabase>,
  ...texts: string[]
): ReturnType<WriterStore<TestDatabase>["transaction"]> {
  return writer.transaction("note", (txn) => {
    for (const text of texts) txn.write(notes, text);
    return Promise.resolve();
  });
}

t.test("commits, applications, connections, catch-ups and resets", async (t) => {
  const commits = listen(t, "headwater:commit");
  const applied = listen(t, "headwater:applied");
  const catchUps = listen(t, "headwater:catch-up");
  const resets = listen(t, "headwater:reset");
  const connected = listen(t, "headwater:connected");
  const disconnected = listen(t, "headwater:disconnected");
  const database = temporaryDatabase(t);
  const options = { database, streams: [notes] };
  const writer = await WriterStore.open<TestDatabase>({
    ...options,
    listen: "tcp://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  const replicate = String(writer.url);
  const slaved = await SlavedStore.connect<TestDatabase>({
    ...options,
    replicate,
    name: "worker",
    pollIntervalMs: 0,
    minBackoffMs: 1,
    maxBackoffMs: 5,
  });
  t.teardown(() => slaved.close());
  t.match(resets, [
    { instance: "master", token: 0, reason: "first position of the instance" },
  ]);
  t.match([...connected].sort((a, b) => a.side < b.side ? -1 : 1), [
    { side: "reader", name: "worker", peer: undefined },
    { side: "writer", name: "master", peer: /127\.0\.0\.1/ },
  ]);

  const { token } = await note(writer, "a", "b");
  await slaved.waitFor({ instance: "master", token });
  await writer.transaction("look", () => Promise.resolve());
  t.same(commits, [
    { instance: "master", token, name: "note", rows: 2, attempts: 1 },
  ]);
  await until("it is told", () => applied.length > 0);
  t.same(applied, [{ instance: "master", token, transactions: 1, rows: 2 }]);

  await writer.close();
  await until("both have told", () => disconnected.length === 2);
  t.match([...disconnected].sort((a, b) => a.side < b.side ? -1 : 1), [
    { side: "reader", name: "worker", reason: "lost" },
    { side: "writer", name: "master", peer: /^worker/, reason: "closing" },
  ]);
  const quiet = await WriterStore.open<TestDatabase>(options);
  await note(quiet, "c");
  const missed = await note(quiet, "d");
  await quiet.close();
  applied.length = 0;
  const again = await WriterStore.open<TestDatabase>({
    ...options,
    listen: replicate,
  });
  t.teardown(() => again.close());
  await slaved.waitFor(missed);
  await until("it is told", () => catchUps.length > 0);
  t.same(catchUps, [
    { instance: "master", after: token, upTo: missed.token, rows: 2 },
  ]);
  t.same(applied, [{
    instance: "master",
    token: missed.token,
    transactions: 2,
    rows: 2,
  }]);
  t.equal(resets.length, 1);
  disconnected.length = 0;
  await slaved.close();
  await until("both have told", () => disconnected.length === 2);
  t.match([...disconnected].sort((a, b) => a.side < b.side ? -1 : 1), [
    { side: "reader", reason: "closing" },
    { side: "writer", reason: "left" },
  ]);
});

t.test("what comes over two ways is told of once", async (t) => {
  const applied = listen(t, "headwater:applied");
  const options = { database: temporaryDatabase(t), streams: [notes] };
  const address = "tcp://127.0.0.1:0";
  const writer = await WriterStore.open<TestDatabase>({
    ...options,
    listen: [address, address],
  });
  t.teardown(() => writer.close());
  const slaved = await SlavedStore.connect<TestDatabase>({
    ...options,
    replicate: writer.urls,
    pollIntervalMs: 0,
  });
  t.teardown(() => slaved.close());
  t.equal(writer.stats.connections, 2);
  // While it is at work the same comes over the other way, and waits.
  const begun: number[] = [];
  slaved.subscribe(notes, async ({ token }) => {
    begun.push(token);
    for (let turn = 0; turn < 5; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
  const tokens: number[] = [];
  for (let index = 0; index < 20; index += 1) {
    tokens.push((await note(writer, "a")).token);
  }
  await slaved.waitFor(new Map([["master", tokens.at(-1) as Token]]));
  await until("they are told", () => applied.length >= tokens.length);
  await slaved.close();
  t.same(applied.map(({ token }) => token), tokens);
  t.same(begun, tokens);
});

t.test("one that can't keep up, and one that must not speak so", async (t) => {
  const laggards = listen(t, "headwater:laggard");
  const disconnected = listen(t, "headwater:disconnected");
  const writer = await WriterStore.open<TestDatabase>({
    database: temporaryDatabase(t),
    listen: "tcp://127.0.0.1:0",
    streams: [notes],
    maxOutboxBytes: 1_000,
  });
  t.teardown(() => writer.close());
  const { port } = new URL(String(writer.url));
  const socket = new Socket();
  t.teardown(() => socket.destroy());
  socket.on("error", () => {});
  await new Promise<void>((resolve) =>
    socket.connect(Number(port), "127.0.0.1", resolve)
  );
  let heard = "";
  socket.on("data", (chunk) => heard += chunk);
  socket.write("NAME sleepy\nREPLICATE\n");
  await until("it is answered", () => heard.includes("POSITION "));
  socket.pause();
  const text = "x".repeat(500_000);
  while (writer.stats.laggards === 0) await note(writer, text, text);
  t.match(laggards, [
    { side: "writer", name: "master", peer: /^sleepy/, queuedBytes: Number },
  ]);
  t.ok(Number(laggards[0]?.queuedBytes) > 1_000);
  t.match(disconnected, [{ peer: /^sleepy/, reason: "laggard" }]);

  const other = new Socket();
  t.teardown(() => other.destroy());
  other.on("error", () => {});
  await new Promise<void>((resolve) =>
    other.connect(Number(port), "127.0.0.1", resolve)
  );
  other.write(Buffer.from("NONSENSE\n"));
  await until("it is told", () => disconnected.length > 1);
  t.match(disconnected[1], { reason: "invalid" });
});

t.test("what nobody listens to is not told", async (t) => {
  const heard: unknown[] = [];
  const stop = onTelemetry("headwater:commit", (event) => heard.push(event));
  stop();
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    streams: [notes],
  });
  t.teardown(() => writer.close());
  await note(writer, "a");
  t.same(heard, []);
});
