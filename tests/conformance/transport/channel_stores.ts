// Writers and readers on a channel of Redis, where nobody says SERVER, and a
// reader stays connected though no writer is there.

import type { Test } from "tap";
import { SlavedStore, WriterStore } from "../../../mod.ts";
import { follow } from "../../../src/slaved/mod.ts";
import { until } from "../../support/conditions.ts";
import {
  createUsers,
  saveUser,
  type TestDatabase,
  Users,
} from "../../support/stores.ts";
import { untilSubscribers } from "./channel_ends.ts";
import type { StoreCase, World } from "./store_world.ts";
import type { ChannelLikes, SharedPlace } from "./transports.ts";

type ChannelStoreCase = (
  t: Test,
  world: World & { readonly shared: SharedPlace },
) => Promise<void>;

function onChannel(run: ChannelStoreCase): StoreCase {
  return async (t, world) => {
    const { shared } = world.place;
    if (shared === undefined) throw new TypeError("this is no channel");
    await run(t, { ...world, shared });
  };
}

/** In the place of `stores.test.ts`'s. */
export const STORES_ON_A_CHANNEL: ChannelLikes<StoreCase> = {
  "several readers": {
    "several readers, each of which hears all": onChannel(
      async (t, { open, connect, shared }) => {
        const writer = await open();
        await createUsers(writer);
        const readers = await Promise.all(
          Array.from({ length: 5 }, () => connect(writer)),
        );
        await untilSubscribers({ shared }, 6);
        t.equal(writer.stats.connections, 1, "the channel itself");
        const stores = readers.map((slaved) => slaved.attach(Users));
        for (const users of stores) t.equal(await users.countUsers(), 0);
        const user = { id: "a", name: "A", version: 1 };
        const commit = await saveUser(writer, user);
        for (const [index, slaved] of readers.entries()) {
          await slaved.waitFor(commit);
          t.equal(await stores[index]?.countUsers(), 1);
        }
        await readers[0]?.close();
        await untilSubscribers({ shared }, 5);
      },
    ),
  },
  "what is written while a reader is away is fetched": {
    "what is written while a reader is cut off from Redis is fetched":
      onChannel(async (t, { open, connect, shared: { near } }) => {
        const writer = await open();
        await createUsers(writer);
        const user = { id: "bob", name: "Bob", version: 1 };
        await saveUser(writer, user);
        const slaved = await connect(writer);
        const users = slaved.attach(Users);
        t.equal((await users.getUserById("bob"))?.name, "Bob");
        near.isRefusing = true;
        near.cutAll();
        await until("it notices", () => slaved.stats.state === "connecting");
        const renamed = { ...user, name: "Bobby", version: 2 };
        const commit = await saveUser(writer, renamed);
        near.isRefusing = false;
        await slaved.waitFor(commit);
        t.equal((await users.getUserById("bob"))?.name, "Bobby");
        t.equal(slaved.stats.connections, 2);
        t.equal(slaved.stats.flushes, 1, "nothing was cleared that need not");
      }),
    "what is written while the writer is cut off from Redis is fetched":
      onChannel(async (t, { open, connect, shared: { far } }) => {
        const writer = await open();
        await createUsers(writer);
        const user = { id: "bob", name: "Bob", version: 1 };
        await saveUser(writer, user);
        const slaved = await connect(writer);
        const users = slaved.attach(Users);
        t.equal((await users.getUserById("bob"))?.name, "Bob");
        far.isRefusing = true;
        far.cutAll();
        await until("it notices", () => writer.stats.connections === 0);
        const renamed = { ...user, name: "Bobby", version: 2 };
        const commit = await saveUser(writer, renamed);
        t.equal((await users.getUserById("bob"))?.name, "Bob", "not known yet");
        far.isRefusing = false;
        await slaved.waitFor(commit);
        t.equal((await users.getUserById("bob"))?.name, "Bobby");
        t.equal(slaved.stats.connections, 1, "the reader never knew");
        t.equal(slaved.stats.flushes, 1);
      }),
    "Redis is restarted: nothing written meanwhile is missed": onChannel(
      async (t, { open, connect, shared: { redis } }) => {
        const writer = await open();
        await createUsers(writer);
        const slaved = await connect(writer);
        const users = slaved.attach(Users);
        t.equal(await users.countUsers(), 0);
        await redis.stop();
        const user = { id: "bob", name: "Bob", version: 1 };
        const commit = await saveUser(writer, user);
        await redis.start();
        await slaved.waitFor(commit);
        t.equal(await users.countUsers(), 1);
        t.equal(slaved.stats.flushes, 1);
      },
    ),
  },
  "a reader comes again over the same place": {
    "a reader comes again over the same channel": onChannel(
      async (t, { open, connect, shared }) => {
        const writer = await open();
        await createUsers(writer);
        for (let round = 1; round <= 3; round += 1) {
          const slaved = await connect(writer);
          const user = { id: `${round}`, name: "x", version: 1 };
          await slaved.waitFor(await saveUser(writer, user));
          t.equal(await slaved.attach(Users).countUsers(), round);
          await slaved.close();
          await untilSubscribers({ shared }, 1);
        }
      },
    ),
  },
  "follow() is given the rows": {
    "follow() is given the rows": onChannel(
      async (t, { open, place, shared }) => {
        const writer = await open();
        await createUsers(writer);
        const rows: unknown[] = [];
        const following = follow({
          replicate: place.connect(String(writer.url)),
          streams: ["caches"],
          onBatch: (batch) => void rows.push(...batch.rows),
        });
        t.teardown(() => following.close());
        await untilSubscribers({ shared }, 2);
        await saveUser(writer, { id: "é", name: "x", version: 1 });
        await until("the rows are there", () => rows.length === 3);
        t.match(rows, [["getUserById", ["é"]], ["countUsers", null], [
          "findUsers",
          null,
        ]]);
      },
    ),
  },
  "a server of another name is refused": {
    "a server of another name is another channel": onChannel(
      async (t, { database, shared: { redis, channel } }) => {
        const writer = await WriterStore.open<TestDatabase>({
          database,
          listen: redis.url,
          serverName: channel,
        });
        t.teardown(() => writer.close());
        const connect = (serverName: string, connectTimeoutMs: number) =>
          SlavedStore.connect<TestDatabase>({
            database,
            replicate: redis.url,
            serverName,
            pollIntervalMs: 0,
            connectTimeoutMs,
          });
        await t.rejects(connect(`${channel}2`, 300), {
          code: "CONNECT_TIMEOUT",
        });
        const slaved = await connect(channel, 10_000);
        t.teardown(() => slaved.close());
        const commit = await writer.transaction("write", (txn) => {
          txn.invalidateAll("countUsers");
          return Promise.resolve();
        });
        await t.resolves(slaved.waitFor(commit));
      },
    ),
  },
};
