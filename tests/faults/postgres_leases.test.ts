// One holder of an instance's name on PostgreSQL, whatever happens to it: a
// second is refused; one that was held up for longer than its lease can't
// commit any more, in any isolation level; and nobody's own clock matters.

import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import process from "node:process";
import postgres from "postgres";
import t from "tap";
import { HeadwaterError, WriterStore } from "../../mod.ts";
import { HELD, holdCommits } from "../crash/held_commits.ts";
import { until } from "../support/conditions.ts";
import { postgresDatabase, sharedPostgres } from "../support/postgres.ts";
import { createUsers, saveUser, type TestDatabase } from "../support/stores.ts";
import {
  hold,
  readLease,
  renewed,
  start,
  suspend,
  takeOver,
} from "./lease_holders.ts";
import { ISOLATIONS, type Said } from "./leases.ts";

const LEASE_MS = 300;
/** Of a holder that is to keep its name: a busy machine stands still for half a second. */
const KEPT_LEASE_MS = 1_000;
const HOUR_MS = 3_600_000;

t.test("a second process under the name", async (t) => {
  const database = await postgresDatabase(t);
  const holder = await hold(t, { database, leaseMs: 60_000 });
  const open = (instance?: string) =>
    WriterStore.open<TestDatabase>({ database, instance });
  const error = await open().catch((caught) => caught);
  t.ok(error instanceof HeadwaterError);
  t.equal(error.code, "INSTANCE_HELD");
  t.match(
    error.message,
    new RegExp(
      `^Cannot open a writer store as instance "master": process ` +
        `${holder.child.pid} on ${hostname()} has held the name since ` +
        `\\d{4}-.*Z, for \\d+ s more unless it renews; stop it, or give ` +
        `this one another instance name$`,
    ),
  );
  const other = await open("other");
  const { token } = await saveUser(other, { id: "a", name: "a", version: 1 });
  await other.close();
  holder.order({
    do: "write",
    id: "b",
    isolation: "read committed",
    waits: false,
  });
  const said = await holder.says("committed", "b");
  t.ok((said.token as number) > token, "the holder was not disturbed");
  holder.order({ do: "close" });
  t.equal(await holder.ended, 0);
  await (await open()).close();
});

t.test("a name that was not taken after all stays free", async (t) => {
  const database = await postgresDatabase(t);
  const server = await sharedPostgres();
  const open = () => WriterStore.open<TestDatabase>({ database });
  await (await open()).close();
  await server.run(
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
      AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON headwater_holders
      FOR EACH ROW EXECUTE FUNCTION refuse()`,
    database,
  );
  await t.rejects(open(), { message: /refused/ });
  await server.run("DROP TRIGGER refuse ON headwater_holders", database);
  await (await open()).close();
});

t.test("of those that come at once one gets the name", async (t) => {
  const database = await postgresDatabase(t);
  // The first time there are no tables yet, then there is no such instance.
  for (const instance of ["master", "new", "master"]) {
    const opened = await Promise.allSettled(
      Array.from(
        { length: 6 },
        () => WriterStore.open<TestDatabase>({ database, instance }),
      ),
    );
    const writers = opened.filter(({ status }) => status === "fulfilled");
    t.equal(writers.length, 1, instance);
    for (const each of opened) {
      if (each.status === "fulfilled") {
        await createUsers(each.value);
        await each.value.close();
        continue;
      }
      const { code, message } = each.reason;
      t.match({ code, message }, {
        code: "INSTANCE_HELD",
        message: `process ${process.pid} on ${hostname()}`,
      });
    }
  }
});

/** The URLs of a holder that is held up, and of who takes its name then. */
interface Takeover {
  readonly held: string;
  readonly taken: string;
  /** Whether the second may end the connections of the first. */
  readonly endsConnections: boolean;
}

const TAKEOVERS: Readonly<
  Record<string, (database: string) => Takeover | Promise<Takeover>>
> = {
  "the same user": (database) => ({
    held: database,
    taken: database,
    endsConnections: true,
  }),
  // Providers give such URLs; connections are found by what they are called.
  "the same user, whose URL has a name for its connections": (database) => {
    const url = `${database}?application_name=billing`;
    return { held: url, taken: url, endsConnections: true };
  },
  // All that keeps the one before from writing is the fence.
  "another user": async (database) => ({
    held: await createUser(database),
    taken: await createUser(database),
    endsConnections: false,
  }),
};

/** The database's URL for a new user, who may write all there is. */
async function createUser(database: string): Promise<string> {
  const server = await sharedPostgres();
  const url = new URL(database);
  url.username = `user_${randomBytes(6).toString("hex")}`;
  await server.run(
    `CREATE ROLE ${url.username} LOGIN PASSWORD 'password';
    GRANT ALL ON SCHEMA public TO ${url.username};
    GRANT ALL ON ALL TABLES IN SCHEMA public TO ${url.username};
    GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO ${url.username}`,
    database,
  );
  return url.href;
}

for (const [who, prepare] of Object.entries(TAKEOVERS)) {
  t.test(`a holder that is suspended, and followed by ${who}`, async (t) => {
    const database = await postgresDatabase(t);
    const server = await sharedPostgres();
    const first = await WriterStore.open<TestDatabase>({ database });
    await createUsers(first);
    await first.close();
    const { held, taken, endsConnections } = await prepare(database);
    const holder = await hold(t, { database: held, leaseMs: LEASE_MS });
    const open = ISOLATIONS.map((isolation) => `open ${isolation}`);
    for (const isolation of ISOLATIONS) {
      const order = { do: "write", isolation, waits: true } as const;
      holder.order({ ...order, id: `open ${isolation}` });
      await holder.says("within", `open ${isolation}`);
    }
    await suspend(holder, database);
    const writer = await takeOver(t, taken);
    if (endsConnections) {
      // Those that have not touched the log are told to end, and not waited for.
      await until("nothing of its is open", async () => {
        const open = await server.run(
          `SELECT state FROM pg_stat_activity
          WHERE datname = current_database() AND state LIKE 'idle in%'`,
          database,
        );
        return open.length === 0;
      });
    }
    const before = await saveUser(writer, { id: "a", name: "a", version: 1 });
    holder.signal("SIGCONT");
    holder.order({ do: "go on" });
    for (const isolation of ISOLATIONS) {
      const order = { do: "write", isolation, waits: false } as const;
      holder.order({ ...order, id: `late ${isolation}` });
    }
    const late = ISOLATIONS.map((isolation) => `late ${isolation}`);
    for (const id of [...open, ...late]) {
      const said = await holder.says("failed", id);
      t.equal(said.code, "LEASE_LOST", id);
      t.equal(
        said.message,
        'Cannot write as instance "master": this process lost its lease; the ' +
          `holder is process ${process.pid} on ${hostname()}; open the writer ` +
          "store again",
      );
      t.ok(
        said.calls?.every((call) => call.startsWith("rolled back")),
        `${said.calls}`,
      );
    }
    const after = await saveUser(writer, { id: "b", name: "b", version: 1 });
    t.ok(after.token > before.token);
    t.same(
      await server.run("SELECT id FROM users ORDER BY id", database),
      [["a"], ["b"]],
      "nothing of its data is there",
    );
    t.same(
      await server.run(
        `SELECT token::int FROM headwater_log WHERE token > ${before.token}`,
        database,
      ),
      [[after.token]],
      "nor of its rows",
    );
    // It does not give a name free that isn't its own.
    holder.order({ do: "close" });
    t.equal(await holder.ended, 0, holder.errors());
    await t.rejects(WriterStore.open({ database }), { code: "INSTANCE_HELD" });
    await saveUser(writer, { id: "c", name: "c", version: 1 });
  });
}

t.test("a holder that is suspended as it renews its lease", async (t) => {
  const database = await postgresDatabase(t);
  const server = await sharedPostgres();
  const holder = await hold(t, { database, leaseMs: LEASE_MS });
  await suspend(holder, database);
  const [row] = await server.run(
    "SELECT holder FROM headwater_instances",
    database,
  );
  // One more connection of its own, which has the row and says no more.
  const renewing = postgres(database, {
    max: 1,
    onnotice: () => {},
    connection: { application_name: String(row?.[0]) },
  });
  t.teardown(() => renewing.end({ timeout: 0 }).catch(() => {}));
  await renewing.unsafe(
    "BEGIN; UPDATE headwater_instances SET expires_ms = expires_ms + 60000",
  );
  const writer = await takeOver(t, database);
  await saveUser(writer, { id: "a", name: "a", version: 1 });
  holder.signal("SIGCONT");
  const order = { do: "write", isolation: "read committed" } as const;
  holder.order({ ...order, id: "late", waits: false });
  t.equal((await holder.says("failed", "late")).code, "LEASE_LOST");
});

t.test("the fence alone keeps a holder from committing", async (t) => {
  const database = await postgresDatabase(t);
  const server = await sharedPostgres();
  const holder = await hold(t, { database, leaseMs: LEASE_MS });
  for (const isolation of ISOLATIONS) {
    const order = { do: "write", isolation, waits: true } as const;
    holder.order({ ...order, id: isolation });
    await holder.says("within", isolation);
  }
  await suspend(holder, database);
  // As one takes the name who can't see whose connections there are.
  await server.run(
    "UPDATE headwater_instances SET fence = fence + 1, host = 'elsewhere', pid = 12",
    database,
  );
  const rowsBefore = await server.run("SELECT * FROM headwater_log", database);
  holder.signal("SIGCONT");
  holder.order({ do: "go on" });
  for (const isolation of ISOLATIONS) {
    const said = await holder.says("failed", isolation);
    t.match(said, {
      code: "LEASE_LOST",
      message:
        /this process lost its lease; the holder is process 12 on elsewhere;/,
    });
    t.same(
      said.calls,
      isolation === "read committed"
        ? ["rolled back 1"]
        // It can't see the new holder before it is run again.
        : ["rolled back 1", "rolled back 2"],
      isolation,
    );
  }
  t.same(await server.run("SELECT id FROM users", database), []);
  t.same(await server.run("SELECT * FROM headwater_log", database), rowsBefore);
});

t.test("whoever died taking the name is not taken for its last writer", async (t) => {
  const database = await postgresDatabase(t);
  const server = await sharedPostgres();
  const holder = await hold(t, { database, leaseMs: LEASE_MS });
  const held = await holdCommits(t, database);
  const order = { do: "write", isolation: "read committed" } as const;
  holder.order({ ...order, id: HELD, waits: false });
  await held.waiting(1);
  await suspend(holder, database);
  // What one leaves that is killed as soon as it has the name.
  await server.run(
    `UPDATE headwater_instances SET fence = fence + 1, expires_ms = 0,
      holder = 'headwater 0123456789abcdef', pid = 2000000000`,
    database,
  );
  const writer = await takeOver(t, database);
  await saveUser(writer, { id: "a", name: "a", version: 1 });
  await held.release();
  await until(
    "no commit is under way",
    async () =>
      (await server.run(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
          AND state <> 'idle' AND pid <> pg_backend_pid()`,
        database,
      )).length === 0,
  );
  t.same(
    await server.run("SELECT id FROM users", database),
    [["a"]],
    "nothing appears below what readers were told of",
  );
});

// Beside each other: they mostly wait.
t.test("clocks", { jobs: 3 }, (t) => {
  for (const aheadMs of [HOUR_MS, -HOUR_MS]) {
    const how = aheadMs > 0 ? "an hour ahead" : "an hour behind";
    for (const when of ["from the start", "while it holds the name"] as const) {
      t.test(`a holder whose clocks are ${how} ${when}`, async (t) => {
        const database = await postgresDatabase(t);
        const isLate = when === "while it holds the name";
        const holder = await hold(t, {
          database,
          leaseMs: KEPT_LEASE_MS,
          aheadMs: isLate ? 0 : aheadMs,
        });
        if (isLate) {
          holder.order({ do: "move clocks", aheadMs });
          await holder.says("moved");
        }
        await renewed(database, 3);
        const [begun, ends] = await readLease(database);
        t.ok(begun <= 0 && begun > -HOUR_MS / 2, `begun ${begun} ms from now`);
        t.ok(ends > 0 && ends <= KEPT_LEASE_MS, `ends ${ends} ms from now`);
        await t.rejects(
          WriterStore.open({ database }),
          { code: "INSTANCE_HELD", message: /for 1 s more unless/ },
          "it does not lose what it renews",
        );
        holder.order({
          do: "write",
          id: "mine",
          isolation: "serializable",
          waits: false,
        });
        await holder.says("committed", "mine");
        // Not for longer than its lease, either.
        holder.signal("SIGSTOP");
        const writer = await takeOver(t, database);
        holder.signal("SIGCONT");
        holder.order({
          do: "write",
          id: "late",
          isolation: "read committed",
          waits: false,
        });
        t.equal((await holder.says("failed", "late")).code, "LEASE_LOST");
        await saveUser(writer, { id: "a", name: "a", version: 1 });
      });
    }

    t.test(`one who asks for the name, with clocks ${how}`, async (t) => {
      const database = await postgresDatabase(t);
      const holder = await hold(t, { database, leaseMs: 60_000 });
      const refused = await start(t, {
        database,
        leaseMs: KEPT_LEASE_MS,
        aheadMs,
      });
      const said = refused.messages[0] as Said;
      t.match(said, { what: "failed", code: "INSTANCE_HELD" });
      const seconds = Number(/for (\d+) s more/.exec(`${said.message}`)?.[1]);
      t.ok(seconds > 0 && seconds <= 60, `for ${seconds} s`);
      t.match(said.message, `process ${holder.child.pid} on ${hostname()}`);
      // Free, and taken by it, it is its own as everybody's.
      holder.order({ do: "close" });
      await holder.ended;
      const taken = await hold(t, {
        database,
        leaseMs: KEPT_LEASE_MS,
        aheadMs,
      });
      await renewed(database, 2);
      await t.rejects(WriterStore.open({ database }), {
        code: "INSTANCE_HELD",
        message: `process ${taken.child.pid} on ${hostname()}`,
      });
    });
  }
  t.end();
});
