// `headwater serve`, as a process, over real HTTP and real sockets.

import { connect } from "node:net";
import { hostname } from "node:os";
import t, { type Test } from "tap";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { netcat } from "../support/netcat.ts";
import { freePort } from "../support/ports.ts";
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

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const end = (isOpen: boolean) => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
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

  await t.test("takes names that it doesn't know", async (t) => {
    const invalidate = [["no such group", [1, true, null]], ["none", null]];
    const answer = await post(url, { invalidate });
    t.equal(answer.status, 201);
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
        "a row nested too deep",
        `{"rows":{"orders":[${"[".repeat(50_000)}${"]".repeat(50_000)}]}}`,
        /nested deeper than/,
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

  await t.test("names the path of everything that is wrong", async (t) => {
    const { body } = await post(url, {
      append: { aggregate: "", events: [{ type: "x" }, { type: 1 }] },
    });
    t.match(body.error.issues, [
      { path: ["append", "aggregate"], message: String },
      { path: ["append", "events", 1, "type"], message: String },
    ]);
  });

  await t.test("refuses a body over the limit", async (t) => {
    const rows = { orders: ["x".repeat(17 * 1024 * 1024)] };
    t.match(await post(url, { rows }), {
      status: 413,
      body: { error: { code: "BODY_TOO_LARGE", message: /16777216 bytes/ } },
    });
  });

  for (
    const [what, line, answer] of [
      ["a malformed line", "HELLO there", /^ERROR .*"HELLO there"/],
      [
        "a line of the other side",
        "POSITION orders writer1 1 1",
        /^ERROR invalid command: POSITION$/,
      ],
      [
        "a line over the limit",
        `NAME ${"n".repeat(1_100_000)}`,
        /^ERROR Line length exceeded/,
      ],
    ] as const
  ) {
    await t.test(`closes on ${what}, and on nobody else`, async (t) => {
      const other = await netcat(t, ready.listen);
      const person = await netcat(t, ready.listen);
      await other.line("it is served", (line) => line.startsWith("SERVER"));
      person.send(`${line}\n`);
      t.match(
        await person.line("an error", (line) => line.startsWith("ERROR")),
        answer,
      );
      await until("it is closed", person.isClosed);
      other.send("REPLICATE \n");
      await other.line("its answer", (line) => line.startsWith("POSITION"));
      t.notOk(other.isClosed());
      other.close();
    });
  }

  await t.test("gives rows back, a token never split", async (t) => {
    const tokens: number[] = [];
    for (const rows of [["a", "b", "c"], ["d"], ["e", "f"]]) {
      tokens.push((await post(url, { rows: { notes: rows } })).body.token);
    }
    const [first = 0, second = 0, third = 0] = tokens;
    const rows = `${ready.http}/v1/streams/notes/rows`;
    const all = await get(rows);
    t.same(all.body, {
      rows: [
        [first, "a"],
        [first, "b"],
        [first, "c"],
        [second, "d"],
        [third, "e"],
        [third, "f"],
      ],
      upto: third,
      limited: false,
    });
    t.same((await get(`${rows}?limit=1`)).body, {
      rows: [[first, "a"], [first, "b"], [first, "c"]],
      upto: first,
      limited: true,
    });
    const range = `${rows}?after=${first}&upto=${second}&limit=50`;
    t.same((await get(range)).body, {
      rows: [[second, "d"]],
      upto: second,
      limited: false,
    });
    t.same((await get(`${rows}?after=${third}`)).body, {
      rows: [],
      upto: third,
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
    const { body } = await post(url, { rows: { notes: ["last"] } });
    t.same(await get(`${ready.http}/v1/positions`), {
      status: 200,
      body: { positions: { writer1: body.token } },
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
    // Somebody who has asked, and somebody who never comes to the end of it.
    const idle = await netcat(t, ready.http.replace("http:", "tcp:"));
    const slow = await netcat(t, ready.http.replace("http:", "tcp:"));
    slow.send("POST /v1/transactions HTTP/1.1\r\nHost: x\r\n");
    slow.send("Content-Length: 100\r\n\r\n{");
    idle.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    await until("it is answered", () => idle.text().includes(`"status"`));
    server.signal("SIGTERM");
    t.equal(await server.ended, 0);
    for (const one of [person, idle, slow]) {
      await until("it is closed", one.isClosed);
    }
    t.equal(person.lines().at(-1), "ERROR server closing");
    const next = await serve(t, database, "--instance", "writer1");
    t.same(Object.keys(next.ready), ["ready", "listen", "instance"]);
    next.server.signal("SIGINT");
    t.equal(await next.server.ended, 0);
  });
});

t.test("headwater serve whose output nobody reads", async (t) => {
  const port = await freePort();
  const listen = `tcp://127.0.0.1:${port}`;
  const server = startProcess(t, command, [
    "serve",
    "--database",
    "sqlite::memory:",
    "--listen",
    listen,
  ]);
  server.child.stdout?.destroy();
  await until("it listens", () => canConnect(port));
  const person = await netcat(t, listen);
  await person.line("it is served", (line) => line.startsWith("SERVER"));
  server.signal("SIGTERM");
  t.equal(await server.ended, 0);
  t.equal(server.errors(), "");
});
