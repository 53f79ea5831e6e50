// Following without a database: what is given, what is dropped, what is bounded.

import t, { type Test } from "tap";
import { WriterStore } from "../../mod.ts";
import {
  follow,
  type Following,
  type FollowOptions,
  type StreamPosition,
} from "../../src/slaved/mod.ts";
import {
  MAX_FOLLOWED_STREAMS,
  MAX_ROWS_PER_TRANSACTION,
} from "../../src/runtime/limits.ts";
import { VirtualClock } from "../../src/testing/mod.ts";
import { until } from "../support/conditions.ts";
import { type FakeWriter, startFakeWriter } from "../support/fake_writer.ts";
import { temporaryDatabase } from "../support/folders.ts";
import type { TestDatabase } from "../support/stores.ts";

interface Followed {
  readonly fake: FakeWriter;
  readonly following: Following;
  /** What was given: the stream, the instance, the token and the rows. */
  readonly given: unknown[];
  readonly positions: StreamPosition[];
  /** What was logged as an error. */
  readonly errors: unknown[];
}

async function start(
  t: Test,
  options: Partial<FollowOptions> = {},
): Promise<Followed> {
  const fake = await startFakeWriter(t);
  const given: unknown[] = [];
  const positions: StreamPosition[] = [];
  const errors: unknown[] = [];
  const following = follow({
    replicate: fake.url,
    minBackoffMs: 1,
    maxBackoffMs: 5,
    onBatch: ({ stream, instance, token, rows, texts }) => {
      t.same(texts.map((text) => JSON.parse(text)), rows);
      given.push([stream, instance, token, rows]);
    },
    onPosition: (position) => void positions.push(position),
    logger: (level, _message, fields) => {
      if (level === "error") errors.push(fields);
    },
    ...options,
  });
  t.teardown(() => following.close());
  await until("it is there", () => fake.received().includes("REPLICATE"));
  return { fake, following, given, positions, errors };
}

t.test("gives rows of any stream, told of its position or not", async (t) => {
  const { fake, given, positions, following } = await start(t);
  fake.send(
    `RDATA typing w1 batch {"n":1}\nRDATA other w1 4 null\n` +
      `RDATA typing w2 9 "b"\nRDATA typing w1 5 [2]\nPOSITION typing w1 5\n`,
  );
  await until("it is told", () => positions.length === 1);
  t.same(given, [
    ["other", "w1", 4, [null]],
    ["typing", "w2", 9, ["b"]],
    ["typing", "w1", 5, [{ n: 1 }, [2]]],
  ]);
  t.same(positions, [
    { stream: "typing", instance: "w1", previous: 5, token: 5 },
  ]);
  t.equal(following.connections, 1);
});

t.test("gives only the streams that were asked for", async (t) => {
  const { fake, given, positions } = await start(t, { streams: ["a"] });
  fake.send(
    `RDATA b w 1 1\nPOSITION b w 1 1\nRDATA a w 2 2\nPOSITION a w 2 2\n`,
  );
  await until("it is told", () => positions.length > 0);
  t.same(given, [["a", "w", 2, [2]]]);
  t.same(positions.map(({ stream }) => stream), ["a"]);
});

t.test("says which of the streams nobody tells of", async (t) => {
  const clock = new VirtualClock();
  const warnings: unknown[] = [];
  const { fake, positions, given } = await start(t, {
    streams: ["typing", "reciepts", "silent"],
    clock,
    logger: (level, message, fields) => warnings.push([level, message, fields]),
  });
  fake.send(
    "POSITION typing w 1 1\nPOSITION receipts w 1 1\nRDATA silent w 2 3\n",
  );
  await until("it is told", () => positions.length + given.length === 2);
  t.same(warnings, []);
  clock.elapse(2_000);
  const warning = [
    "warn",
    "no writer has told of streams to follow",
    { streams: "reciepts", told: "receipts, silent, typing" },
  ];
  t.same(warnings, [warning]);
  fake.send("POSITION other w 1 1\nPOSITION typing w 2 2\n");
  await until("more is told", () => positions.length === 2);
  clock.elapse(10_000);
  t.same(warnings, [warning], "once");
});

t.test("knows those that are asked for among very many", async (t) => {
  const clock = new VirtualClock();
  const warnings: unknown[] = [];
  const { fake, positions } = await start(t, {
    streams: ["last"],
    clock,
    logger: (_level, message) => warnings.push(message),
  });
  for (let n = 0; n < 1_000; n += 1) fake.send(`POSITION s${n} w 1 1\n`);
  fake.send("POSITION last w 1 1\n");
  await until("it is told", () => positions.length === 1);
  clock.elapse(2_000);
  t.same(warnings, []);
});

t.test("gives a token once, until the writer starts over", async (t) => {
  const { fake, given } = await start(t);
  fake.send(`RDATA s w 3 "a"\nRDATA s w 3 "a"\nRDATA s w 2 "old"\n`);
  fake.send(`RDATA s w2 1 "another's"\nRDATA s2 w 1 "another"\n`);
  fake.send(`POSITION s w 3 5\nRDATA s w 4 "b"\n`);
  fake.send(`POSITION s w 1 1\nRDATA s w 2 "anew"\n`);
  await until("all is given", () => given.length >= 5);
  t.same(given, [
    ["s", "w", 3, ["a"]],
    ["s", "w2", 1, ["another's"]],
    ["s2", "w", 1, ["another"]],
    ["s", "w", 4, ["b"]],
    ["s", "w", 2, ["anew"]],
  ]);
});

t.test("forgets what was given once it is connected anew", async (t) => {
  const { fake, given, following } = await start(t);
  fake.send(`RDATA s w 3 "a"\nRDATA s w batch "torn"\n`);
  await until("it is given", () => given.length === 1);
  fake.cut();
  await until("it is back", () => following.connections === 2);
  fake.send(`RDATA s w 3 "a"\n`);
  await until("it is given again", () => given.length === 2);
  t.same(given[1], ["s", "w", 3, ["a"]]);
});

t.test("drops a batch that a position of its stream ends", async (t) => {
  const { fake, given } = await start(t);
  fake.send(`RDATA s w batch "torn"\nRDATA s2 w batch "whole"\n`);
  fake.send(`POSITION s w 1 1\nRDATA s w 2 "b"\nRDATA s2 w 2 "end"\n`);
  await until("both are given", () => given.length === 2);
  t.same(given, [["s", "w", 2, ["b"]], ["s2", "w", 2, ["whole", "end"]]]);
});

t.test("bounds what has not ended", async (t) => {
  const { fake, given, following } = await start(t);
  const most = MAX_ROWS_PER_TRANSACTION - 1;
  const large = "RDATA s w batch 0\n".repeat(most - 1);

  // One batch stays open all the time; those that end don't count any more.
  fake.send(`RDATA open w batch 1\n${large}RDATA s w 1 0\n`);
  fake.send(`${large}POSITION s w 1 1\n${large}RDATA s w 2 0\n`);
  await until("both are given", () => given.length === 2);
  t.equal(following.connections, 1);

  fake.send(`${large}RDATA s w batch 0\nRDATA s w batch 0\n`);
  await until("it is given up", () => fake.received().includes("ERROR"));
  t.match(fake.received(), /ERROR Cannot take in batches of more than/);
  await until("it is back", () => following.connections === 2);
  fake.send(`RDATA s w 3 "after"\n`);
  await until("it goes on", () => given.length === 3);
  t.same(given[2], ["s", "w", 3, ["after"]]);
});

t.test("refuses rows that are not JSON, and comes back", async (t) => {
  const { fake, given, following } = await start(t);
  fake.send(`RDATA s w batch 1\nRDATA s w batch {nonsense\nRDATA s w 2 3\n`);
  await until("it is back", () => following.connections === 2);
  t.match(
    fake.received(),
    /ERROR failed to parse line: the row is not JSON \("RDATA s w batch \{nonsense"\)/,
  );
  t.same(given, []);
});

t.test("refuses a writer of another name", async (t) => {
  const { fake, following } = await start(t, { serverName: "example.org" });
  await until("it has tried again", () => following.connections > 1);
  t.match(fake.received(), /ERROR Wrong remote/);
});

t.test("gives the next batch once the one before is done with", async (t) => {
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const { fake, positions } = await start(t, {
    onBatch: ({ token }) => {
      begun.push(token);
      return new Promise<void>((resolve) => ends.push(resolve));
    },
  });
  fake.send(`RDATA s w 1 1\nRDATA s w 2 2\nPOSITION s w 2 2\n`);
  await until("the first has begun", () => begun.length > 0);
  // Whatever else was going to happen has a turn to.
  await new Promise((resolve) => setTimeout(resolve));
  t.same(begun, [1]);
  ends[0]?.();
  await until("the second has begun", () => begun.length === 2);
  t.same(positions, []);
  ends[1]?.();
  await until("the position is told", () => positions.length === 1);
});

t.test("goes on when what it calls fails", async (t) => {
  const tokens: number[] = [];
  const { fake, errors, following } = await start(t, {
    onBatch: ({ token }) => {
      tokens.push(token);
      if (token === 1) throw new TypeError("at once");
      // What a function written without types may return fails nothing.
      if (token === 3) return 4 as unknown as Promise<void>;
      return Promise.reject(new TypeError("later"));
    },
  });
  for (const token of [1, 2, 3, 4]) fake.send(`RDATA s w ${token} 1\n`);
  await until("all have failed", () => errors.length === 3);
  t.same(tokens, [1, 2, 3, 4]);
  t.same(errors[0], { error: "at once" });
  t.same(errors[1], { error: "later" });
  t.equal(following.connections, 1);
  t.notMatch(fake.received(), /ERROR/, "and the writer hears nothing of it");
});

t.test("ends for good", async (t) => {
  const writer = await WriterStore.open<TestDatabase>({
    database: temporaryDatabase(t),
    listen: "tcp://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  const replicate = String(writer.url);
  const options = { replicate, minBackoffMs: 1, onBatch: () => {} };
  const isConnected = () => writer.stats.connections === 1;
  const isAlone = () => writer.stats.connections === 0;

  await t.test("when it is closed, even twice", async (t) => {
    const following = follow(options);
    await until("it is there", isConnected);
    await following.close();
    await following.close();
    await until("it is gone", isAlone);
    t.equal(following.connections, 1);
  });

  await t.test("when it goes out of scope", async (t) => {
    {
      await using following = follow(options);
      await until("it is there", isConnected);
      t.equal(following.connections, 1);
    }
    await until("it is gone", isAlone);
  });

  await t.test("when its signal says so", async (t) => {
    const controller = new AbortController();
    const following = follow({ ...options, signal: controller.signal });
    await until("it is there", isConnected);
    controller.abort();
    await until("it is gone", isAlone);
    await following.close();
    t.equal(following.connections, 1);
  });

  await t.test("before it began, if its signal has said so", async (t) => {
    const following = follow({ ...options, signal: AbortSignal.abort() });
    await following.close();
    t.equal(following.connections, 0);
  });
});

t.test("refuses an address that can't be", (t) => {
  for (const replicate of ["nowhere", "http://127.0.0.1:1", "tcp://a"]) {
    t.throws(() => follow({ replicate, onBatch: () => {} }), {
      code: "INVALID_ARGUMENT",
    });
  }
  t.end();
});

t.test("follow() remembers only so many streams", async (t) => {
  const fake = await startFakeWriter(t);
  const given: string[] = [];
  await using following = follow({
    replicate: fake.url,
    onBatch: ({ stream }) => void given.push(stream),
  });
  await until("it is there", () => fake.received().includes("REPLICATE"));
  const rows = Array.from(
    { length: MAX_FOLLOWED_STREAMS + 1 },
    (_, index) => `RDATA s${index} w1 1 {}\n`,
  );
  fake.send(rows.join(""));
  fake.send(`RDATA s1 w1 1 {}\nRDATA s0 w1 1 {}\nRDATA end w1 1 {}\n`);
  await until("all is given", () => given.includes("end"));
  t.same(
    given.slice(rows.length),
    ["s0", "end"],
    "s1 is known, s0 was forgotten for the last",
  );
  t.equal(following.connections, 1);
});
