// Whoever is connected to Redis asks it whether it is there, as often as its
// options say.

import t, { type Test } from "tap";
import { SlavedStore, WriterStore } from "../../mod.ts";
import { follow, openRelay } from "../../src/slaved/mod.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { noRedis, startRedis } from "../support/redis.ts";

interface Asker {
  close(): Promise<void>;
}

t.test("redisPingIntervalMs", { skip: noRedis }, async (t) => {
  const redis = await startRedis(t);
  const database = temporaryDatabase(t);
  const listen = redis.url;
  const pings = async () => {
    const lines = await redis.run("INFO", "commandstats");
    return Number(/cmdstat_ping:calls=(\d+)/.exec(lines.join())?.[1]);
  };
  const asks = async (t: Test, asker: Asker) => {
    const before = await pings();
    await until("Redis is asked", async () => await pings() > before);
    await asker.close();
    t.pass("it asks");
  };
  // It is also how long the answer may take.
  const often = { redisPingIntervalMs: 500 };

  await t.test("of a writer", async (t) => {
    await asks(t, await WriterStore.open({ database, listen, ...often }));
  });
  const writer = await WriterStore.open({ database, listen });
  t.teardown(() => writer.close());
  const replicate = redis.url;
  await t.test("of a slaved store", async (t) => {
    await asks(
      t,
      await SlavedStore.connect({ database, replicate, ...often }),
    );
  });
  await t.test("of follow()", async (t) => {
    await asks(t, follow({ replicate, onBatch: () => {}, ...often }));
  });
  await t.test("of a relay", async (t) => {
    await asks(t, openRelay({ replicate, ...often }));
  });
});
