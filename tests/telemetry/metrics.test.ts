// What OpenTelemetry is told of real stores.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { z } from "zod";
import { defineStream, SlavedStore, WriterStore } from "../../mod.ts";
import {
  AUDIT_INSTRUMENTS,
  CACHE_INSTRUMENTS,
} from "../../src/telemetry/cache_metrics.ts";
import { READER_INSTRUMENTS } from "../../src/telemetry/reader_metrics.ts";
import { WRITER_INSTRUMENTS } from "../../src/telemetry/writer_metrics.ts";
import type { AcceptConnection, Transport } from "../../src/transport/mod.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { createUsers, saveUser, type TestDatabase } from "../support/stores.ts";
import { installMeter } from "../support/telemetry.ts";

const notes = defineStream("notes", z.string());
const drafts = defineStream("drafts", z.string(), { durable: false });
const streams = [notes, drafts];

async function openWriter(
  t: Test,
  database = temporaryDatabase(t),
): Promise<{ database: string; writer: WriterStore<TestDatabase> }> {
  const writer = await WriterStore.open<TestDatabase>({
    database,
    listen: "tcp://127.0.0.1:0",
    streams,
  });
  t.teardown(() => writer.close());
  return { database, writer };
}

t.test("a writer and its readers are measured while they are open", async (t) => {
  const meter = installMeter(t);
  const { database, writer } = await openWriter(t);
  const options = {
    database,
    replicate: String(writer.url),
    streams,
    pollIntervalMs: 0,
  };
  const one = await SlavedStore.connect<TestDatabase>(options);
  t.teardown(() => one.close());
  const two = await SlavedStore.connect<TestDatabase>(options);
  t.teardown(() => two.close());
  t.equal(meter.observers, 3);
  await createUsers(writer);
  const note = await writer.transaction("note", (txn) => {
    for (const text of ["a", "b", "c"]) txn.write(notes, text);
    return Promise.resolve();
  });
  await t.rejects(
    writer.transaction("fail", () => Promise.reject(new Error("no"))),
  );
  writer.publish(drafts, ["x", "y"]);
  const { token } = await saveUser(writer, { id: "1", name: "a", version: 1 });
  for (const slaved of [one, two]) {
    await slaved.waitFor({ instance: "master", token });
  }

  const written = { store: "master", side: "writer" };
  const wrote = (name: string, attributes = {}) =>
    meter.value(`headwater.${name}`, { ...written, ...attributes });
  t.equal(wrote("transactions", { outcome: "committed" }), 3);
  t.equal(wrote("transactions", { outcome: "rolled_back" }), 1);
  t.equal(wrote("transactions.repeated"), 0);
  t.equal(wrote("position", { instance: "master" }), token);
  t.equal(wrote("rows.sent", { stream: "notes" }), 3, "once for two readers");
  t.equal(wrote("rows.sent", { stream: "caches" }), 3);
  t.equal(wrote("rows.sent", { stream: "drafts" }), 2);
  t.equal(wrote("connections"), 2);
  t.equal(wrote("disconnections", { reason: "left" }), 0);
  t.equal(wrote("presence.sessions"), 0);

  for (const store of ["slaved", "slaved#2"]) {
    const read = (name: string, attributes = {}) =>
      meter.value(`headwater.${name}`, {
        store,
        side: "reader",
        ...attributes,
      });
    t.equal(read("rows.applied", { stream: "notes" }), 3, store);
    t.equal(read("rows.applied", { stream: "caches" }), 3);
    t.equal(read("transactions.applied"), 2, "those with rows");
    t.equal(read("position", { instance: "master" }), token);
    t.equal(read("lag", { instance: "master" }), 0);
    t.equal(read("lag.time", { instance: "master" }), 0);
    t.equal(read("connections"), 1);
    t.equal(read("connections.made"), 1);
    t.equal(read("catch_ups"), 0);
    t.equal(read("catch_ups.running"), 0);
    t.equal(read("catch_ups.rows"), 0);
    t.equal(read("resets"), 1, "the first position");
    t.equal(read("flushes"), 1);
    t.equal(read("waiters"), 0);
    t.equal(read("handlers.failures"), 0);
    t.equal(read("handlers.queue"), 0);
    t.type(read("invalidations"), "number");
  }
  const waiting = one.waitFor({
    instance: "master",
    token: token + 1 as typeof token,
  }, {
    onTimeout: "return",
    timeoutMs: 60_000,
  });
  waiting.catch(() => {});
  await until(
    "it waits",
    () => meter.value("headwater.waiters", { store: "slaved" }) === 1,
  );
  t.ok(note.token < token);

  await one.close();
  await t.rejects(waiting, { code: "CLOSED" });
  await until("one is gone", () => wrote("connections") === 1);
  t.equal(wrote("disconnections", { reason: "left" }), 1);
  t.equal(meter.observers, 2);
  await two.close();
  await writer.close();
  t.equal(meter.observers, 0, "what is closed is not observed");
  t.same(meter.collect(), []);
});

t.test("what waits for readers is measured: in all, and of the one with the most", async (t) => {
  const meter = installMeter(t);
  const { accepts, transport } = fakeTransport();
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: transport,
  });
  t.teardown(() => writer.close());
  const value = (name: string) => meter.value(`headwater.${name}`, {});
  t.equal(value("queue.size"), 0);
  t.equal(value("queue.size.max"), 0);
  const queues = [300, 0, 500].map((queuedBytes) => {
    const connection = {
      remote: "reader",
      isShared: false,
      queuedBytes,
      send: () => {},
      pause: () => {},
      resume: () => {},
      close: () => {},
    };
    const handler = accepts[0]?.(connection);
    return { connection, handler };
  });
  t.equal(value("queue.size"), 800);
  t.equal(value("queue.size.max"), 500);
  for (const { connection } of queues) connection.queuedBytes += 10;
  t.equal(value("queue.size"), 830);
  t.equal(value("queue.size.max"), 510);
  queues[2]?.handler?.closed();
  t.equal(value("queue.size"), 320);
  t.equal(value("queue.size.max"), 310);
});

/** Nothing that connects but what a test makes. */
function fakeTransport() {
  const accepts: AcceptConnection[] = [];
  const transport: Transport = {
    listen(accept) {
      accepts.push(accept);
      return Promise.resolve({ url: "fake:", close: () => Promise.resolve() });
    },
    connect: () => Promise.reject(new TypeError("not asked for")),
  };
  return { accepts, transport };
}

t.test("a catch-up and a lag are measured", async (t) => {
  const meter = installMeter(t);
  const { database, writer } = await openWriter(t);
  const url = String(writer.url);
  await createUsers(writer);
  const held = Promise.withResolvers<void>();
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: url,
    streams,
    name: "worker",
    pollIntervalMs: 0,
    minBackoffMs: 1,
    maxBackoffMs: 5,
  });
  t.teardown(() => slaved.close());
  const read = (name: string, attributes = {}) =>
    meter.value(`headwater.${name}`, { store: "worker", ...attributes });
  const note = (to: WriterStore<TestDatabase>, text: string) =>
    to.transaction("note", (txn) => {
      txn.write(notes, text);
      return Promise.resolve();
    });
  const stop = slaved.subscribe(notes, () => held.promise);
  const { token } = await note(writer, "a");
  await until("it lags", () => read("lag", { instance: "master" }) === 1);
  t.ok(Number(read("lag.time", { instance: "master" })) > 0);
  held.resolve();
  await slaved.waitFor({ instance: "master", token });
  t.equal(read("lag", { instance: "master" }), 0);
  stop();

  await writer.close();
  t.equal(meter.observers, 1);
  const quiet = await WriterStore.open<TestDatabase>({ database, streams });
  await note(quiet, "b");
  await note(quiet, "c");
  await quiet.close();
  t.equal(read("connections"), 0, "it has nobody");
  const again = await WriterStore.open<TestDatabase>({
    database,
    listen: url,
    streams,
  });
  t.teardown(() => again.close());
  await slaved.waitFor(await note(again, "d"));
  t.equal(read("connections.made"), 2);
  t.equal(read("catch_ups"), 1);
  await until(
    "its rows are counted",
    () => Number(read("catch_ups.rows")) >= 2,
  );
  t.equal(read("resets"), 1);
});

t.test("every instrument is made as it is documented", async (t) => {
  const meter = installMeter(t);
  const { database, writer } = await openWriter(t);
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: String(writer.url),
    streams,
  });
  await slaved.close();
  const all = {
    ...WRITER_INSTRUMENTS,
    ...READER_INSTRUMENTS,
    ...CACHE_INSTRUMENTS,
    ...AUDIT_INSTRUMENTS,
  };
  t.same([...meter.made.keys()].sort(), Object.keys(all).sort());
  const text = readFileSync(documentation(), "utf8");
  const kinds = {
    counter: "counter",
    upDownCounter: "up-down counter",
    gauge: "gauge",
  };
  for (const [name, { kind, options }] of meter.made) {
    t.match(options, { unit: String, description: String }, name);
    const row = text.split("\n").find((line) =>
      line.startsWith(`| \`${name}\``)
    );
    const cells = row?.split("|").map((cell) => cell.trim()) ?? [];
    t.same(cells.slice(1, 4), [
      `\`${name}\``,
      kinds[kind],
      `\`${options.unit}\``,
    ]);
  }
});

/** From dist/ under Node, where a folder lies between. */
function documentation(): string {
  const isBuilt = import.meta.url.includes("/dist/tests/");
  const up = isBuilt ? "../../../" : "../../";
  return fileURLToPath(new URL(`${up}docs/telemetry.md`, import.meta.url));
}
