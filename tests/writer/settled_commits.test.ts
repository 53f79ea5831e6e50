// A commit that was not answered is looked for in the log. One that is not there
// was abandoned, unless retention may have deleted it: then nobody knows.

import t from "tap";
import type { Session } from "../../src/database/engine.ts";
import { VirtualClock } from "../../src/testing/mod.ts";
import { Holders } from "../../src/tokens/holders.ts";
import type { Token } from "../../src/tokens/token.ts";
import { createRecorder } from "../../src/writer/recorder.ts";
import { startCuttingProxy } from "../support/cutting_proxy.ts";
import { postgresDatabase, sharedPostgres } from "../support/postgres.ts";
import { Users } from "../support/stores.ts";
import { openUsers } from "../support/users.ts";

function start(floor: number) {
  const session: Session = {
    dialect: "postgres",
    run: () => 0,
    rows(sql) {
      if (sql.includes("headwater_retained")) return [[floor]];
      return sql.includes("headwater_tokens") ? [[9]] : [];
    },
  };
  const calls: string[] = [];
  const recorder = createRecorder({
    lease: {
      instance: "master",
      fence: 1,
      lastToken: 5 as Token,
      lastReserved: 5 as Token,
      holders: new Holders([]),
      holder: "a",
    },
    session,
    clock: new VirtualClock(),
    publish: () => void calls.push("published"),
    lost: () => void calls.push("readers must compare"),
    leaseLost: () => void calls.push("lease lost"),
  });
  const entry = {
    bodies: new Map(),
    appends: [],
    eventIds: [],
    commitId: "0123456789abcdef",
    committedMs: 0,
  };
  const ticket = recorder.begin(entry, {
    rows: new Map(),
    invalidations: [],
    fate: undefined,
  });
  const settled = recorder.settle(
    ticket,
    undefined,
    new AbortController().signal,
  );
  return { settled, calls };
}

t.test("what is not there, and was not deleted, was abandoned", async (t) => {
  const { settled, calls } = start(5);
  t.equal(await settled, false);
  t.same(calls, []);
});

t.test("what may have been deleted is not taken for abandoned", async (t) => {
  const { settled, calls } = start(6);
  await t.rejects(settled, { code: "COMMIT_UNKNOWN" });
  t.same(calls, ["readers must compare"]);
});

t.test("a connection that is reset", async (t) => {
  const { port } = await sharedPostgres();
  const proxy = await startCuttingProxy(t, port);
  const url = new URL(await postgresDatabase(t));
  url.port = `${proxy.port}`;
  const writer = await openUsers(t, { database: url.href });
  const users = writer.attach(Users);
  /** Adds a user, and loses an answer on the way, the first time. */
  const add = async (id: string, lose: "before" | "at") => {
    const told: string[] = [];
    const commit = await writer.transaction("add", async (txn) => {
      txn.afterCommit(() => told.push("commit"));
      txn.afterRollback(() => told.push("rollback"));
      await txn.db.insertInto("users").values({ id, name: "", version: 1 })
        .execute();
      if (txn.attempt === 1 && lose === "before") {
        proxy.resetAt = "SELECT";
        // Who goes on after it must not get onto another connection.
        await txn.db.selectFrom("users").select("id").execute()
          .catch(() => told.push("caught"));
      }
      txn.invalidateAll("countUsers");
      if (txn.attempt === 1 && lose === "at") proxy.resetAt = "COMMIT";
    });
    t.equal(writer.position.get("master"), commit.token, "and is told");
    return { attempts: commit.attempts, told };
  };

  await t.test("at COMMIT, may have committed: it is not run again", async (t) => {
    for (const id of ["a", "b"]) {
      t.same(await add(id, "at"), { attempts: 1, told: ["commit"] });
    }
    t.equal(await users.countUsers(), 2);
    t.equal(proxy.lost(), 2);
  });

  await t.test("before it, has not", async (t) => {
    t.same(await add("c", "before"), {
      attempts: 2,
      told: ["caught", "rollback", "commit"],
    });
    t.equal(await users.countUsers(), 3);
  });
});
