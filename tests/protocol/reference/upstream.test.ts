// Section 2.5 of the protocol: what a server does with what its clients tell it.

import t from "tap";
import type { PresenceChange } from "../../../src/writer/mod.ts";
import { until } from "../../support/conditions.ts";
import { netcat } from "../../support/netcat.ts";
import { openInMemory } from "./memory_writer.ts";

t.test("2.5: USER_SYNC adds and takes away, in both dialects; twice changes nothing", async (t) => {
  const writer = await openInMemory(t);
  const changes: PresenceChange[] = [];
  writer.presence.onChange((change) => void changes.push(change));
  const person = await netcat(t, String(writer.url));
  person.send(
    "USER_SYNC abcde @bob:x start 10\nUSER_SYNC abcde @bob:x start 11\n" +
      "USER_SYNC abcde @bob:x PHONE start 12\n" +
      "USER_SYNC fghij @bob:x None start 13\n" +
      "USER_SYNC abcde @eve:x end 14\n" +
      "USER_SYNC abcde @bob:x end 15\nUSER_SYNC abcde @bob:x end 16\n",
  );
  await until("all is taken in", () => changes.length === 4);
  t.same(
    changes.map(({ instanceId, deviceId, isStart, isPresent, sinceMs }) => [
      instanceId,
      deviceId,
      isStart,
      isPresent,
      sinceMs,
    ]),
    [
      ["abcde", null, true, true, 10],
      ["abcde", "PHONE", true, true, 12],
      ["fghij", null, true, true, 13],
      ["abcde", null, false, true, 10],
    ],
  );
  t.same(writer.presence.users(), ["@bob:x"]);
  t.same(writer.presence.sessions("@bob:x"), [
    { userId: "@bob:x", deviceId: "PHONE", instanceId: "abcde", sinceMs: 12 },
    { userId: "@bob:x", deviceId: null, instanceId: "fghij", sinceMs: 13 },
  ]);
  t.ok(writer.presence.isPresent("@bob:x"));
  t.notOk(writer.presence.isPresent("@eve:x"));
});

t.test("2.5: CLEAR_USER_SYNC forgets that process, and no other", async (t) => {
  const writer = await openInMemory(t);
  const person = await netcat(t, String(writer.url));
  person.send(
    "USER_SYNC abcde @bob:x start 1\nUSER_SYNC abcde @eve:x start 1\n" +
      "USER_SYNC fghij @eve:x start 1\nCLEAR_USER_SYNC abcde\n" +
      "CLEAR_USER_SYNC nobody\nREPLICATE\n",
  );
  await person.line("its answer", (line) => line.startsWith("POSITION"));
  t.same(writer.presence.users(), ["@eve:x"]);
  t.equal(writer.presence.size, 1);
});

t.test("presence ends when the connection is lost, and the process isn't back in time", async (t) => {
  const writer = await openInMemory(t, { presenceGraceMs: 40 });
  const other = await netcat(t, String(writer.url));
  other.send("USER_SYNC other @eve:x start 1\n");
  const person = await netcat(t, String(writer.url));
  person.send("USER_SYNC abcde @bob:x start 1\n");
  await until("both are there", () => writer.presence.size === 2);
  person.close();
  await until("bob is gone", () => !writer.presence.isPresent("@bob:x"));
  t.ok(writer.presence.isPresent("@eve:x"));
});

t.test("a process that comes back keeps whom it tells again, and nobody else", async (t) => {
  const writer = await openInMemory(t);
  const changes: string[] = [];
  writer.presence.onChange(({ userId, isStart }) => {
    changes.push(`${userId} ${isStart ? "starts" : "ends"}`);
  });
  const first = await netcat(t, String(writer.url));
  first.send("USER_SYNC a @bob:x start 1\nUSER_SYNC a @eve:x start 1\n");
  await until("both are there", () => writer.presence.size === 2);
  const second = await netcat(t, String(writer.url));
  second.send("NAME w\nUSER_SYNC a @bob:x start 2\nREPLICATE \n");
  await second.line("its answer", (line) => line.startsWith("POSITION"));
  t.same(writer.presence.users(), ["@bob:x"]);
  first.close();
  await until("that is seen", () => writer.stats.connections === 1);
  t.same(changes, ["@bob:x starts", "@eve:x starts", "@eve:x ends"]);
});

t.test("no more users are taken in than there may be", async (t) => {
  const writer = await openInMemory(t, { maxPresentUsers: 2 });
  const person = await netcat(t, String(writer.url));
  const long = "x".repeat(5_000);
  person.send(
    `USER_SYNC a @${long} start 1\nUSER_SYNC a @1 start 1\nUSER_SYNC a @2 start 1\n` +
      "USER_SYNC a @3 start 1\nUSER_SYNC b @4 start 1\nREPLICATE\n",
  );
  await person.line("its answer", (line) => line.startsWith("POSITION"));
  t.same(writer.presence.users(), ["@1", "@2"]);
  person.send("USER_SYNC a @1 end 1\nUSER_SYNC a @3 start 1\n");
  await until("the next has come", () => writer.presence.isPresent("@3"));
});

t.test("A004: REMOTE_SERVER_UP is relayed to every other connection, and never to its sender", async (t) => {
  const writer = await openInMemory(t);
  const url = String(writer.url);
  const people = [await netcat(t, url), await netcat(t, url)];
  const sender = await netcat(t, url);
  for (const person of [...people, sender]) {
    await person.line("it is served", (line) => line.startsWith("SERVER"));
  }
  const heard: string[] = [];
  writer.onCommand("REMOTE_SERVER_UP", ({ serverName }) => {
    heard.push(serverName);
  });
  sender.send("REMOTE_SERVER_UP example.org\nREPLICATE\n");
  await sender.line("its answer", (line) => line.startsWith("POSITION"));
  for (const person of people) {
    await person.line("it", (line) => line === "REMOTE_SERVER_UP example.org");
    t.same(person.lines().slice(1), ["REMOTE_SERVER_UP example.org"]);
  }
  t.notOk(sender.lines().some((line) => line.startsWith("REMOTE")));
  t.same(heard, ["example.org"], "and the server itself hears it");
});

t.test("2.5: FEDERATION_ACK, USER_IP and LOCK_RELEASED reach whoever asked, in order, with who sent them", async (t) => {
  const errors: unknown[] = [];
  const writer = await openInMemory(t, {
    logger: (level, _message, fields) => {
      if (level === "error") errors.push(fields);
    },
  });
  const heard: unknown[] = [];
  const take = (
    command: object,
    { instance, name }: { instance: string; name: string },
  ) => void heard.push([command, instance, name]);
  writer.onCommand("FEDERATION_ACK", () => {
    throw new TypeError("a handler failed");
  });
  writer.onCommand(
    "FEDERATION_ACK",
    () => Promise.reject(new TypeError("later")),
  );
  writer.onCommand("FEDERATION_ACK", take);
  writer.onCommand("USER_IP", take);
  const stop = writer.onCommand("LOCK_RELEASED", take);
  const person = await netcat(t, String(writer.url));
  person.send(
    "NAME sender\nFEDERATION_ACK sender1 7\n" +
      'USER_IP @bob:x ["token", "::1", "agent", null, 17]\n' +
      'LOCK_RELEASED ["w1","lock","key"]\n',
  );
  await until("all is taken", () => heard.length === 3);
  t.same(heard, [
    [
      { kind: "FEDERATION_ACK", instance: "sender1", token: 7 },
      "sender",
      "sender",
    ],
    [
      {
        kind: "USER_IP",
        userId: "@bob:x",
        accessToken: "token",
        ip: "::1",
        userAgent: "agent",
        deviceId: null,
        lastSeenMs: 17,
      },
      "sender",
      "sender",
    ],
    [
      {
        kind: "LOCK_RELEASED",
        instance: "w1",
        lockName: "lock",
        lockKey: "key",
      },
      "sender",
      "sender",
    ],
  ]);
  t.same(errors, [
    { command: "FEDERATION_ACK", error: "a handler failed" },
    { command: "FEDERATION_ACK", error: "later" },
  ]);
  stop();
  person.send('LOCK_RELEASED ["w1","lock","key"]\nREPLICATE\n');
  await person.line("its answer", (line) => line.startsWith("POSITION"));
  t.equal(heard.length, 3, "and no more once they have stopped");
  t.notOk(person.isClosed(), "failures are nobody else's");
});
