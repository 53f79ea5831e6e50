// Promise 5: a write returns its commit; waitFor(commit) in any process
// resolves once that process has applied it, or fails at its deadline.

import t from "tap";
import { temporaryDatabase } from "../support/folders.ts";
import { saveUser, Users } from "../support/stores.ts";
import { connectUsers, openUsers } from "../support/users.ts";

t.test("SlavedStore.waitFor()", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openUsers(t, {
    database,
    listen: "tcp://127.0.0.1:0",
  });
  const slaved = await connectUsers(t, writer, { database });
  const users = slaved.attach(Users);

  await t.test("resolves once the commit's write is what is read", async (t) => {
    for (let version = 1; version <= 200; version += 1) {
      const user = { id: "bob", name: `Bob ${version}`, version };
      const commit = await saveUser(writer, user);
      await slaved.waitFor(commit);
      t.same(await users.getUserById("bob"), user);
    }
  });

  await t.test("fails at its deadline with what it waited for", async (t) => {
    const instance = writer.instance;
    const token = Number(slaved.position.get(instance));
    await t.rejects(
      slaved.waitFor({ instance, token: token + 1 }, { timeoutMs: 20 }),
      { code: "WAIT_TIMEOUT", instance, token: token + 1 },
    );
  });

  await t.test("rejects with the signal's reason", async (t) => {
    const stop = new AbortController();
    const wait = slaved.waitFor({ instance: "master", token: 1e6 }, {
      signal: stop.signal,
    });
    stop.abort(new Error("enough"));
    await t.rejects(wait, { message: "enough" });
  });

  await t.test("refuses what is no position", async (t) => {
    for (const target of [7, {}, { instance: "master" }, null]) {
      await t.rejects(
        slaved.waitFor(target as never),
        { code: "INVALID_ARGUMENT" },
        JSON.stringify(target),
      );
    }
  });
});
