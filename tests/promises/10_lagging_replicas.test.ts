// Promise 10: a slaved store on a read replica never keeps, past the replica's
// catching up, a value read before the invalidation's data was visible there.

import t from "tap";
import { z } from "zod";
import {
  cached,
  defineCacheGroup,
  SlavedStore,
  Store,
  WriterStore,
} from "../../mod.ts";
import { cachedList } from "../../src/caches/mod.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { until } from "../support/conditions.ts";
import { startPostgres, startReplica } from "../support/postgres.ts";
import { saveUser, type TestDatabase, Users } from "../support/stores.ts";
import { connectUsers, openUsers } from "../support/users.ts";

/** What loads wait for once they have read. */
let hold: Promise<void> | undefined;
/** Loads that wait. */
let held = 0;

async function untilReleased(): Promise<void> {
  if (hold === undefined) return;
  held += 1;
  await hold;
  held -= 1;
}

/** Reads whose entries are found by prefix, and loaded as lists. */
class Versions extends Store<TestDatabase> {
  @cached({ maxEntries: 100, tree: true })
  async versionOf(kind: string, id: string): Promise<number | undefined> {
    const user = await this.db.selectFrom("users").select("version")
      .where("name", "=", kind).where("id", "=", id).executeTakeFirst();
    await untilReleased();
    return user?.version;
  }

  @cachedList({ of: "versionOf" })
  async versionsOf(
    kind: string,
    ids: readonly string[],
  ): Promise<ReadonlyMap<string, number>> {
    const users = await this.db.selectFrom("users").select(["id", "version"])
      .where("name", "=", kind).where("id", "in", [...ids]).execute();
    await untilReleased();
    return new Map(users.map(({ id, version }) => [id, version]));
  }
}

const KIND = "kind";
const versionsGroup = defineCacheGroup(
  "versions",
  z.array(z.string()),
  (ids) => ids.map((id) => ["versionOf", [KIND, id]] as const),
);

t.test("a slaved store on a replica that lags", async (t) => {
  const primary = await startPostgres(t);
  const database = await primary.createDatabase();
  const writer = await openUsers(t, {
    database,
    listen: "tcp://127.0.0.1:0",
    groups: [versionsGroup],
  });
  await saveUser(writer, { id: "1", name: "old", version: 1 });
  const replica = await startReplica(t, primary);
  const slaved = await connectUsers(t, writer, {
    database,
    replica: replica.urlOf(database),
    groups: [versionsGroup],
  });
  const users = slaved.attach(Users);
  const audit = slaved.audit({
    sampleRate: 1,
    budgetPerSecond: 1_000,
    // The others' loads are held open on purpose.
    caches: [users.getUserById],
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

  const versions = slaved.attach(Versions);
  let version = 100;
  for (const by of ["key", "prefix", "group", "all"] as const) {
    await t.test(`drops by ${by} what it loaded meanwhile`, async (t) => {
      const ids = ["kept", `new by ${by}`, "held"];
      const write = (written: readonly string[]) =>
        writer.transaction("write", async (txn) => {
          version += 1;
          for (const id of written) {
            const user = { id, name: KIND, version };
            await txn.db.insertInto("users").values(user)
              .onConflict((conflict) => conflict.column("id").doUpdateSet(user))
              .execute();
          }
          if (by === "prefix") txn.invalidatePrefix("versionOf", [KIND]);
          if (by === "group") txn.invalidateGroup(versionsGroup, ids);
          if (by === "all") txn.invalidateAll("versionOf");
          if (by !== "key") return;
          for (const id of ids) txn.invalidate("versionOf", [KIND, id]);
        });
      await slaved.waitFor(await write(["kept", "held"]));
      const old = version;
      await replica.pauseReplay();
      const heard = slaved.stats.invalidations;
      const commit = await write(ids);
      await invalidated(heard + 1);
      t.same([...await versions.versionsOf(KIND, ids.slice(0, 2))], [
        ["kept", old],
      ]);
      t.equal(await versions.versionOf(KIND, "kept"), old, "it is kept");
      t.equal(await versions.versionOf(KIND, `new by ${by}`), undefined);
      let release = () => {};
      hold = new Promise<void>((resolve) => release = resolve);
      const [single, list] = [
        versions.versionOf(KIND, "held"),
        versions.versionsOf(KIND, ["held", "nobody"]),
      ];
      await until("both have read", () => held === 2);
      await replica.resumeReplay();
      await slaved.waitFor(commit);
      hold = undefined;
      for (const id of ids) {
        t.equal(await versions.versionOf(KIND, id), version, id);
      }
      release();
      t.equal(await single, old);
      t.same([...await list], [["held", old]]);
      const found = await versions.versionsOf(KIND, ids);
      t.same([...found.values()], [version, version, version]);
    });
  }

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
    await until("more are checked", async () => {
      // The replica's return may flush what was just read.
      await nameOf("1");
      return audit.stats.checked > checked;
    });
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
