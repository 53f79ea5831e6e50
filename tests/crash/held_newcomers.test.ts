// A commit that hangs on the server is nobody's reason to wait for ever: who
// comes meanwhile gets in, or an error in its time.

import t from "tap";
import { type HeadwaterError, SlavedStore, WriterStore } from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { postgresDatabase } from "../support/postgres.ts";
import { createUsers, type TestDatabase } from "../support/stores.ts";
import { HELD, holdCommits, write } from "./held_commits.ts";

t.test("while a commit is held back", async (t) => {
  const database = await postgresDatabase(t);
  const writer = await WriterStore.open<TestDatabase>({
    database,
    listen: "tcp://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  await createUsers(writer);
  const held = await holdCommits(t, database);
  const low = write(writer, HELD);
  await held.waiting(1);
  /** What comes of it before the commit is let go. */
  const settle = async (
    coming: Promise<{ close(): Promise<void> }>,
  ): Promise<string> => {
    let outcome: string | undefined;
    const over = coming.then(async (store) => {
      outcome = "is there";
      await store.close();
    }, (error: HeadwaterError) => void (outcome = error.code));
    t.teardown(() => over);
    await until("it is there, or fails", () => outcome !== undefined, 5_000)
      .catch(() => outcome = "waits");
    return outcome as unknown as string;
  };

  await t.test("a reader connects, or fails at its deadline", async (t) => {
    const outcome = await settle(SlavedStore.connect<TestDatabase>({
      database,
      replicate: String(writer.url),
      connectTimeoutMs: 500,
    }));
    t.match(outcome, /^(?:is there|CONNECT_TIMEOUT)$/);
  });

  await t.test("another instance, new to the log, opens", async (t) => {
    const outcome = await settle(
      WriterStore.open<TestDatabase>({ database, instance: "new" }),
    );
    t.equal(outcome, "is there");
  });

  await held.release();
  await low;
});
