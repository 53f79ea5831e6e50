// `headwater serve`, as a process, over real HTTP and real sockets.

import t, { type Test } from "tap";
import { hostname } from "node:os";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { netcat } from "../support/netcat.ts";
import { startProcess, type TestProcess } from "../support/processes.ts";

const command = new URL("../../src/cli/main.ts", import.meta.url);

interface Ready {
  readonly ready: true;
  readonly listen: string;
  readonly http: string;
  readonly instance: string;
}

interface Answer {
  readonly status: number;
  // deno-lint-ignore no-explicit-any -- bodies are compared as they are
  readonly body: any;
}

async function serve(
  t: Test,
  database: string,
  ...args: string[]
): Promise<{ server: TestProcess; ready: Ready }> {
  const server = startProcess(t, command, [
    "serve",
    "--database",
    database,
    "--listen",
    "tcp://127.0.0.1:0",
    ...args,
  ]);
  const ready = await server.hear<Ready>("it is ready", () => true);
  return { server, ready };
}

async function get(url: string): Promise<Answer> {
  const response = await fetch(url);
  return { status: response.status, body: await response.json() };
}

async function post(url: string, body: unknown): Promise<Answer> {
  const response = await fetch(url, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

t.test("headwater serve", async (t) => {
  const database = temporaryDatabase(t);
  const { server, ready } = await serve(
    t,
    database,
    "--http",
    "127.0.0.1:0",
    "--stream",
    "orders",
    "--stream",
    "notes",
    "--instance",
    "writer1",
    "--server-name",
    "example.org",
  );
  const url = `${ready.http}/v1/transactions`;

  await t.test("prints one line once it is ready", (t) => {
    t.match(ready, {
      ready: true,
      listen: /^tcp:\/\/127\.0\.0\.1:\d+$/,
      http: /^http:\/\/127\.0\.0\.1:\d+$/,
      instance: "writer1",
    });
    t.same(Object.keys(ready), ["ready", "listen", "http", "instance"]);
    t.equal(server.messages.length, 1);
    t.end();
  });

  await t.test("writes what is posted, and sends it", async (t) => {
    const person = await netcat(t, ready.listen);
    await person.line("its name", (line) => line === "SERVER example.org");
    const answer = await post(url, {
      append: {
        aggregate: "user:1",
        expectedVersion: 0,
        events: [{ type: "renamed", data: { name: "Bob" } }],
      },
      rows: { orders: [{ id: 1 }, [2], "three", null] },
      invalidate: [
        ["get_user_by_id", ["@bob:example.com"]],
        ["get_user_by_id", null],
      ],
    });
    t.same(answer, { status: 201, body: { instance: "writer1", token: 1 } });
    await person.line("its end", (line) => line.startsWith("POSITION"));
    t.match(person.lines().filter((line) => line.startsWith("RDATA")), [
      /^RDATA caches writer1 batch \["get_user_by_id",\["@bob:example\.com"\],\d+\]$/,
      /^RDATA caches writer1 1 \["get_user_by_id",null,\d+\]$/,
      /^RDATA events writer1 1 \["user:1",1,"renamed","[^"]+",\{"name":"Bob"\},null\]$/,
      `RDATA orders writer1 batch {"id":1}`,
      "RDATA orders writer1 batch [2]",
      `RDATA orders writer1 batch "three"`,
      "RDATA orders writer1 1 null",
    ]);
    person.close();
  });

  await t.test("answers 409 with the version that an aggregate has", async (t) => {
    const append = { aggregate: "user:1", events: [{ type: "renamed" }] };
    const conflict = await post(url, {
      append: { ...append, expectedVersion: 3 },
    });
    t.match(conflict, {
      status: 409,
      body: { error: { code: "VERSION_CONFLICT", actualVersion: 1 } },
    });
    const none = await post(url, {
      append: { ...append, expectedVersion: "none" },
    });
    t.equal(none.status, 409);
    const right = await post(url, {
      append: { ...append, expectedVersion: 1 },
    });
    t.equal(right.status, 201);
  });

  for (
    const [what, body, reason] of [
      ["no JSON", "{", /not JSON/],
      ["nothing to write", {}, /at least one of/],
      ["an unknown part", { rows: { orders: [1] }, more: 1 }, /more/],
      [
        "no events",
        { append: { aggregate: "a", events: [] } },
        /^append\.events: /,
      ],
      ["an event without a type", {
        append: { aggregate: "a", events: [{ data: 1 }] },
      }, /^append\.events\.0\.type: /],
      ["a version that is none", {
        append: {
          aggregate: "a",
          expectedVersion: -1,
          events: [{ type: "x" }],
        },
      }, /^append\.expectedVersion: /],
      [
        "a key that is none",
        { invalidate: [["c", [{}]]] },
        /^invalidate\.0\.1/,
      ],
      [
        "an unknown stream",
        { rows: { orders: [1], missing: [1] } },
        /stream "missing".*the streams are caches, events, orders, notes/,
      ],
      [
        "rows of a built-in stream",
        { rows: { caches: [["x", null, 1]] } },
        /"caches" directly/,
      ],
    ] as const
  ) {
    await t.test(`refuses ${what}, and writes nothing`, async (t) => {
      const before = await get(`${ready.http}/v1/positions`);
      const answer = await post(url, body);
      t.equal(answer.status, 400);
      t.match(answer.body.error.message, reason);
      t.same(await get(`${ready.http}/v1/positions`), before);
    });
  }

  await t.test("gives rows back, a token never split", async (t) => {
    for (const rows of [["a", "b", "c"], ["d"], ["e", "f"]]) {
      await post(url, { rows: { notes: rows } });
    }
    const rows = `${ready.http}/v1/streams/notes/rows`;
    const all = await get(rows);
    t.same(all.body, {
      rows: [[3, "a"], [3, "b"], [3, "c"], [4, "d"], [5, "e"], [5, "f"]],
      upto: 5,
      limited: false,
    });
    t.same((await get(`${rows}?limit=1`)).body, {
      rows: [[3, "a"], [3, "b"], [3, "c"]],
      upto: 3,
      limited: true,
    });
    t.same((await get(`${rows}?after=3&upto=4&limit=50`)).body, {
      rows: [[4, "d"]],
      upto: 4,
      limited: false,
    });
    t.same((await get(`${rows}?after=5`)).body, {
      rows: [],
      upto: 5,
      limited: false,
    });
    t.equal((await get(`${rows}?limit=0`)).status, 400);
    t.equal((await get(`${rows}?after=x`)).status, 400);
    t.match(await get(`${ready.http}/v1/streams/missing/rows`), {
      status: 404,
      body: { error: { code: "STREAM_UNKNOWN" } },
    });
  });

  await t.test("tells its position and its health", async (t) => {
    t.same(await get(`${ready.http}/v1/positions`), {
      status: 200,
      body: { positions: { writer1: 5 } },
    });
    t.match(await get(`${ready.http}/health`), {
      status: 200,
      body: { status: "ok", instance: "writer1" },
    });
    t.match(await get(`${ready.http}/nowhere`), {
      status: 404,
      body: { error: { code: "NOT_FOUND" } },
    });
  });

  await t.test("refuses a second one, naming the first", async (t) => {
    const second = startProcess(t, command, [
      "serve",
      "--database",
      database,
      "--listen",
      "tcp://127.0.0.1:0",
      "--instance",
      "writer1",
    ]);
    t.equal(await second.ended, 1);
    t.match(second.errors(), `process ${server.child.pid} on ${hostname()}`);
    t.equal(second.errors().trim().split("\n").length, 1);
  });

  await t.test("refuses an address in use", async (t) => {
    for (
      const args of [
        ["--listen", ready.listen],
        ["--listen", "tcp://127.0.0.1:0", "--http", ready.http.slice(7)],
      ]
    ) {
      const second = startProcess(t, command, [
        "serve",
        "--database",
        "sqlite::memory:",
        ...args,
      ]);
      t.equal(await second.ended, 1);
      t.match(second.errors(), /^headwater: Cannot listen on .*in use/);
      t.equal(second.errors().trim().split("\n").length, 1);
    }
  });

  await t.test("stops cleanly when it is asked to", async (t) => {
    const person = await netcat(t, ready.listen);
    await person.line("it is served", (line) => line.startsWith("SERVER"));
    server.signal("SIGTERM");
    t.equal(await server.ended, 0);
    await until("it is closed", person.isClosed);
    t.equal(person.lines().at(-1), "ERROR server closing");
    const next = await serve(t, database, "--instance", "writer1");
    t.same(Object.keys(next.ready), ["ready", "listen", "instance"]);
    next.server.signal("SIGINT");
    t.equal(await next.server.ended, 0);
  });
});
