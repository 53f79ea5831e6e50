// Promise 8: two processes can't write under one name. The second fails at
// start with an error that names the holder; a holder that lost its lease
// can't commit.

import t from "tap";
import { hostname } from "node:os";
import { WriterStore } from "../../mod.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { startProcess, type TestProcess } from "../support/processes.ts";
import { createUsers, saveUser, type TestDatabase } from "../support/stores.ts";

const holderFile = new URL("../support/holder_process.ts", import.meta.url);

t.test("an instance's name", async (t) => {
  const database = temporaryDatabase(t);
  const hold = async (...args: string[]): Promise<TestProcess> => {
    const holder = startProcess(t, holderFile, [database, ...args]);
    await holder.hear("it holds the name", (message) => message === "held");
    return holder;
  };
  const open = (instance?: string) =>
    WriterStore.open<TestDatabase>({ database, instance });
  const holder = await hold();

  await t.test("is refused while another process holds it", async (t) => {
    const error = await open().then(
      () => t.fail("it opened"),
      (error) => error,
    );
    t.equal(error.code, "INSTANCE_HELD");
    t.match(error.message, `process ${holder.child.pid} on ${hostname()}`);
    t.match(error.message, `instance "master"`);
  });

  await t.test("does not stand in another name's way", async (t) => {
    const other = await open("other");
    await createUsers(other);
    const { token } = await saveUser(other, { id: "a", name: "A", version: 1 });
    holder.tell("write");
    const written = await holder.hear<{ token: number }>(
      "its token",
      (message) => typeof message === "object",
    );
    t.ok(written.token > token, "tokens of one database are never shared");
    await other.close();
  });

  await t.test("is free at once when its holder was killed", async (t) => {
    holder.signal("SIGKILL");
    await holder.ended;
    const writer = await open();
    t.equal(writer.instance, "master");
    await writer.close();
  });

  await t.test("is free when its holder has closed", async (t) => {
    const next = await hold();
    next.tell("close");
    t.equal(await next.ended, 0);
    const writer = await open();
    await writer.close();
  });

  await t.test("is lost by a holder that was held up for too long", async (t) => {
    const late = await hold("150");
    late.signal("SIGSTOP");
    // The lease runs out on the clock; nothing else frees it.
    let writer: WriterStore<TestDatabase> | undefined;
    while (writer === undefined) {
      writer = await open().catch(async (error) => {
        // Stopped amid a renewal it holds SQLite's lock, too: it goes on a little.
        if (error.code === "DATABASE_BUSY") late.signal("SIGCONT");
        else if (error.code !== "INSTANCE_HELD") throw error;
        await new Promise((resolve) => setTimeout(resolve, 10));
        late.signal("SIGSTOP");
        return undefined;
      });
    }
    const before = await saveUser(writer, { id: "a", name: "A", version: 2 });
    late.signal("SIGCONT");
    late.tell("write");
    const refused = await late.hear<{ error: string; message: string }>(
      "its error",
      (message) => typeof message === "object",
    );
    t.equal(refused.error, "LEASE_LOST");
    const after = await saveUser(writer, { id: "a", name: "A", version: 3 });
    t.equal(after.token, before.token + 1, "it wrote nothing in between");
    await writer.close();
  });
});
