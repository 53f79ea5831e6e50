// `headwater serve --synapse-compatible`, as a foreign client of the 1.22-1.66
// dialect sees it, and `headwater follow` of a foreign server.

import t from "tap";
import { until } from "../support/conditions.ts";
import { startFakeWriter } from "../support/fake_writer.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { netcat } from "../support/netcat.ts";
import { startProcess } from "../support/processes.ts";

const command = new URL("../../src/cli/main.ts", import.meta.url);

t.test("headwater serve --synapse-compatible", async (t) => {
  const server = startProcess(t, command, [
    "serve",
    "--database",
    temporaryDatabase(t),
    "--listen",
    "tcp://127.0.0.1:0",
    "--http",
    "127.0.0.1:0",
    "--server-name",
    "localhost:8823",
    "--synapse-compatible",
    "--stream",
    "receipts",
    "--stream-prefix",
    "headwater_",
  ]);
  const ready = await server.hear<{ listen: string; http: string }>(
    "it is ready",
    () => true,
  );
  const post = (rows: unknown) =>
    fetch(`${ready.http}/v1/transactions`, {
      method: "POST",
      body: JSON.stringify({ rows }),
    });
  const client = await netcat(t, ready.listen);
  client.send("NAME worker1\nPING 1700000000000\nREPLICATE \n");
  await client.line("the last", (line) => line.startsWith("POSITION receipts"));
  const receipt = ["!r:x", "m.read", "@é:x", "$e", { ts: 1 }];
  t.equal((await post({ receipts: [receipt, receipt] })).status, 201);
  await client.line("the end", (line) => / 0 1$|master 1 1$/.test(line));
  const row = String.raw`["!r:x","m.read","@\u00e9:x","$e",{"ts":1}]`;
  t.same(client.lines().slice(0, 6), [
    "SERVER localhost:8823",
    "POSITION headwater_caches master 0 0",
    "POSITION headwater_events master 0 0",
    "POSITION receipts master 0 0",
    `RDATA receipts master batch ${row}`,
    `RDATA receipts master 1 ${row}`,
  ]);
  const long = await post({ receipts: ["x".repeat(16_384)] });
  t.ok(long.status >= 400 && long.status < 500, `status ${long.status}`);
  t.match(await long.text(), /maxLineBytes is 16384/);
  client.send(`USER_SYNC abcde @bob:x start 1\nFEDERATION_ACK worker1 1\n`);
  client.send(`REMOTE_SERVER_UP other.org\nCLEAR_USER_SYNC abcde\nPING 2\n`);
  t.equal((await post({ receipts: [receipt] })).status, 201);
  await client.line(
    "the next",
    (line) => line.startsWith("RDATA receipts master 2"),
  );
  t.notOk(client.isClosed());
});

t.test("headwater follow of a server of another dialect", async (t) => {
  const fake = await startFakeWriter(t);
  fake.answer =
    "POSITION presence_federation w1 7\r\nPOSITION typing w1 0 3\r\n";
  const person = startProcess(t, command, ["follow", fake.url, "--verbose"]);
  await until("it is there", () => fake.received().includes("REPLICATE"));
  t.match(
    fake.received(),
    /^NAME headwater follow\nPING \d{13}\nREPLICATE \n$/,
  );
  fake.send(
    'RDATA typing w1 batch [ "!r:x" , ["@é:x"] ]\r\nPING 5\r\n' +
      'RDATA typing w1 4 ["!s:x",[]]\r\nREMOTE_SERVER_UP other.org\r\n\r\n',
  );
  t.same(await person.hear("the batch", () => true), {
    stream: "typing",
    instance: "w1",
    token: 4,
    rows: [["!r:x", ["@é:x"]], ["!s:x", []]],
  });
  await until(
    "positions are told",
    () => person.errors().includes('"token":7'),
  );
  t.equal(fake.connections(), 1);
});
