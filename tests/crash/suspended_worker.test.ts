// A worker that is suspended for 10,000 transactions and goes on: it catches
// up, in bounded memory, and is right; whether its connection has held, or it
// was disconnected because it did not keep up.

import t from "tap";
import { WriterStore } from "../../mod.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { startProcess } from "../support/processes.ts";
import { createUsers, type TestDatabase } from "../support/stores.ts";
import { KEYS, userOf } from "./writes.ts";

const TRANSACTIONS = 10_000;
const MEBIBYTE = 1024 * 1024;
const workerFile = new URL("./suspended_process.ts", import.meta.url);

interface Verdict {
  readonly wrong: readonly unknown[];
  readonly peakBytes: number;
  readonly transactions: number;
  readonly connections: number;
  readonly catchUps: number;
}

for (
  const [what, maxOutboxBytes, keyLength, isDropped] of [
    ["whose connection holds", 64 * MEBIBYTE, 20, false],
    // 320 MB of rows: kept all at once, on top of what the runtime leaves to
    // be collected, they are more than it may grow.
    ["that is disconnected meanwhile", 64 * 1024, 1_600, true],
  ] as const
) {
  t.test(`a worker ${what}`, async (t) => {
    const database = temporaryDatabase(t);
    const writer = await WriterStore.open<TestDatabase>({
      database,
      listen: "tcp://127.0.0.1:0",
      synchronous: "normal",
      maxOutboxBytes,
    });
    t.teardown(() => writer.close());
    await createUsers(writer);
    const write = (version: number) =>
      writer.transaction("write", async (txn) => {
        const user = userOf(`user${version % KEYS}`, version);
        await txn.db.insertInto("users").values(user)
          .onConflict((conflict) => conflict.column("id").doUpdateSet(user))
          .execute();
        // More rows than the sockets' buffers hold.
        for (let part = 0; part < 20; part += 1) {
          const key = `${user.id} part ${part}`.padEnd(keyLength, ".");
          txn.invalidate("getUserById", [key]);
        }
        txn.invalidate("getUserById", [user.id]);
      });
    for (let version = 1; version <= KEYS; version += 1) await write(version);
    const worker = startProcess(t, workerFile, [database, String(writer.url)]);
    worker.tell({ instance: "master", token: writer.position.get("master") });
    const before = await worker.hear<Verdict>("it has read all", () => true);
    t.same(before.wrong, []);

    worker.signal("SIGSTOP");
    let commit;
    for (let count = 1; count <= TRANSACTIONS; count += 1) {
      commit = await write(KEYS + count);
    }
    t.equal(writer.stats.laggards, isDropped ? 1 : 0);
    worker.signal("SIGCONT");
    worker.tell(commit);
    const after = await worker.hear<Verdict>("it has read all", () => true);
    t.same(after.wrong, [], "it is right");
    t.equal(
      after.transactions - before.transactions,
      TRANSACTIONS,
      "it has stepped over none",
    );
    const grownBytes = after.peakBytes - before.peakBytes;
    t.ok(grownBytes < 420 * MEBIBYTE, `grown by ${grownBytes} bytes`);
    if (isDropped) {
      t.ok(after.connections > before.connections, "it came back");
      t.ok(after.catchUps > 0, "and read the log");
    } else {
      t.equal(after.connections, before.connections, "it stayed");
    }
  });
}
