// The reading end against a writer that misbehaves.

import t from "tap";
import { z } from "zod";
import { defineStream, SlavedStore, WriterStore } from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { startFakeWriter } from "../support/fake_writer.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { type TestDatabase, Users } from "../support/stores.ts";
import { openUsers } from "../support/users.ts";

const orders = defineStream("orders", z.object({ id: z.string() }));

t.test("SlavedStore", async (t) => {
  const database = temporaryDatabase(t);
  await openUsers(t, { database, streams: [orders] });
  const start = async (options: Record<string, unknown> = {}) => {
    const fake = await startFakeWriter(t);
    fake.answer = "POSITION caches master 1 1\n";
    const slaved = await SlavedStore.connect<TestDatabase>({
      database,
      replicate: fake.url,
      streams: [orders],
      minBackoffMs: 1,
      maxBackoffMs: 5,
      ...options,
    });
    t.teardown(() => slaved.close());
    return { fake, slaved };
  };

  await t.test("introduces itself in order", async (t) => {
    const { fake, slaved } = await start({ name: "worker 1" });
    t.match(
      fake.received(),
      /^NAME worker 1\nPING \d{13}\nREPLICATE INVALIDATE LOG=[0-9a-f]{16}\n$/,
    );
    await slaved.close();
  });

  await t.test("drops rows that come before the first position", async (t) => {
    const fake = await startFakeWriter(t);
    fake.answer = `RDATA caches master 1 ["x",null,1]\n` +
      "POSITION caches master 1 1\n";
    const slaved = await SlavedStore.connect<TestDatabase>({
      database,
      replicate: fake.url,
    });
    t.equal(slaved.stats.invalidations, 0);
    t.equal(slaved.position.get("master"), 1);
    await slaved.close();
  });

  await t.test("counts and ignores what it doesn't know", async (t) => {
    const { fake, slaved } = await start();
    const users = slaved.attach(Users);
    const kept = users.getUserById("a");
    await kept;
    fake.send(
      `RDATA caches master 2 ["no_such_cache",["a"],1]\n` +
        `RDATA no_such_stream master 3 {"any":["json"]}\n` +
        "POSITION no_such_stream master 3 4\n",
    );
    await slaved.waitFor({ instance: "master", token: 4 });
    t.equal(slaved.stats.unknownInvalidations, 1);
    t.equal(slaved.stats.connections, 1);
    t.equal(users.getUserById("a"), kept);
    await slaved.close();
  });

  await t.test("ignores what it has had, and positions behind", async (t) => {
    const database = temporaryDatabase(t);
    const writer = await WriterStore.open({ database, streams: [orders] });
    t.teardown(() => writer.close());
    for (let count = 0; count < 6; count += 1) {
      await writer.transaction("write", (txn) => {
        txn.invalidateAll("x");
        return Promise.resolve();
      });
    }
    const { fake, slaved } = await start({ database });
    const heard: string[] = [];
    slaved.subscribe(orders, ({ token, rows }) => {
      heard.push(`${token} ${rows.map(({ id }) => id)}`);
    });
    fake.send(
      `RDATA orders master 5 {"id":"a"}\nRDATA orders master 5 {"id":"a"}\n` +
        `POSITION orders master 5 5\nRDATA orders master 5 {"id":"a"}\n` +
        `RDATA orders master 4 {"id":"late"}\nPOSITION orders master 3 3\n` +
        `RDATA orders master 6 {"id":"b"}\nPOSITION orders master 6 6\n`,
    );
    await slaved.waitFor({ instance: "master", token: 6 });
    t.same(heard, ["5 a", "6 b"]);
    await slaved.close();
  });

  await t.test("keeps two writers' batches apart", async (t) => {
    const { fake, slaved } = await start();
    const heard: string[] = [];
    slaved.subscribe(orders, ({ instance, rows }) => {
      heard.push(`${instance} ${rows.map(({ id }) => id)}`);
    });
    fake.send(
      "POSITION orders other 0 0\n" +
        `RDATA orders master batch {"id":"m1"}\n` +
        `RDATA orders other batch {"id":"o1"}\n` +
        `RDATA orders master 2 {"id":"m2"}\n` +
        `RDATA orders other 9 {"id":"o2"}\n` +
        "POSITION orders master 2 2\nPOSITION orders other 9 9\n",
    );
    await slaved.waitFor(new Map([["master", 2], ["other", 9]]));
    t.same(heard, ["master m1,m2", "other o1,o2"]);
    await slaved.close();
  });

  for (
    const [what, lines, answer] of [
      [
        "a malformed line",
        "RDATA orders master\n",
        /^ERROR failed to parse line: RDATA has four fields \("RDATA orders master"\)$/m,
      ],
      [
        "an unknown command",
        "NONSENSE\n",
        /^ERROR failed to parse line: unknown command/m,
      ],
      [
        "a row that isn't JSON",
        "RDATA orders master 2 {\n",
        /^ERROR failed to parse line: the row is not JSON/m,
      ],
      [
        "a caches row that is none",
        `RDATA caches master 2 {"a":1}\nPOSITION caches master 2 2\n`,
        /^ERROR failed to parse row \("\{\\"a\\":1\}"\)$/m,
      ],
      [
        "a command of its own side",
        "REPLICATE \n",
        /^ERROR invalid command: REPLICATE$/m,
      ],
      [
        "a line over the limit",
        `RDATA orders master 2 {"id":"${"n".repeat(3_000)}"}\n`,
        /^ERROR Line length exceeded/m,
      ],
    ] as const
  ) {
    await t.test(`closes on ${what}, and comes back`, async (t) => {
      const { fake, slaved } = await start({ maxLineBytes: 2_000 });
      const before = slaved.position.get("master");
      fake.send(lines);
      await until("it has come back", () => {
        return fake.connections() > 1 && slaved.stats.state === "live";
      });
      t.match(fake.received(), answer);
      t.equal(slaved.position.get("master"), before);
      await slaved.close();
    });
  }

  await t.test("closes on a server of another name", async (t) => {
    const fake = await startFakeWriter(t);
    fake.answer = "POSITION caches master 1 1\n";
    const given = new AbortController();
    const refused = t.rejects(
      SlavedStore.connect<TestDatabase>({
        database,
        replicate: fake.url,
        serverName: "mine",
        signal: given.signal,
      }),
      { name: "AbortError" },
    );
    await until("it tries again", () => fake.connections() > 1);
    given.abort();
    await refused;
  });

  await t.test("gives up on a silent writer that had pinged", async (t) => {
    const { fake, slaved } = await start({
      pingIntervalMs: 20,
      silenceTimeoutMs: 100,
    });
    fake.send("PING 1\n");
    await until("it has come back", () => {
      return fake.connections() > 1;
    });
    t.match(fake.received(), /^ERROR ping timeout$/m);
    await slaved.close();
  });

  await t.test("gives up on a writer whose first words were lost", async (t) => {
    const fake = await startFakeWriter(t);
    const connecting = SlavedStore.connect<TestDatabase>({
      database,
      replicate: fake.url,
      silenceTimeoutMs: 20,
      minBackoffMs: 1,
      maxBackoffMs: 5,
    });
    await until("it has come back", () => fake.connections() > 1);
    t.match(fake.received(), /^ERROR no position was told$/m);
    fake.answer = "POSITION caches master 1 1\n";
    await (await connecting).close();
  });

  await t.test("stays with a writer that has told a position, and never pings", async (t) => {
    const { fake, slaved } = await start({
      pingIntervalMs: 10,
      silenceTimeoutMs: 20,
    });
    const pings = () => fake.received().match(/^PING /gm)?.length ?? 0;
    await until("it has pinged long enough", () => pings() > 10);
    t.equal(fake.connections(), 1);
    t.equal(slaved.stats.state, "live");
    await slaved.close();
  });

  await t.test("holds the writer up while a handler works", async (t) => {
    const { fake, slaved } = await start();
    let release = () => {};
    const held = new Promise<void>((resolve) => release = resolve);
    const heard: number[] = [];
    slaved.subscribe(orders, async ({ token }) => {
      heard.push(token);
      await held;
    });
    fake.send(
      `RDATA orders master 2 {"id":"a"}\nPOSITION orders master 2 2\n` +
        `RDATA orders master 3 {"id":"b"}\nPOSITION orders master 3 3\n`,
    );
    await until("the handler is called", () => heard.length > 0);
    const wait = slaved.waitFor({ instance: "master", token: 3 });
    await t.rejects(
      slaved.waitFor({ instance: "master", token: 2 }, { timeoutMs: 20 }),
      { code: "WAIT_TIMEOUT" },
    );
    t.same(heard, [2]);
    release();
    await wait;
    t.same(heard, [2, 3]);
    await slaved.close();
  });

  await t.test("ends its waits when it is closed", async (t) => {
    const { slaved } = await start();
    const wait = slaved.waitFor({ instance: "master", token: 99 });
    const [closed] = await Promise.all([
      slaved.close().then(() => "closed"),
      t.rejects(wait, { code: "CLOSED" }),
    ]);
    t.equal(closed, "closed");
    t.equal(slaved.stats.state, "closed");
    await slaved.close();
    await t.rejects(slaved.waitFor({ instance: "master", token: 99 }), {
      code: "CLOSED",
    });
  });
});
