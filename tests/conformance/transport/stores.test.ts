// Writers and readers over each transport: what is written is read, whatever
// became of the connection meanwhile.

import type { Test } from "tap";
import { follow } from "../../../src/slaved/mod.ts";
import { cachesStream } from "../../../src/streams/builtin_streams.ts";
import { until } from "../../support/conditions.ts";
import { createUsers, saveUser, Users } from "../../support/stores.ts";
import { STORES_ON_A_CHANNEL } from "./channel_stores.ts";
import { openWorld, type StoreCase } from "./store_world.ts";
import { KINDS, runCases } from "./transports.ts";

const CASES: Record<string, StoreCase> = {
  "a user is renamed": async (t, { open, connect }) => {
    const writer = await open();
    await createUsers(writer);
    await saveUser(writer, { id: "bob", name: "Bob", version: 1 });
    const slaved = await connect(writer);
    const users = slaved.attach(Users);
    t.equal((await users.getUserById("bob"))?.name, "Bob");
    const commit = await saveUser(writer, {
      id: "bob",
      name: "Bobby",
      version: 2,
    });
    await slaved.waitFor(commit);
    t.equal((await users.getUserById("bob"))?.name, "Bobby");
    t.equal(slaved.stats.flushes, 1, "only as it began");
    t.equal(slaved.stats.catchUps, 0);
  },
  "every one of 500 commits arrives": async (t, { open, connect }) => {
    const writer = await open();
    await createUsers(writer);
    const slaved = await connect(writer);
    const tokens: number[] = [];
    slaved.subscribe(cachesStream, ({ token }) => void tokens.push(token));
    const commits = await Promise.all(
      Array.from(
        { length: 500 },
        (_, id) => saveUser(writer, { id: `${id}`, name: "x", version: 1 }),
      ),
    );
    await slaved.waitFor(commits.at(-1) as (typeof commits)[number]);
    t.same(tokens, commits.map(({ token }) => token));
    t.equal(await slaved.attach(Users).countUsers(), 500);
  },
  "a transaction of 20,000 rows is one step": async (t, world) => {
    const writer = await world.open();
    await createUsers(writer);
    const slaved = await world.connect(writer);
    const commit = await writer.transaction("many", (txn) => {
      for (let id = 0; id < 20_000; id += 1) {
        txn.invalidate("getUserById", [`${id} é`]);
      }
      return Promise.resolve();
    });
    await slaved.waitFor(commit);
    t.equal(slaved.stats.rows, 20_000);
    t.equal(slaved.stats.transactions, 1);
  },
  "several readers": async (t, { open, connect }) => {
    const writer = await open();
    await createUsers(writer);
    const readers = await Promise.all(
      Array.from({ length: 5 }, () => connect(writer)),
    );
    t.equal(writer.stats.connections, 5);
    const stores = readers.map((slaved) => slaved.attach(Users));
    for (const users of stores) t.equal(await users.countUsers(), 0);
    const commit = await saveUser(writer, { id: "a", name: "A", version: 1 });
    for (const [index, slaved] of readers.entries()) {
      await slaved.waitFor(commit);
      t.equal(await stores[index]?.countUsers(), 1);
    }
    await readers[0]?.close();
    await until("one has gone", () => writer.stats.connections === 4);
  },
  "what is written while a reader is away is fetched": async (
    t,
    { open, connect },
  ) => {
    const first = await open();
    await createUsers(first);
    await saveUser(first, { id: "bob", name: "Bob", version: 1 });
    const slaved = await connect(first);
    const users = slaved.attach(Users);
    t.equal((await users.getUserById("bob"))?.name, "Bob");
    await first.close();
    await until("it notices", () => slaved.stats.state === "connecting");
    const second = await open();
    const commit = await saveUser(second, {
      id: "bob",
      name: "Bobby",
      version: 2,
    });
    await slaved.waitFor(commit);
    t.equal((await users.getUserById("bob"))?.name, "Bobby");
    t.equal(slaved.stats.connections, 2);
    t.equal(slaved.stats.flushes, 1, "nothing was cleared that need not be");
  },
  "a reader comes again over the same place": async (t, { open, connect }) => {
    const writer = await open();
    await createUsers(writer);
    for (let round = 1; round <= 3; round += 1) {
      const slaved = await connect(writer);
      const commit = await saveUser(writer, {
        id: `${round}`,
        name: "x",
        version: 1,
      });
      await slaved.waitFor(commit);
      t.equal(await slaved.attach(Users).countUsers(), round);
      await slaved.close();
      await until("it has gone", () => writer.stats.connections === 0);
    }
  },
  "follow() is given the rows": async (t, { open, place }) => {
    const writer = await open();
    await createUsers(writer);
    const rows: unknown[] = [];
    const following = follow({
      replicate: place.connect(String(writer.url)),
      tls: place.tls,
      streams: ["caches"],
      onBatch: (batch) => void rows.push(...batch.rows),
    });
    t.teardown(() => following.close());
    await until("it is there", () => writer.stats.connections === 1);
    await saveUser(writer, { id: "é", name: "x", version: 1 });
    await until("the rows are there", () => rows.length === 3);
    t.match(rows, [["getUserById", ["é"]], ["countUsers", null], [
      "findUsers",
      null,
    ]]);
  },
  "a server of another name is refused": async (t, { open, connect }) => {
    const writer = await open();
    await t.rejects(connect(writer, "another"), { code: "CONNECT_TIMEOUT" });
    await t.resolves(connect(writer, "headwater"));
  },
  "close() ends what is on its way": async (t, { open, connect }) => {
    const writer = await open();
    await createUsers(writer);
    const slaved = await connect(writer);
    const commit = await saveUser(writer, { id: "a", name: "A", version: 1 });
    await writer.close();
    await slaved.waitFor(commit);
    t.equal(await slaved.attach(Users).countUsers(), 1);
    await slaved.close();
    await slaved.close();
  },
};

for (const kind of Object.keys(KINDS)) {
  const run = async (t: Test, run: StoreCase) =>
    await run(t, await openWorld(t, kind));
  runCases(kind, "stores", STORES_ON_A_CHANNEL, CASES, { run, runLike: run });
}
