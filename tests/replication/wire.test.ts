// What a writer sends and takes, byte for byte, as a person with netcat sees it.

import t from "tap";
import { z } from "zod";
import { defineStream, WriterStore } from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { netcat } from "../support/netcat.ts";
import type { TestDatabase } from "../support/stores.ts";

const orders = defineStream("orders", z.object({ id: z.string() }));

t.test("the wire", async (t) => {
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
    serverName: "example.org",
    streams: [orders],
    maxLineBytes: 2_000,
  });
  t.teardown(() => writer.close());
  const url = String(writer.url);
  const write = (...ids: string[]) =>
    writer.transaction("order", (txn) => {
      for (const id of ids) txn.write(orders, { id });
      return Promise.resolve();
    });

  await t.test("greets with SERVER and PING", async (t) => {
    const person = await netcat(t, url);
    await until("it is greeted", () => person.text().split("\n").length > 2);
    t.match(person.text(), /^SERVER example\.org\nPING \d{13}\n$/);
    person.close();
  });

  await t.test("answers REPLICATE with the position of every stream", async (t) => {
    await write("a");
    const person = await netcat(t, url);
    const other = await netcat(t, url);
    await other.line("it is served", (line) => line.startsWith("SERVER"));
    person.send("NAME me\nREPLICATE \r\n\n");
    await person.line("the last one", (line) => line.includes("orders"));
    t.same(person.lines(), [
      "SERVER example.org",
      "POSITION caches master 1 1",
      "POSITION events master 1 1",
      "POSITION orders master 1 1",
    ]);
    t.same(other.lines(), ["SERVER example.org"], "nobody else was answered");
    person.close();
    other.close();
  });

  await t.test("sends rows to whoever is connected, caches first", async (t) => {
    const person = await netcat(t, url);
    await person.line("it is served", (line) => line.startsWith("SERVER"));
    const { token } = await writer.transaction("order", async (txn) => {
      txn.write(orders, { id: "é\n" });
      txn.write(orders, { id: "b" });
      await txn.append("user:1", [{ type: "ordered", data: { n: 1 } }]);
      txn.invalidate("getUserById", ["bob", 1, null]);
      txn.invalidateAll("getUserById");
    });
    await person.line("its end", (line) => line.startsWith("POSITION"));
    const rows = person.lines().filter((line) => line.startsWith("RDATA"));
    t.match(rows, [
      /^RDATA caches master batch \["getUserById",\["bob",1,null\],\d{13}\]$/,
      new RegExp(
        `^RDATA caches master ${token} \\["getUserById",null,\\d{13}\\]$`,
      ),
      `RDATA orders master batch {"id":"\\u00e9\\n"}`,
      `RDATA orders master ${token} {"id":"b"}`,
      new RegExp(
        `^RDATA events master ${token} \\["user:1",1,"ordered","[0-9a-f-]{36}",{"n":1},null\\]$`,
      ),
    ]);
    t.equal(rows.length, 5);
    person.close();
  });

  await t.test("tells streams without rows where it is, soon", async (t) => {
    const person = await netcat(t, url);
    await person.line("it is served", (line) => line.startsWith("SERVER"));
    for (let round = 0; round < 20; round += 1) await write("x");
    const last = Number(writer.position.get("master"));
    for (const stream of ["caches", "events", "orders"]) {
      await person.line(
        `${stream} is told`,
        (line) =>
          line.startsWith(`POSITION ${stream} master `) &&
          line.endsWith(` ${last}`),
      );
    }
    const positions = person.lines().filter((line) =>
      line.startsWith("POSITION events")
    );
    t.ok(positions.length <= 3, "but not once a token");
    person.close();
  });

  for (
    const [what, line, answer] of [
      [
        "an unknown command",
        "HELLO there",
        /^ERROR failed to parse line: unknown command \("HELLO there"\)$/,
      ],
      [
        "a command of the other side",
        "RDATA orders master 1 {}",
        /^ERROR invalid command: RDATA$/,
      ],
      [
        "a malformed command",
        "POSITION orders master x 1",
        /^ERROR failed to parse line: "x" is not a token \("POSITION orders master x 1"\)$/,
      ],
      [
        "control characters",
        "\u0007%s%n\u001b[0m",
        /^ERROR failed to parse line: .*\\u0007%s%n\\u001b/,
      ],
      [
        "a line over the limit",
        "NAME " + "n".repeat(3_000),
        /^ERROR Line length exceeded: more than 2000 bytes \("NAME n+…"\)$/,
      ],
      [
        "a line over the limit without an end",
        Symbol("no newline"),
        /^ERROR Line length exceeded/,
      ],
      [
        "bytes that are not UTF-8",
        Uint8Array.of(0x4e, 0xff, 0xfe, 0x0a),
        /^ERROR failed to parse line: not UTF-8/,
      ],
    ] as const
  ) {
    await t.test(`closes on ${what}, and on nobody else`, async (t) => {
      const other = await netcat(t, url);
      const person = await netcat(t, url);
      await other.line("it is served", (line) => line.startsWith("SERVER"));
      await person.line("it is served", (line) => line.startsWith("SERVER"));
      if (typeof line === "symbol") person.send("NAME " + "n".repeat(3_000));
      else {person.send(
          typeof line === "string" ? `${line}\nREPLICATE\n` : line,
        );}
      t.match(
        await person.line("an error", (line) => line.startsWith("ERROR")),
        answer,
      );
      await until("it is closed", person.isClosed);
      t.notOk(
        person.lines().some((line) => line.startsWith("POSITION")),
        "what follows the line is not answered",
      );
      await write("still here");
      await other.line("its row", (line) => line.includes("still here"));
      t.notOk(other.isClosed());
      other.close();
    });
  }

  await t.test("says good-bye when it closes", async (t) => {
    const person = await netcat(t, url);
    await person.line("it is served", (line) => line.startsWith("SERVER"));
    await writer.close();
    await person.line("an error", (line) => line === "ERROR server closing");
    await until("it is closed", person.isClosed);
  });
});

t.test("heartbeats", async (t) => {
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
    pingIntervalMs: 20,
    silenceTimeoutMs: 100,
  });
  t.teardown(() => writer.close());
  const quiet = await netcat(t, String(writer.url));
  const pinging = await netcat(t, String(writer.url));
  pinging.send("PING 1\n");
  await pinging.line("it is given up", (line) => line === "ERROR ping timeout");
  await until("it is closed", pinging.isClosed);
  t.notOk(quiet.isClosed(), "who never pinged is never timed out");
  const pings = quiet.text().match(/^PING /gm) ?? [];
  t.ok(pings.length > 2, "it was pinged meanwhile");
});
