// Section 2.1 of the protocol: who may say what. It is checked on receipt; what a
// side may not send is answered `ERROR invalid command: NAME`, and ends the
// connection.

import t from "tap";
import { WriterStore } from "../../../mod.ts";
import { follow } from "../../../src/slaved/mod.ts";
import { until } from "../../support/conditions.ts";
import { startFakeWriter } from "../../support/fake_writer.ts";
import { netcat } from "../../support/netcat.ts";
import type { TestDatabase } from "../../support/stores.ts";

const SERVERS = [
  "SERVER example.org",
  "RDATA caches master 1 []",
  "POSITION caches master 1 1",
];
const CLIENTS = [
  "NAME worker1",
  "REPLICATE",
  "REPLICATE ",
  "REPLICATE ALL",
  "USER_SYNC abcde @bob:x start 1700000000000",
  "USER_SYNC abcde @bob:x D1 end 1700000000000",
  "USER_SYNC abcde @bob:x None end 1700000000000",
  "CLEAR_USER_SYNC abcde",
  "FEDERATION_ACK sender1 7",
  'USER_IP @bob:x ["token", "::1", "agent", null, 17]',
];
const BOTH = [
  "ERROR anything",
  "PING 1700000000000",
  "PING",
  "REMOTE_SERVER_UP other.org",
  'LOCK_RELEASED ["w1","lock","key"]',
];
const NOBODY = ["NEW_ACTIVE_TASK 5", "CANCEL_TASK 5"];

const nameOf = (line: string) => line.split(" ")[0];

t.test("2.1: what a server takes", async (t) => {
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  const url = String(writer.url);
  for (const line of [...SERVERS, ...NOBODY]) {
    const person = await netcat(t, url);
    person.send(`${line}\nREPLICATE\n`);
    await until(`${line} is refused`, person.isClosed);
    t.same(
      person.lines().slice(1),
      [`ERROR invalid command: ${nameOf(line)}`],
      line,
    );
  }
  t.equal(
    writer.stats.disconnections.invalid,
    SERVERS.length + NOBODY.length,
  );
  const person = await netcat(t, url);
  for (const line of [...CLIENTS, ...BOTH]) person.send(`${line}\n`);
  await until("all is answered", () => {
    const positions = person.lines().filter((line) => /^POSITION/.test(line));
    return positions.length === 3 * 2;
  });
  t.notOk(person.isClosed());
});

t.test("2.1: what a client takes", async (t) => {
  const fake = await startFakeWriter(t);
  const given: number[] = [];
  await using following = follow({
    replicate: fake.url,
    minBackoffMs: 1,
    maxBackoffMs: 5,
    onBatch: ({ token }) => void given.push(token),
  });
  await until("it is there", () => fake.received().includes("REPLICATE"));
  for (const line of [...SERVERS, ...BOTH]) fake.send(`${line}\n`);
  fake.send("RDATA end w 99 1\n");
  await until("it has taken all", () => given.includes(99));
  t.equal(following.connections, 1);
  const refused = [...CLIENTS, ...NOBODY];
  for (const [index, line] of refused.entries()) {
    const before = fake.received().length;
    fake.send(`${line}\n`);
    await until(`${line} is refused, and it is back`, () => {
      return fake.connections() === index + 2 &&
        fake.received().endsWith("REPLICATE \n");
    });
    const answer = `ERROR invalid command: ${nameOf(line)}\n`;
    t.ok(fake.received().slice(before).includes(answer), line);
  }
});
