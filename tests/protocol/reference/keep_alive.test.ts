// Section 2.4 of the protocol, and rule 3: PING when nothing else was sent, and
// what becomes of those who fall silent, or never say anything.

import t from "tap";
import { follow } from "../../../src/slaved/mod.ts";
import { until } from "../../support/conditions.ts";
import { startFakeWriter } from "../../support/fake_writer.ts";
import { type Netcat, netcat } from "../../support/netcat.ts";
import { openInMemory } from "./memory_writer.ts";

const pings = (person: Netcat) => person.text().match(/^PING \d+$/gm) ?? [];

t.test("rule 3: a peer that pinged and fell silent is closed with ERROR ping timeout; one that never pinged is not", async (t) => {
  const writer = await openInMemory(t, {
    pingIntervalMs: 20,
    silenceTimeoutMs: 100,
  });
  const quiet = await netcat(t, String(writer.url));
  quiet.send("NAME quiet\n");
  const pinging = await netcat(t, String(writer.url));
  pinging.send("PING 1\n");
  await pinging.line("it is given up", (line) => line === "ERROR ping timeout");
  await until("it is closed", pinging.isClosed);
  t.notOk(quiet.isClosed(), "who never pinged is never timed out");
  t.ok(pings(quiet).length > 2, "it was pinged meanwhile");
  t.equal(writer.stats.disconnections.silent, 1);
});

t.test("2.4: PING is no question; it isn't answered", async (t) => {
  const writer = await openInMemory(t, { pingIntervalMs: 60_000 });
  const person = await netcat(t, String(writer.url));
  person.send("PING 1\nPING 2\nREPLICATE\n");
  await person.line("a position", (line) => line.startsWith("POSITION"));
  t.equal(pings(person).length, 1, "only the first, which all are sent");
});

t.test("2.4: any valid command counts as a sign of life", async (t) => {
  const writer = await openInMemory(t, {
    pingIntervalMs: 20,
    silenceTimeoutMs: 200,
  });
  const person = await netcat(t, String(writer.url));
  person.send("PING 1\n");
  await until("it has been pinged far beyond the timeout", () => {
    person.send("FEDERATION_ACK w1 1\n");
    return pings(person).length > 25;
  });
  t.notOk(person.isClosed());
});

t.test("2.1: an ERROR that is received closes nothing", async (t) => {
  const writer = await openInMemory(t);
  const person = await netcat(t, String(writer.url));
  person.send("ERROR so it is\nREPLICATE\n");
  await person.line("a position", (line) => line.startsWith("POSITION"));
  t.notOk(person.isClosed());
  const fake = await startFakeWriter(t);
  const given: unknown[] = [];
  await using following = follow({
    replicate: fake.url,
    onBatch: ({ rows }) => void given.push(rows),
  });
  await until("it is there", () => fake.received().includes("REPLICATE"));
  fake.send("ERROR so it is\nRDATA s w 1 1\n");
  await until("it goes on", () => given.length > 0);
  t.equal(following.connections, 1);
});

t.test("a connection that never says anything is closed with ERROR, and counted", async (t) => {
  const writer = await openInMemory(t, { firstCommandTimeoutMs: 50 });
  const speaking = await netcat(t, String(writer.url));
  speaking.send("NAME me\n");
  const blank = await netcat(t, String(writer.url));
  blank.send("\n\n");
  const mute = await netcat(t, String(writer.url));
  await mute.line("it is refused", (line) => line === "ERROR nothing was said");
  await until("both are closed", () => mute.isClosed() && blank.isClosed());
  t.notOk(speaking.isClosed());
  t.match(writer.stats, { connections: 1, disconnections: { mute: 2 } });
});

t.test("what leaves by itself, and what there is no place for, is counted", async (t) => {
  const writer = await openInMemory(t, { maxConnections: 1 });
  const first = await netcat(t, String(writer.url));
  await first.line("it is served", (line) => line.startsWith("SERVER"));
  const second = await netcat(t, String(writer.url));
  await second.line(
    "it is refused",
    (line) => line === "ERROR too many connections",
  );
  first.close();
  await until("it is gone", () => writer.stats.connections === 0);
  await writer.close();
  t.match(writer.stats.disconnections, { refused: 1, left: 1, closing: 0 });
});
