// Sections 2.2, 2.3, 3.2 and 3.3 of the protocol: what a writer sends, byte for
// byte, as a person with netcat sees it.

import t from "tap";
import { z } from "zod";
import { defineStream, WriterStore } from "../../../mod.ts";
import { until } from "../../support/conditions.ts";
import { netcat } from "../../support/netcat.ts";
import type { TestDatabase } from "../../support/stores.ts";

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

  await t.test("2.2: a server says SERVER first, then PING with the time in ms", async (t) => {
    const person = await netcat(t, url);
    await until("it is greeted", () => person.text().split("\n").length > 2);
    t.match(person.text(), /^SERVER example\.org\nPING \d{13}\n$/);
    person.close();
  });

  await t.test("rule 7: REPLICATE is answered with every stream's POSITION, to the asker only", async (t) => {
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

  await t.test("2.3 and rule 8: rows go to whoever is connected, caches first under a token; all but the last of a batch say batch", async (t) => {
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

  await t.test("rule 7: streams without rows are told where it is soon, and not once a token", async (t) => {
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

  await t.test("an ERROR comes before the close", async (t) => {
    const person = await netcat(t, url);
    await person.line("it is served", (line) => line.startsWith("SERVER"));
    await writer.close();
    await person.line("an error", (line) => line === "ERROR server closing");
    await until("it is closed", person.isClosed);
  });
});
