// A connection that is lost between the writer and the server's end of it, as a
// proxy or a network does it: the COMMIT is still on its way when the writer
// has learned of the loss, and arrives later. The transaction is committed at
// most once, and if it is, readers are told of it.

import { connect, createServer, type Socket } from "node:net";
import t, { type Test } from "tap";
import { until } from "../support/conditions.ts";
import { postgresDatabase, sharedPostgres } from "../support/postgres.ts";
import { connectReader } from "../crash/held_readers.ts";
import { HELD, write } from "../crash/held_commits.ts";
import { openUsers } from "../support/users.ts";

/** A way to a server that a request can be lost on. */
interface Proxy {
  readonly url: string;
  /** How many requests were held up, and their connections cut. */
  readonly cut: () => number;
  /** Lets the server have what was held up. */
  letGo(): void;
}

/** Stands before a server; what commits a transaction of that name is held up. */
async function startProxy(
  t: Test,
  database: string,
  name: string,
): Promise<Proxy> {
  const target = new URL(database);
  const late: (readonly [Socket, Uint8Array])[] = [];
  const sockets = new Set<Socket>();
  let cut = 0;
  const server = createServer((client) => {
    const backend = connect(Number(target.port), target.hostname);
    for (const socket of [client, backend]) {
      sockets.add(socket);
      socket.on("error", () => {});
    }
    let isCut = false;
    client.on("data", (chunk) => {
      const isWanted = chunk.includes(name) && chunk.includes("COMMIT\0");
      if (isCut || !isWanted) {
        if (!isCut) backend.write(chunk);
        return;
      }
      isCut = true;
      cut += 1;
      late.push([backend, chunk]);
      client.destroy();
    });
    backend.on("data", (chunk) => void (isCut || client.write(chunk)));
    client.on("close", () => isCut || backend.destroy());
    backend.on("close", () => client.destroy());
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as { port: number };
  const url = new URL(database);
  url.port = `${port}`;
  // Connections are known by a name of ours; one of the user's must not hide them.
  url.searchParams.set("application_name", "billing");
  return {
    url: url.href,
    cut: () => cut,
    letGo() {
      for (const [backend, chunk] of late.splice(0)) backend.write(chunk);
    },
  };
}

t.test("a COMMIT that arrives after its connection was lost", async (t) => {
  const database = await postgresDatabase(t);
  const server = await sharedPostgres();
  const proxy = await startProxy(t, database, HELD);
  const writer = await openUsers(t, {
    database: proxy.url,
    listen: "tcp://127.0.0.1:0",
  });
  // From its second run on a statement leaves together with COMMIT.
  await write(writer, "first");
  const reader = await connectReader(t, database, String(writer.url));

  const low = write(writer, HELD).then(
    ({ attempts }) => `committed, attempt ${attempts}`,
    (error) => String(error.code),
  );
  await until("it is cut", () => proxy.cut() === 1);
  // Others go on; what is told of them has to wait.
  const high = await write(writer, "free");
  let outcome: string | undefined;
  void low.then((ended) => outcome = ended);
  // It may well wait until the server has said what became of it.
  await until("it has ended", () => outcome !== undefined, 2_000)
    .catch(() => t.comment("it waits for the late request"));
  proxy.letGo();
  await until(
    "the server has no open transaction left",
    async () =>
      (await server.run(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
        AND state LIKE '%in transaction%'`,
        database,
      )).length === 0,
  );
  t.comment(await low);
  await reader.slaved.waitFor(high);
  await reader.slaved.waitFor(writer.position);
  const users = await server.run("SELECT id FROM users ORDER BY id", database);
  const written = users.flat().filter((id) => !/^f/.test(`${id}`));
  t.equal(
    written.length,
    outcome?.startsWith("committed") ? 1 : 0,
    `${written}`,
  );
  t.same(
    ["first", ...reader.delivered("master")].toSorted(),
    users.flat(),
    "every transaction is told of, once",
  );
});
