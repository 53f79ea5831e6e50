// `headwater serve` on PostgreSQL, its tables where it is told.

import t from "tap";
import { netcat } from "../support/netcat.ts";
import { postgresDatabase, sharedPostgres } from "../support/postgres.ts";
import { startProcess } from "../support/processes.ts";
import { command, run } from "./run.ts";

interface Ready {
  readonly listen: string;
  readonly http: string;
}

t.test("headwater serve on PostgreSQL", async (t) => {
  const database = await postgresDatabase(t);
  const names = ["--table-prefix", "hw_", "--schema", "log"];
  const server = startProcess(t, command, [
    "serve",
    "--database",
    database,
    "--listen",
    "tcp://127.0.0.1:0",
    "--http",
    "127.0.0.1:0",
    "--stream",
    "orders",
    ...names,
  ]);
  const { listen, http } = await server.hear<Ready>("it is ready", () => true);
  const person = await netcat(t, listen);
  await person.line("its name", (line) => line.startsWith("SERVER"));
  const answer = await fetch(`${http}/v1/transactions`, {
    method: "POST",
    body: JSON.stringify({ rows: { orders: [{ id: 1 }] } }),
  });
  t.same(await answer.json(), { instance: "master", token: 1 });
  await person.line(
    "the row",
    (line) => line === 'RDATA orders master 1 {"id":1}',
  );
  const { run: sql } = await sharedPostgres();
  t.same(await sql("select body from log.hw_log", database), [['{"id":1}']]);
  const log = await run("log", database, "--json", ...names);
  t.match(log.json(), [{ token: 1, stream: "orders", rows: [{ id: 1 }] }]);
  const elsewhere = await run("log", database);
  t.match(elsewhere, {
    status: 1,
    stdout: "",
    stderr: /^headwater: Cannot look after [^\n]*: it has no log[^\n]*\n$/,
  });
  t.notMatch(elsewhere.stderr, /password/, "and the URL's secret is not told");
  server.signal("SIGTERM");
  t.equal(await server.ended, 0);
});
