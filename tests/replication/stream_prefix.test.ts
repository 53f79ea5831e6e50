// A prefix for the built-in streams: what is on the wire has it, nothing else
// has, and a foreign stream of the bare name is nobody's.

import t from "tap";
import { z } from "zod";
import { defineStream, eventsStream, WriterStore } from "../../mod.ts";
import { createWireNames } from "../../src/streams/wire_names.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { netcat } from "../support/netcat.ts";
import { saveUser, Users } from "../support/stores.ts";
import { connectUsers, openUsers } from "../support/users.ts";

const orders = defineStream("orders", z.object({ id: z.string() }));

t.test("a reader with the writer's prefix follows it", async (t) => {
  const options = {
    database: temporaryDatabase(t),
    streams: [orders],
    streamPrefix: "hw_",
  };
  const writer = await openUsers(t, {
    ...options,
    listen: "tcp://127.0.0.1:0",
  });
  await saveUser(writer, { id: "bob", name: "Bob", version: 1 });
  const slaved = await connectUsers(t, writer, { ...options });
  const users = slaved.attach(Users);
  t.equal((await users.getUserById("bob"))?.version, 1);
  const events: string[] = [];
  slaved.subscribe(eventsStream, ({ rows }) => {
    events.push(...rows.map(([aggregate]) => aggregate));
  });

  const person = await netcat(t, String(writer.url));
  person.send("REPLICATE\n");
  await person.line("orders' position", (line) => line.includes("orders"));
  await saveUser(writer, { id: "bob", name: "Bob", version: 2 });
  const commit = await writer.transaction("order", async (txn) => {
    txn.write(orders, { id: "a" });
    await txn.append("user:bob", [{ type: "ordered", data: {} }]);
  });
  await slaved.waitFor(commit);
  t.equal((await users.getUserById("bob"))?.version, 2, "its cache is right");
  await until("the event is delivered", () => events.length > 0);
  t.same(events, ["user:bob"]);
  await person.line("the row", (line) => line.startsWith("RDATA orders"));
  const names = person.lines()
    .filter((line) => /^(RDATA|POSITION)/.test(line))
    .map((line) => line.split(" ").slice(0, 2).join(" "));
  t.same([...new Set(names)].sort(), [
    "POSITION hw_caches",
    "POSITION hw_events",
    "POSITION orders",
    "RDATA hw_caches",
    "RDATA hw_events",
    "RDATA orders",
  ]);
  person.close();
});

t.test("names on the wire, and back", (t) => {
  const bare = createWireNames("", new Set());
  t.equal(bare.toWire("caches"), "caches");
  t.equal(bare.fromWire("caches"), "caches");
  const names = createWireNames("hw.", new Set(["orders"]));
  for (
    const [own, wire] of [
      ["caches", "hw.caches"],
      ["events", "hw.events"],
      ["orders", "orders"],
    ] as const
  ) {
    t.equal(names.toWire(own), wire);
    t.equal(names.fromWire(wire), own);
  }
  t.not(names.fromWire("caches"), "caches", "another's is not taken for ours");
  t.not(names.fromWire("events"), "events");
  t.end();
});

t.test("a prefix that can't be is refused", async (t) => {
  const open = (streamPrefix: string) =>
    WriterStore.open({
      database: "sqlite::memory:",
      streams: [defineStream("my_events", z.unknown())],
      streamPrefix,
    });
  for (const prefix of ["a b", "1", "x".repeat(60), "\n"]) {
    await t.rejects(open(prefix), {
      code: "INVALID_ARGUMENT",
      message: /streamPrefix is .*; give a letter or "_"/,
    });
  }
  await t.rejects(open("my_"), {
    code: "INVALID_ARGUMENT",
    message: /streamPrefix "my_" .* your stream "my_events"; give another/,
  });
});
