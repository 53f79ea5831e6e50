// Promise 2, a crash included: a process is killed while one of its
// transactions waits in its COMMIT, and others with higher tokens have
// committed. Its backend lives on, and may yet commit: nobody steps over that
// row before it has ended. Once it has, readers get it, or positions move on.

import t from "tap";
import { WriterStore } from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { postgresDatabase } from "../support/postgres.ts";
import { startProcess } from "../support/processes.ts";
import { createUsers, type TestDatabase } from "../support/stores.ts";
import { HELD, HELD_AND_FAILING, holdCommits, write } from "./held_commits.ts";
import { connectReader, lookForHorizon, startPager } from "./held_readers.ts";

const doomedFile = new URL("./held_process.ts", import.meta.url);

/** How the killed process's transaction ends. */
const ENDS = [
  ["commits", HELD, true],
  ["rolls back", HELD_AND_FAILING, false],
  ["is ended by the server", HELD, false],
  ["is ended by the next holder of its name", HELD, false],
] as const;

for (const [how, name, isCommitted] of ENDS) {
  t.test(`a killed writer's transaction ${how}`, async (t) => {
    const database = await postgresDatabase(t);
    const other = await WriterStore.open<TestDatabase>({
      database,
      instance: "other",
      listen: "tcp://127.0.0.1:0",
    });
    t.teardown(() => other.close());
    await createUsers(other);
    const held = await holdCommits(t, database);
    const reader = await connectReader(t, database, String(other.url));
    const { slaved, users } = reader;

    const doomed = startProcess(t, doomedFile, [database, name]);
    await doomed.hear("it writes", (message) => message === "writing");
    await held.waiting(1);
    const lowest = await held.lastTaken();
    doomed.tell("go on");
    const behind = await doomed.hear<{ token: number; position: number }>(
      "it has written behind it",
      (message) => typeof message === "object",
    );
    t.ok(behind.position < lowest);
    doomed.signal("SIGKILL");
    await doomed.ended;
    await held.waiting(1);

    const pager = startPager(t, other);
    const horizon = lookForHorizon(t, database);
    await until("both look", () => horizon.queries() > 3 && pager.begun() > 0);
    const commit = await write(other, "other");
    await slaved.waitFor(commit);
    t.ok(reader.reached("doomed") < lowest, "not past what may yet commit");
    t.notOk(reader.delivered("doomed").includes("behind"));
    t.ok(slaved.linearPosition < lowest);
    t.equal(await users.getUserById(name), undefined);

    if (how === "is ended by the server") await held.terminate();
    else if (how !== "is ended by the next holder of its name") {
      await held.release();
    } else {
      const next = await WriterStore.open<TestDatabase>({
        database,
        instance: "doomed",
      });
      t.teardown(() => next.close());
      t.equal(
        next.position.get("doomed"),
        behind.token,
        "it goes on from there",
      );
      t.ok((await write(next, "next")).token > behind.token);
      await held.release();
    }
    await slaved.waitFor({ instance: "doomed", token: behind.token });
    const expected = ["before", ...(isCommitted ? [HELD] : []), "behind"];
    t.same(reader.delivered("doomed").slice(0, expected.length), expected);
    t.equal(
      (await users.getUserById(name))?.name,
      isCommitted ? HELD : undefined,
    );
    await until(
      "everything is complete",
      () => slaved.linearPosition >= commit.token,
    );
    const all = ["before", ...(isCommitted ? [HELD] : []), "behind", "other"];
    t.same((await pager.until("other")).slice(0, all.length), all);
    const { ids } = await horizon.found;
    t.same(ids, all.slice(0, ids.length), "the horizon hides nothing");
    t.ok(ids.includes("behind"));
  });
}
