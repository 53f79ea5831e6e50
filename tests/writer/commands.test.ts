// Commands between a writer and its workers: the users' own, and the wire's.

import t, { type Test } from "tap";
import { z } from "zod";
import {
  SlavedStore,
  WriterStore,
  type WriterStoreOptions,
} from "../../mod.ts";
import { defineCommand } from "../../src/protocol/mod.ts";
import type { Logger } from "../../src/runtime/logger.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { netcat } from "../support/netcat.ts";
import type { TestDatabase } from "../support/stores.ts";

const kick = defineCommand("KICK", z.object({ userId: z.string() }));
const kicked = defineCommand("KICKED", z.string());

async function start(
  t: Test,
  { synapseCompatible }: Pick<WriterStoreOptions, "synapseCompatible"> = {},
) {
  const database = temporaryDatabase(t);
  const warnings: unknown[] = [];
  const writer = await WriterStore.open<TestDatabase>({
    database,
    listen: "tcp://127.0.0.1:0",
    synapseCompatible,
    logger: (level, message, fields) => {
      if (level !== "debug") warnings.push({ message, ...fields });
    },
  });
  t.teardown(() => writer.close());
  const connect = async (name: string) => {
    const slaved = await SlavedStore.connect<TestDatabase>({
      database,
      replicate: String(writer.url),
      name,
    });
    t.teardown(() => slaved.close());
    return slaved;
  };
  return { writer, warnings, connect };
}

/** Resolves once what was said before has been read at the other end. */
async function settled(
  writer: WriterStore<TestDatabase>,
  ...stores: SlavedStore<TestDatabase>[]
): Promise<void> {
  const commit = await writer.transaction("settle", (txn) => {
    txn.invalidateAll("nothing");
    return Promise.resolve();
  });
  for (const store of stores) await store.waitFor(commit);
}

t.test("commands of the users' own", async (t) => {
  const { writer, warnings, connect } = await start(t);
  const first = await connect("first");
  const second = await connect("second");
  const deaf = await connect("deaf");
  const person = await netcat(t, String(writer.url));
  const heard: unknown[] = [];
  for (const slaved of [first, second]) {
    slaved.onCommand(kick, ({ userId }, { instance }) => {
      heard.push([slaved === first ? "first" : "second", userId, instance]);
      slaved.send(kicked, userId);
    });
  }
  const answers: unknown[] = [];
  writer.onCommand(
    kicked,
    (userId, { instance, name }) => void answers.push([userId, instance, name]),
  );
  await until(
    "both have told that they take it",
    () => writer.send(kick, { userId: "@bob" }) === 2,
  );
  await until("both have answered", () => answers.length >= 2);
  t.same(heard.slice().sort(), [
    ["first", "@bob", "master"],
    ["second", "@bob", "master"],
  ]);
  t.same(
    answers.slice().sort(),
    [
      ["@bob", first.instanceId, "first"],
      ["@bob", second.instanceId, "second"],
    ].sort(),
  );

  await t.test("go to one, if that is wanted", async (t) => {
    heard.length = 0;
    const to = second.instanceId;
    t.equal(writer.send(kick, { userId: "@eve" }, { to }), 1);
    await until("it has come", () => heard.length > 0);
    t.equal(writer.send(kick, { userId: "@eve" }, { to: "nobody" }), 0);
    t.equal(first.send(kicked, "x", { to: "nobody" }), 1);
    await settled(writer, first, second);
    t.same(heard, [["second", "@eve", "master"]]);
    t.notOk(answers.some((answer) => (answer as unknown[])[0] === "x"));
  });

  await t.test("come after what was committed before", async (t) => {
    const { token } = await writer.transaction("first", (txn) => {
      txn.invalidateAll("nothing");
      return Promise.resolve();
    });
    const reached = new Promise<boolean>((resolve) => {
      const stop = first.onCommand(kick, () => {
        stop();
        resolve(Number(first.position.get("master")) >= token);
      });
    });
    writer.send(kick, { userId: "@bob" });
    t.ok(await reached);
  });

  await t.test("are not seen by those that have not asked, and hurt nobody", async (t) => {
    t.equal(deaf.send(kick, { userId: "@eve" }), 1, "nobody takes it there");
    await settled(writer, first, second, deaf);
    t.notOk(person.text().includes("X_KICK"));
    t.equal(deaf.stats.connections, 1);
    t.equal(writer.stats.connections, 4);
    t.same(warnings, []);
  });

  await t.test("of another shape are passed over, and logged", async (t) => {
    const loose = defineCommand("KICKED", z.number());
    t.equal(first.send(loose, 5), 1);
    await until("it is logged", () => warnings.length > 0);
    t.match(warnings, [
      { message: "the handler of a command failed", command: "KICKED" },
    ]);
    t.equal(first.stats.connections, 1);
  });

  await t.test("that would not fit into a line are refused", (t) => {
    const userId = "x".repeat(1024 * 1024);
    t.throws(() => writer.send(kick, { userId }), {
      code: "LINE_TOO_LONG",
      message: /^Cannot send command KICK: .* maxLineBytes is 1048576/,
    });
    t.throws(() => first.send(kick, { userId }), { code: "LINE_TOO_LONG" });
    t.end();
  });

  await t.test("go nowhere once it is closed", async (t) => {
    await first.close();
    t.throws(() => first.send(kicked, "@bob"), { code: "CLOSED" });
    await writer.close();
    t.throws(() => writer.send(kick, { userId: "@bob" }), { code: "CLOSED" });
  });
});

t.test("what a worker takes is told again on each connection", async (t) => {
  const database = temporaryDatabase(t);
  const open = (listen: string) =>
    WriterStore.open<TestDatabase>({ database, listen });
  let writer = await open("tcp://127.0.0.1:0");
  t.teardown(() => writer.close());
  const url = String(writer.url);
  await using slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: url,
    minBackoffMs: 1,
    maxBackoffMs: 5,
  });
  const heard: string[] = [];
  slaved.onCommand(kick, ({ userId }) => void heard.push(userId));
  slaved.presence.start("@bob", "PHONE");
  await until("bob is there", () => writer.presence.isPresent("@bob"));
  await writer.close();
  writer = await open(url);
  await until("it takes it", () => writer.send(kick, { userId: "@eve" }) > 0);
  await until("it has come", () => heard.length > 0);
  t.same(writer.presence.sessions("@bob").map(({ deviceId }) => deviceId), [
    "PHONE",
  ]);
  slaved.presence.end("@bob", "PHONE");
  await until("bob is gone", () => writer.presence.size === 0);
});

t.test("commands of the wire's own, in both directions", async (t) => {
  const { writer, connect } = await start(t);
  const slaved = await connect("worker");
  const heard: unknown[] = [];
  writer.onCommand(
    "FEDERATION_ACK",
    ({ instance, token }) => void heard.push([instance, token]),
  );
  writer.onCommand("USER_IP", ({ ip }) => void heard.push(ip));
  slaved.onCommand(
    "LOCK_RELEASED",
    ({ lockKey }, { instance }) => void heard.push([lockKey, instance]),
  );
  const { token } = await writer.transaction("one", (txn) => {
    txn.invalidateAll("nothing");
    return Promise.resolve();
  });
  slaved.send("FEDERATION_ACK", { instance: "s1", token });
  slaved.send("USER_IP", {
    userId: "@bob",
    accessToken: "t",
    ip: "::1",
    userAgent: "a",
    deviceId: null,
    lastSeenMs: 1,
  });
  await until("both have come", () => heard.length === 2);
  const lock = { instance: "master", lockName: "lock", lockKey: "key" };
  t.equal(writer.send("LOCK_RELEASED", lock), 1);
  await until("it has come", () => heard.length === 3);
  t.same(heard, [["s1", token], "::1", ["key", "master"]]);
  t.equal(
    writer.send("NEW_ACTIVE_TASK", { taskId: "1" }),
    0,
    "said on shared channels only",
  );
  t.equal(slaved.send("NEW_ACTIVE_TASK", { taskId: "1" }), 0);
});

t.test("rule 1: LOCK_RELEASED is for our own workers only, where Synapse's may listen", async (t) => {
  const { writer, connect } = await start(t, { synapseCompatible: true });
  const slaved = await connect("worker");
  const heard: string[] = [];
  slaved.onCommand("LOCK_RELEASED", ({ lockKey }) => void heard.push(lockKey));
  const person = await netcat(t, String(writer.url));
  person.send("NAME w1\nREPLICATE \n");
  await person.line("its answer", (line) => line.startsWith("POSITION"));
  const lock = { instance: "master", lockName: "lock", lockKey: "key" };
  t.equal(writer.send("LOCK_RELEASED", lock), 1);
  t.equal(writer.send("REMOTE_SERVER_UP", { serverName: "a.org" }), 2);
  await person.line("the next", (line) => line === "REMOTE_SERVER_UP a.org");
  t.notMatch(person.text(), "LOCK_RELEASED");
  await until("it has come", () => heard.length === 1);
});

t.test("a line that is too long for one end: both say which option it is", async (t) => {
  const database = temporaryDatabase(t);
  const logs: Record<"reader" | "writer", unknown[]> = {
    reader: [],
    writer: [],
  };
  const logTo = (end: "reader" | "writer"): Logger => (level, _, fields) => {
    if (level === "warn") logs[end].push(fields?.remedy);
  };
  const open = async (writerBytes: number, readerBytes: number) => {
    const writer = await WriterStore.open<TestDatabase>({
      database,
      listen: "tcp://127.0.0.1:0",
      maxLineBytes: writerBytes,
      logger: logTo("writer"),
    });
    t.teardown(() => writer.close());
    const slaved = await SlavedStore.connect<TestDatabase>({
      database,
      replicate: String(writer.url),
      maxLineBytes: readerBytes,
      logger: logTo("reader"),
      minBackoffMs: 5,
      maxBackoffMs: 20,
    });
    t.teardown(() => slaved.close());
    return { writer, slaved };
  };
  const both = () => logs.reader.length > 0 && logs.writer.length > 0;
  const long = "x".repeat(3_000);

  await t.test("the reader's is less: it fetches what it can't be sent", async (t) => {
    const { writer, slaved } = await open(100_000, 2_000);
    const commit = await writer.transaction("long", (txn) => {
      txn.invalidate("getUserById", [long]);
      return Promise.resolve();
    });
    await slaved.waitFor(commit);
    await until("both have said so", both);
    t.match(logs.reader[0], /^give this process .* not less than its writer's/);
    t.match(logs.writer[0], /^give that reader .* not less than this writer's/);
    await slaved.close();
    await writer.close();
  });

  await t.test("the writer's is less: it hears nothing of the command", async (t) => {
    logs.reader = [];
    logs.writer = [];
    const { slaved } = await open(2_000, 100_000);
    slaved.send(kick, { userId: long });
    await until("both have said so", both);
    t.match(logs.reader[0], /^give this process .* not more than its writer's/);
    t.match(logs.writer[0], /^give readers and relays .* or raise this one$/);
    await until("it comes again", () => slaved.stats.state === "live");
  });
});
