// Spans of transactions and of their application, joined by a link.

import t, { type Test } from "tap";
import { trace } from "@opentelemetry/api";
import type { SlavedStore, WriterStore } from "../../mod.ts";
import { commitLink } from "../../src/telemetry/commit_link.ts";
import type { Token } from "../../src/tokens/token.ts";
import { onEachEngine } from "../support/databases.ts";
import { saveUser, type TestDatabase } from "../support/stores.ts";
import { installTracer } from "../support/telemetry.ts";
import { connectUsers, openUsers } from "../support/users.ts";

async function open(
  t: Test,
  database: string,
  traceApplied?: boolean,
): Promise<[WriterStore<TestDatabase>, SlavedStore<TestDatabase>]> {
  const writer = await openUsers(t, {
    database,
    listen: "tcp://127.0.0.1:0",
  });
  const slaved = await connectUsers(t, writer, {
    database,
    pollIntervalMs: 0,
    traceApplied,
  });
  return [writer, slaved];
}

onEachEngine(
  t,
  "a commit and its application have one link",
  async (t, database) => {
    const tracer = installTracer(t);
    const [writer, slaved] = await open(t, database, true);
    tracer.spans.length = 0;
    const commit = await saveUser(writer, { id: "1", name: "a", version: 1 });
    await slaved.waitFor(commit);
    const [written, ...others] = tracer.ended("headwater.transaction");
    t.same(others, []);
    t.same(written?.attributes, {
      "headwater.instance": "master",
      "headwater.transaction": "save user",
      "headwater.token": commit.token,
      "headwater.rows": 3,
      "headwater.attempts": 1,
    });
    const [applied, ...more] = tracer.ended("headwater.apply");
    t.same(more, []);
    t.same(applied?.attributes, {
      "headwater.instance": "master",
      "headwater.token": commit.token,
      "headwater.rows": 3,
      "headwater.transactions": 1,
    });
    t.equal(written?.links.length, 1);
    t.same(applied?.links, written?.links);
    const linked = applied?.links[0]?.context;
    t.ok(linked && trace.isSpanContextValid(linked));
  },
);

onEachEngine(
  t,
  "what failed, and what changed nothing",
  async (t, database) => {
    const tracer = installTracer(t);
    const [writer, slaved] = await open(t, database);
    tracer.spans.length = 0;
    const error = new TypeError("no such thing");
    await t.rejects(
      writer.transaction("fail", () => Promise.reject(error)),
      error,
    );
    const inner = trace.getTracer("user");
    await writer.transaction("look", async (txn) => {
      await txn.db.selectFrom("users").selectAll().execute();
      inner.startSpan("user's").end();
    });
    const [failed, empty] = tracer.ended("headwater.transaction");
    t.match(failed, {
      exception: error,
      status: { code: 2, message: "no such thing" },
      links: [],
    });
    t.same(empty?.links, []);
    t.same(Object.keys(empty?.attributes ?? {}), [
      "headwater.instance",
      "headwater.transaction",
    ]);
    const [within] = tracer.ended("user's");
    t.equal(within?.parent?.spanId, empty?.spanContext().spanId);
    await slaved.waitFor(
      await saveUser(writer, { id: "1", name: "a", version: 1 }),
    );
    t.same(tracer.ended("headwater.apply"), [], "unless it is asked for");
  },
);

t.test("without a tracer nothing is made", async (t) => {
  const { temporaryDatabase } = await import("../support/folders.ts");
  const [writer, slaved] = await open(t, temporaryDatabase(t), true);
  const tracer = installTracer(t);
  await slaved.waitFor(
    await saveUser(writer, { id: "1", name: "a", version: 1 }),
  );
  t.same(tracer.spans, [], "what is installed later is not asked");
});

t.test("links tell logs, instances and tokens apart", (t) => {
  const link = (log: string, instance: string, token: number) =>
    JSON.stringify(commitLink(log, instance, token as Token).context);
  const some = [
    link("00112233", "master", 1),
    link("00112233", "master", 2),
    link("00112233", "second", 1),
    link("00112244", "master", 1),
  ];
  t.equal(new Set(some).size, some.length);
  t.equal(link("00112233", "master", 1), some[0]);
  t.end();
});
