// Promise 10: a slaved store on a read replica never keeps, past the replica's
// catching up, a value read before the invalidation's data was visible there.

import t from "tap";
import { SlavedStore, WriterStore } from "../../mod.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { until } from "../support/conditions.ts";
import { startPostgres, startReplica } from "../support/postgres.ts";
import {
  createUsers,
  saveUser,
  type TestDatabase,
  Users,
} from "../support/stores.ts";

t.test("a slaved store on a replica that lags", async (t) => {
  const primary = await startPostgres(t);
  const database = await primary.createDatabase();
  const writer = await WriterStore.open<TestDatabase>({
    database,
    listen: "tcp://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  await createUsers(writer);
  await saveUser(writer, { id: "1", name: "old", version: 1 });
  const replica = await startReplica(t, primary);
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replica: replica.urlOf(database),
    replicate: writer.url as string,
  });
  t.teardown(() => slaved.close());
  const users = slaved.attach(Users);
  const audit = slaved.audit({
    sampleRate: 1,
    budgetPerSecond: 1_000,
    onDifference: ({ trace }) => t.fail(String(trace)),
  });
  const nameOf = async (id: string) => (await users.getUserById(id))?.name;
  const invalidated = (count: number) =>
    until("it has heard of it", () => slaved.stats.invalidations >= count);

  await t.test("reaches a token only once it is visible there", async (t) => {
    await replica.pauseReplay();
    const commit = await saveUser(writer, { id: "1", name: "new", version: 2 });
    await invalidated(3);
    t.equal(await nameOf("1"), "old", "what the replica has: it is kept");
    t.equal(await nameOf("1"), "old");
    await t.rejects(slaved.waitFor(commit, { timeoutMs: 50 }), {
      code: "WAIT_TIMEOUT",
    });
    await replica.resumeReplay();
    await slaved.waitFor(commit);
    t.equal(await nameOf("1"), "new", "what was kept has gone");
  });

  await t.test("keeps nothing that was loading as it became visible", async (t) => {
    await replica.pauseReplay();
    const commits = [];
    for (let version = 3; version < 23; version += 1) {
      commits.push(
        await saveUser(writer, { id: "1", name: `v${version}`, version }),
      );
    }
    let isDone = false;
    const readings = (async () => {
      while (!isDone) {
        await nameOf("1");
        // What is cached comes without a turn of the event loop.
        await new Promise((resolve) => systemClock.nextTurn(() => resolve(0)));
      }
    })();
    await replica.resumeReplay();
    for (const [index, commit] of commits.entries()) {
      await slaved.waitFor(commit);
      const user = await users.getUserById("1");
      t.ok((user?.version ?? 0) >= index + 3, `v${user?.version}`);
    }
    isDone = true;
    await readings;
    t.equal(await nameOf("1"), "v22");
  });

  await t.test("goes on when the replica comes back", async (t) => {
    await replica.stop();
    const commit = await saveUser(writer, {
      id: "1",
      name: "later",
      version: 99,
    });
    await replica.start();
    await slaved.waitFor(commit);
    t.equal(await nameOf("1"), "later");
  });

  await t.test("an audit suspects nothing of it", async (t) => {
    const { checked } = audit.stats;
    await until("more are checked", () => audit.stats.checked > checked);
    t.equal(audit.stats.differing, 0);
  });
});

t.test("a replica must be PostgreSQL's", async (t) => {
  const writer = await WriterStore.open({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  const connecting = SlavedStore.connect({
    database: "postgres://nobody@127.0.0.1:1/none",
    replica: "sqlite:app.db",
    replicate: writer.url as string,
    connectTimeoutMs: 50,
  });
  await t.rejects(connecting, { code: "INVALID_ARGUMENT" });
});
