// What a worker has its writer do: once, whatever happens on the way.

import t, { type Test } from "tap";
import { z } from "zod";
import {
  HeadwaterError,
  SlavedStore,
  type SlavedStoreOptions,
  VersionConflictError,
  WriterStore,
  type WriterStoreOptions,
} from "../../mod.ts";
import { makeCertificates } from "../support/certificates.ts";
import { until } from "../support/conditions.ts";
import { startCuttingProxy } from "../support/cutting_proxy.ts";
import { onEachEngine } from "../support/databases.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { freePort } from "../support/ports.ts";
import { startProcess } from "../support/processes.ts";
import { createUsers, type TestDatabase, Users } from "../support/stores.ts";
import { exposeUsers } from "./calls.ts";
import { openUsers } from "../support/users.ts";

type Writer = WriterStore<TestDatabase>;
type Slaved = SlavedStore<TestDatabase>;

async function openWriter(
  t: Test,
  database: string,
  options: Partial<WriterStoreOptions> = {},
): Promise<Writer> {
  const writer = await WriterStore.open<TestDatabase>({
    database,
    listen: "tcp://127.0.0.1:0",
    http: "http://127.0.0.1:0",
    ...options,
  });
  t.teardown(() => writer.close());
  exposeUsers(writer);
  await createUsers(writer);
  return writer;
}

async function connect(
  t: Test,
  database: string,
  replicate: string,
  options: Partial<SlavedStoreOptions>,
): Promise<Slaved> {
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate,
    ...options,
  });
  t.teardown(() => slaved.close());
  return slaved;
}

async function openBoth(
  t: Test,
  database: string = temporaryDatabase(t),
  writing: Partial<WriterStoreOptions> = {},
  reading: Partial<SlavedStoreOptions> = {},
): Promise<{ writer: Writer; slaved: Slaved; users: Users }> {
  const writer = await openWriter(t, database, writing);
  const slaved = await connect(t, database, String(writer.url), {
    http: writer.httpUrl,
    ...reading,
  });
  return { writer, slaved, users: slaved.attach(Users) };
}

onEachEngine(t, "a call", async (t, database) => {
  const { writer, slaved, users } = await openBoth(t, database);
  await t.test("gives result and token, and this process has applied it", async (t) => {
    t.equal(await users.getUserById("a"), undefined);
    const args = { id: "a", name: "Ada" };
    const { result, instance, token } = await slaved.call<{ version: number }>(
      "rename",
      args,
    );
    t.same(result, { version: 1 });
    t.equal(instance, "master");
    t.ok(Number(slaved.position.get("master")) >= token);
    t.match(await users.getUserById("a"), { name: "Ada", version: 1 });
    t.equal(token, writer.position.get("master"));
  });

  await t.test("need not be waited for", async (t) => {
    const args = { id: "b", name: "Bob" };
    const commit = await slaved.call("rename", args, { wait: false });
    await slaved.waitFor(commit);
    t.match(await users.getUserById("b"), { name: "Bob" });
  });

  await t.test("is executed once an id, and answered alike", async (t) => {
    const id = "0123456789abcdef-1";
    const args = { id: "c", name: "Cleo" };
    const first = await slaved.call("rename", args, { id });
    await slaved.call("rename", { id: "d", name: "Dora" });
    t.same(await slaved.call("rename", args, { id }), first);
    const both = Array.from(
      { length: 5 },
      () => slaved.call("rename", { ...args, name: "X" }, { id: `${id}-2` }),
    );
    for (const each of await Promise.all(both)) {
      t.same(each.result, { version: 2 });
    }
    await t.rejects(
      slaved.call("rename", { ...args, name: "Other" }, { id }),
      { code: "INVALID_ARGUMENT", message: /another call had it/ },
    );
  });

  await t.test("200 at a time are each executed once", async (t) => {
    const calls = Array.from(
      { length: 200 },
      (_, index) =>
        slaved.call("rename", { id: `u${index}`, name: `${index}` }),
    );
    const answers = await Promise.all(calls);
    t.ok(
      answers.every(({ result }) => JSON.stringify(result) === '{"version":1}'),
    );
    t.equal(new Set(answers.map(({ token }) => token)).size, 200);
    t.equal((await users.getUserById("u199"))?.name, "199");
  });

  await t.test("of two writers' processes, one executes it", async (t) => {
    const other = await openWriter(t, database, { instance: "other" });
    const id = "0123456789abcdef-both";
    const args = { id: "both", name: "Both" };
    const second = await connect(t, database, String(other.url), {
      http: { other: String(other.httpUrl), master: String(writer.httpUrl) },
    });
    const answers = await Promise.all(
      ["master", "other"].map((instance) =>
        second.call("rename", args, { id, instance, wait: false })
      ),
    );
    // Only who executed it knows its own holder.
    const [one, two] = answers.map(({ result, instance, token }) => ({
      result,
      instance,
      token,
    }));
    t.same(one, two);
    t.same(one?.result, { version: 1 });
    await other.close();
  });
});

t.test("failures", async (t) => {
  const { writer, slaved } = await openBoth(t);
  writer.expose("conflict", z.null(), async (txn) => {
    await txn.append("a:1", [{ type: "happened" }], { expectedVersion: 7 });
  });
  let runs = 0;
  writer.expose("refuse", z.string(), async (txn, text) => {
    await txn.db.insertInto("users").values({ id: text, name: "", version: 1 })
      .execute();
    runs += 1;
    throw new RangeError(`not allowed: ${text}`);
  });
  writer.expose("nonsense", z.null(), () => Promise.resolve(new Map()));
  writer.expose("nothing", z.null(), () => Promise.resolve());

  await t.test("a version conflict is one here, too", async (t) => {
    const error = await slaved.call("conflict", null).catch((e) => e);
    t.ok(error instanceof VersionConflictError);
    t.match(error, {
      code: "VERSION_CONFLICT",
      aggregate: "a:1",
      expectedVersion: 7,
      actualVersion: 0,
    });
  });

  await t.test("what the application throws comes as its message", async (t) => {
    const id = "refused-0123456789";
    for (const run of [1, 2]) {
      const error = await slaved.call("refuse", "x", { id }).catch((e) => e);
      t.ok(error instanceof HeadwaterError);
      t.equal(error.code, "CALL_REFUSED");
      t.match(error.message, /"refuse" was refused: not allowed: x$/);
      t.equal(runs, run, "a refusal is not stored");
    }
    t.equal(await writer.attach(Users).countUsers(), 0, "and rolled back");
  });

  await t.test("a result that is no JSON is refused", async (t) => {
    await t.rejects(slaved.call("nonsense", null), { code: "ROW_INVALID" });
    t.equal((await slaved.call("nothing", null)).result, null);
  });

  await t.test("what can't be called says what can", async (t) => {
    await t.rejects(slaved.call("renam", {}), {
      code: "CALL_UNKNOWN",
      message: /"renam": what is exposed is rename, conflict, /,
    });
    await t.rejects(slaved.call("rename", { id: 5 }), {
      code: "INVALID_ARGUMENT",
      message: /"rename": args\.id: .*string.*; args\.name: /,
    });
    await t.rejects(slaved.call("no name", {}), { code: "INVALID_ARGUMENT" });
    await t.rejects(slaved.call("rename", { f: () => 1 }), {
      code: "ROW_INVALID",
    });
    for (const id of ["short", "", "with a space in it", null as never]) {
      await t.rejects(slaved.call("rename", {}, { id }), {
        code: "INVALID_ARGUMENT",
        message: /^Cannot call "rename" with the id .*: give 16 to 64 letters/,
      });
    }
    // Who calls by other means is refused by the writer.
    const answer = await fetch(
      `${writer.httpUrl}/_headwater/call/rename/short`,
      {
        method: "POST",
        body: '{"args":{"id":"a","name":"Ada"}}',
      },
    );
    t.equal(answer.status, 400);
    t.match(await answer.json(), {
      error: /id "short": give 16 to 64 letters/,
    });
    for (const timeoutMs of [NaN, -1]) {
      await t.rejects(slaved.call("rename", {}, { timeoutMs }), {
        code: "INVALID_ARGUMENT",
        message: /"rename": timeoutMs is (NaN|-1); give a number/,
      });
    }
    await t.rejects(
      slaved.call("rename", {}, {
        instance: "elsewhere",
        signal: AbortSignal.abort(new RangeError("no")),
      }),
      RangeError,
    );
    t.throws(() => exposeUsers(writer), { message: /exposed already/ });
    t.throws(() => writer.expose("a b", z.null(), () => Promise.resolve()), {
      code: "INVALID_ARGUMENT",
    });
  });

  await t.test("no address of the writer is given", async (t) => {
    const { slaved } = await openBoth(t, temporaryDatabase(t), {}, {
      http: undefined,
    });
    await t.rejects(slaved.call("rename", {}), {
      code: "INVALID_ARGUMENT",
      message: /none is.*option "http"/,
    });
  });
});

t.test("deadlines, signals and close()", async (t) => {
  const port = await freePort();
  const { writer, slaved } = await openBoth(t, temporaryDatabase(t), {}, {
    http: `http://127.0.0.1:${port}`,
  });
  const args = { id: "a", name: "A" };
  await t.rejects(
    slaved.call("rename", args, { timeoutMs: 50, id: "0123456789abcdef" }),
    {
      code: "CALL_TIMEOUT",
      message:
        /may have been executed: call again with the id "0123456789abcdef"/,
    },
  );
  const abort = new AbortController();
  const aborted = slaved.call("rename", args, { signal: abort.signal });
  abort.abort(new RangeError("enough"));
  await t.rejects(aborted, RangeError);
  const open = slaved.call("rename", args);
  const closed = t.rejects(open, {
    code: "CLOSED",
    message: /^Cannot call the writer: the slaved store is closed/,
  });
  await slaved.close();
  await closed;
  await writer.close();
});

t.test("a writer that has exposed nothing yet is asked again", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openUsers(t, {
    database,
    listen: "tcp://127.0.0.1:0",
    http: "http://127.0.0.1:0",
  });
  const slaved = await connect(t, database, String(writer.url), {
    http: writer.httpUrl,
  });
  let tries = 0;
  const url = String(writer.httpUrl);
  const early = slaved.call("rename", { id: "a", name: "A" });
  await until("it was refused once", async () => {
    const path = "/_headwater/call/rename/0123456789abcdef";
    const body = JSON.stringify({ args: {} });
    const response = await fetch(`${url}${path}`, { method: "POST", body });
    await response.text();
    tries += 1;
    return response.status === 503;
  });
  exposeUsers(writer);
  t.same((await early).result, { version: 1 });
  t.ok(tries > 0);
});

t.test("a wrong secret is told at once, and never shown", async (t) => {
  const logged: string[] = [];
  const logger = (...message: unknown[]) =>
    void logged.push(JSON.stringify(message));
  const { slaved, writer } = await openBoth(
    t,
    temporaryDatabase(t),
    { httpSecret: "s3cret-right", logger },
    { httpSecret: "s3cret-wrong", logger },
  );
  const error = await slaved.call("rename", {}).catch((e) => e);
  t.equal(error.code, "UNAUTHORIZED");
  const right = await connect(t, temporaryDatabase(t), "tcp://127.0.0.1:1", {
    http: writer.httpUrl,
    httpSecret: "s3cret-right",
    connectTimeoutMs: 1,
  }).catch((e) => e);
  t.notMatch(`${error.stack}${right.stack}${logged.join()}`, /s3cret/);
});

t.test("client certificates instead of a secret", async (t) => {
  const { ca, server, client } = makeCertificates();
  const { slaved } = await openBoth(t, temporaryDatabase(t), {
    http: "https://127.0.0.1:0",
    tls: { ...server, ca, requestCert: true },
  }, { tls: { ca, ...client } });
  const args = { id: "a", name: "A" };
  t.same((await slaved.call("rename", args)).result, { version: 1 });
});

onEachEngine(t, "an answer that is lost", async (t, database) => {
  const writer = await openWriter(t, database);
  const { port } = new URL(String(writer.httpUrl));
  const proxy = await startCuttingProxy(t, Number(port));
  const slaved = await connect(t, database, String(writer.url), {
    http: `http://127.0.0.1:${proxy.port}`,
  });
  proxy.cuts = 3;
  const args = { id: "a", name: "A" };
  const { result, token } = await slaved.call("rename", args);
  t.equal(proxy.lost(), 3);
  t.same(result, { version: 1 }, "executed once");
  t.equal(token, writer.position.get("master"), "its own token");
  proxy.cuts = 20;
  const names = Array.from({ length: 30 }, (_, index) => `${index}`);
  const answers = await Promise.all(
    names.map((id) => slaved.call("rename", { id, name: id })),
  );
  t.same(answers.map((each) => each.result), names.map(() => ({ version: 1 })));
});

onEachEngine(
  t,
  "a writer that is killed after the commit",
  async (t, database) => {
    const [tcp, http] = [await freePort(), await freePort()];
    const urls = [
      `tcp://127.0.0.1:${tcp}`,
      `http://127.0.0.1:${http}`,
    ] as const;
    const start = async () => {
      const file = new URL("./call_process.ts", import.meta.url);
      const child = startProcess(t, file, [database, ...urls]);
      await child.hear("ready", () => true);
      return child;
    };
    const first = await start();
    const slaved = await connect(t, database, urls[0], { http: urls[1] });
    const users = slaved.attach(Users);
    t.equal(await users.countUsers(), 0);
    const call = slaved.call<{ at: number }>("addAndDie", {
      id: "x",
      die: true,
    });
    t.equal(await first.ended, "SIGKILL");
    const second = await start();
    const { result, token } = await call;
    t.equal(
      result.at,
      first.child.pid,
      "answered with what the first has stored",
    );
    t.equal(await users.countUsers(), 1, "executed once, and applied here");
    const next = await slaved.call("rename", { id: "y", name: "Y" });
    t.ok(next.token > token);
    second.child.kill("SIGKILL");
  },
);

t.test("answers are kept for a while, and then deleted", async (t) => {
  const database = temporaryDatabase(t);
  const { slaved } = await openBoth(t, database, {
    callRetentionMs: 0,
    retentionIntervalMs: 20,
  });
  const id = "0123456789abcdef";
  const args = { id: "a", name: "A" };
  await slaved.call("rename", args, { id });
  await until("it is executed again", async () => {
    const { result } = await slaved.call<{ version: number }>("rename", args, {
      id,
    });
    return result.version > 1;
  });
  t.pass("it is");
});
