// A writer that is called: DATABASE LISTEN HTTP. The call `add` counts in a
// table; with `die: true` the process kills itself once the call is committed,
// before it can answer.

import process from "node:process";
import { z } from "zod";
import { WriterStore } from "../../mod.ts";
import { createUsers, type TestDatabase } from "../support/stores.ts";
import { exposeUsers } from "./calls.ts";

const [database = "", listen = "", http = ""] = process.argv.slice(2);

const writer = await WriterStore.open<TestDatabase>({ database, listen, http });
exposeUsers(writer);
writer.expose(
  "addAndDie",
  z.object({ id: z.string(), die: z.boolean() }),
  async (txn, { id }) => {
    txn.afterCommit(() => process.kill(process.pid, "SIGKILL"));
    await txn.db.insertInto("users").values({ id, name: "died", version: 1 })
      .execute();
    txn.invalidateAll("countUsers");
    return { id, at: process.pid };
  },
);
await createUsers(writer);
process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
