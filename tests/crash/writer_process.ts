// A writer that is meant to be killed: DATABASE URL FIRST_VERSION. It writes as
// fast as it can, one user a transaction with a row of the stream `writes`
// beside it, and says what was acknowledged. What it says leaves the process
// before the next transaction begins.

import { Buffer } from "node:buffer";
import { writeSync } from "node:fs";
import process from "node:process";
import { WriterStore } from "../../mod.ts";
import { createUsers, type TestDatabase } from "../support/stores.ts";
import { KEYS, userOf, writes } from "./writes.ts";

const [database = "", listen = "", first = ""] = process.argv.slice(2);
const STDOUT = 1;
const say = (message: unknown) => {
  const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
  for (let sent = 0; sent < bytes.length;) {
    try {
      sent += writeSync(STDOUT, bytes, sent);
    } catch (error) {
      // The pipe is full, for whoever reads it is busy.
      if ((error as { code?: string }).code !== "EAGAIN") throw error;
    }
  }
};

const writer = await WriterStore.open<TestDatabase>({
  database,
  listen,
  streams: [writes],
});
await createUsers(writer);
say({ open: writer.position.get("master") });

for (let version = Number(first);; version += 1) {
  const id = `user${version % KEYS}`;
  const { token } = await writer.transaction("write", async (txn) => {
    const user = userOf(id, version);
    txn.write(writes, { id, version });
    await txn.db.insertInto("users").values(user)
      .onConflict((conflict) => conflict.column("id").doUpdateSet(user))
      .execute();
    txn.invalidate("getUserById", [id]);
    txn.write(writes, { id, version: -version });
  });
  say({ token, version });
}
