// Promise 2 on PostgreSQL, where transactions run beside each other: one that
// took a lower token commits after those with higher ones. No reader steps over
// it: whoever follows the writer, reads events in pages, projects them or asks for
// the horizon is told of nothing beyond it until it has ended, and of it before the others.

import t, { type Test } from "tap";
import { WriterStore } from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { netcat } from "../support/netcat.ts";
import { postgresDatabase } from "../support/postgres.ts";
import { createUsers, type TestDatabase } from "../support/stores.ts";
import { HELD, HELD_AND_FAILING, holdCommits, write } from "./held_commits.ts";
import {
  connectReader,
  lookForHorizon,
  startPager,
  startProjection,
} from "./held_readers.ts";

async function open(
  t: Test,
  database: string,
  instance = "master",
): Promise<WriterStore<TestDatabase>> {
  const writer = await WriterStore.open<TestDatabase>({
    database,
    instance,
    listen: "tcp://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  return writer;
}

/** How the lower transaction ends, and what readers are given then. */
const ENDS = [
  ["commits at last", HELD, ["held", "free 1", "free 2", "free 3"]],
  ["rolls back at last", HELD_AND_FAILING, ["free 1", "free 2", "free 3"]],
  ["loses its connection", HELD, ["free 1", "free 2", "free 3", " again"]],
] as const;

for (const [how, name, expected] of ENDS) {
  t.test(`a lower token whose transaction ${how}`, async (t) => {
    const database = await postgresDatabase(t);
    const writer = await open(t, database);
    await createUsers(writer);
    const held = await holdCommits(t, database);
    const reader = await connectReader(t, database, String(writer.url));
    t.equal(await reader.users.getUserById(name), undefined);
    const before = Number(writer.position.get("master"));
    const projection = await startProjection(t, database);

    const low = write(writer, name).then(
      (commit) => commit,
      (error) => error.code as string,
    );
    await held.waiting(1);
    const lowest = await held.lastTaken();
    const commits = [];
    for (const id of ["free 1", "free 2", "free 3"]) {
      commits.push(await write(writer, id));
    }
    const highest = Number(commits.at(-1)?.token);
    t.ok(commits.every(({ token }) => token > lowest), "the others are higher");

    const pager = startPager(t, writer);
    const horizon = lookForHorizon(t, database);
    await until("both look", () => horizon.queries() > 3 && pager.begun() > 0);
    t.equal(writer.position.get("master"), before, "nothing is complete");
    t.same((await writer.readRows("events")).rows, [], "nor given out");
    t.same(projection.ids, [], "nor projected");
    const newcomer = await netcat(t, String(writer.url));
    newcomer.send("REPLICATE\n");
    t.equal(
      await newcomer.line("its position", (line) => /^POS.* events/.test(line)),
      `POSITION events master ${before} ${before}`,
      "nor told",
    );

    await (how === "loses its connection" ? held.terminate() : held.release());
    const ended = await low;
    const last = expected.at(-1) as string;
    if (typeof ended === "string") t.equal(ended, "P0001");
    else if (last === " again") {
      t.equal(ended.attempts, 2, "it is run again");
      t.ok(ended.token > highest, "under a token of its own");
    } else {
      t.equal(ended.token, lowest);
      t.equal(ended.attempts, 1);
    }
    await reader.slaved.waitFor(writer.position);
    t.ok(reader.reached("master") >= highest, "positions move on");
    t.same(reader.delivered("master"), expected, "followed in token order");
    t.same(await pager.until(last), expected, "paged in token order");
    await projection.runner.whenCaughtUp(Number(writer.position.get("master")));
    t.same(projection.ids, expected, "projected in token order");
    const { token, ids } = await horizon.found;
    t.ok(token >= highest);
    t.same(ids, expected.slice(0, ids.length), "the horizon hides nothing");
    t.ok(ids.length >= expected.filter((id) => id !== " again").length);
    t.equal(
      (await reader.users.getUserById(name))?.name,
      expected.find((id) => id === name),
      "caches are right",
    );
  });
}

t.test("a lower token of another instance", async (t) => {
  const database = await postgresDatabase(t);
  const a = await open(t, database, "a");
  await createUsers(a);
  const b = await open(t, database, "b");
  const urls = [String(a.url), String(b.url)];
  const held = await holdCommits(t, database);
  const both = await connectReader(t, database, urls);
  // It follows a through the database alone.
  const other = await connectReader(t, database, String(b.url));
  const { slaved } = both;
  await until("it has looked", () => other.reached("a") > 0);

  const low = write(a, HELD);
  await held.waiting(1);
  const lowest = await held.lastTaken();
  const ofB = await write(b, "free b");
  const ofA = await write(a, "free a");
  const pager = startPager(t, b);
  const horizon = lookForHorizon(t, database);
  await until("both look", () => horizon.queries() > 3 && pager.begun() > 0);
  for (const reader of [both, other]) {
    await reader.slaved.waitFor(ofB);
    t.same(reader.delivered("b"), ["free b"], "an instance keeps only itself");
    t.same(reader.delivered("a"), []);
    t.ok(reader.reached("a") < lowest);
    t.ok(reader.slaved.linearPosition < lowest, "all is complete up to there");
  }

  await held.release();
  t.equal((await low).token, lowest);
  for (const reader of [both, other]) {
    await reader.slaved.waitFor(ofA);
    t.same(reader.delivered("a"), ["held", "free a"]);
    t.ok(await reader.users.getUserById("held"));
  }
  await until("all is complete", () => slaved.linearPosition >= ofA.token);
  t.same(await pager.until("free a"), ["held", "free b", "free a"]);
  t.same((await horizon.found).ids, ["held", "free b", "free a"]);
});
