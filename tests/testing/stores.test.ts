// Real stores whose time passes when the test says so.

import t from "tap";
import { seededRandom, VirtualClock } from "../../src/testing/mod.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { saveUser, Users } from "../support/stores.ts";
import { connectUsers, openUsers } from "../support/users.ts";

t.test("stores take a virtual clock and seeded chance", async (t) => {
  const database = temporaryDatabase(t);
  const clock = new VirtualClock({ wallMs: 1_000, settleMs: 2 });
  const environment = { clock, random: seededRandom(1) };
  const writer = await openUsers(t, {
    database,
    listen: "tcp://127.0.0.1:0",
    ...environment,
  });
  const slaved = await connectUsers(t, writer, { database, ...environment });
  const commit = await saveUser(writer, { id: "1", name: "Ann", version: 1 });
  await slaved.waitFor(commit);
  t.match(await slaved.attach(Users).getUserById("1"), { name: "Ann" });
  const tooLong = slaved.waitFor({ instance: "master", token: 99 });
  const outcome = t.rejects(tooLong, { code: "WAIT_TIMEOUT" });
  await clock.advance(10_000);
  await outcome;
  const { rows } = await writer.readRows<[string, string[], number]>("caches");
  t.equal(rows[0]?.[1][2], 1_000, "the row's time is the clock's");
});
