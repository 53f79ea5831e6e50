// PostgreSQL goes, comes back, or ends connections while transactions run
// beside each other: each is committed once or fails with a clear error, and
// everything goes on by itself.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import t from "tap";
import { sql } from "kysely";
import { HeadwaterError, Store } from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { startCuttingProxy } from "../support/cutting_proxy.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import type { TestDatabase } from "../support/stores.ts";
import { openUsers } from "../support/users.ts";
import { type Load, startLoad } from "./load.ts";

// More than there are connections.
const LANES = 16;

/** Reads without a cache. */
class Sums extends Store<TestDatabase> {
  async addOne(number: number): Promise<number | undefined> {
    const query = sql<{ sum: number }>`SELECT ${
      sql.lit(number)
    }::int + ${1}::int AS sum`;
    const { rows: [row] } = await query.execute(this.db as never);
    return row?.sum;
  }
}

/** A fault, by what it does. */
const FAULTS: Readonly<
  Record<
    string,
    (server: PostgresServer, database: string, load: Load) => Promise<void>
  >
> = {
  "the server is restarted": (server) => server.restart(),
  "the server crashes": async (server) => {
    await server.stop("immediate");
    await server.start();
  },
  "the server is away for longer than transactions are tried": async (
    server,
    _,
    load,
  ) => {
    await server.stop();
    await load.fails(1);
    await server.start();
  },
  "the writer's connections are ended, again and again": async (
    server,
    database,
    load,
  ) => {
    for (let round = 0; round < 15; round += 1) {
      // Without waiting for their ends: the next come at once.
      await server.run(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database()
          AND application_name LIKE 'headwater ________________'`,
        database,
      );
      await load.goesOn(5);
    }
  },
};

t.test("under load", async (t) => {
  const server = await startPostgres(t);
  for (const [what, strike] of Object.entries(FAULTS)) {
    await t.test(what, async (t) => {
      const database = await server.createDatabase();
      const load = await startLoad(t, database, LANES);
      await load.goesOn(200);
      let isOver = false;
      const failures: unknown[] = [];
      // A reader that has no cache before it reads on, whatever happens.
      const reading = (async () => {
        while (!isOver) {
          await load.entries.countEntries()
            .catch((error) => failures.push(error));
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      })();
      await strike(server, database, load);
      await load.goesOn(200);
      isOver = true;
      await reading;
      t.ok(await load.entries.countEntries(), "reads go on");
      t.same(
        failures.filter((error) =>
          !(error instanceof HeadwaterError) ||
          error.code !== "DATABASE_UNAVAILABLE"
        ),
        [],
        "a read that failed says why",
      );
      await load.end(t, ["DATABASE_UNAVAILABLE", "COMMIT_UNKNOWN"]);
      await until("it is live", () => load.slaved.stats.state !== "closed");
    });
  }
});

async function connectTo(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1").resume();
  await once(socket, "connect");
  return socket;
}

t.test("reads whose connection ends are run again", async (t) => {
  const server = await startPostgres(t);
  const proxy = await startCuttingProxy(t, server.port);
  const url = new URL(await server.createDatabase());
  url.port = `${proxy.port}`;
  const database = url.href;
  const writer = await openUsers(t, { database, maxReadConnections: 1 });
  const reader = writer.attach(Sums);
  for (let round = 0; round < 5; round += 1) {
    // Sockets that end in the same turn as the reader's: before it, and after.
    proxy.end();
    const before = await connectTo(proxy.port);
    await reader.addOne(1);
    const after = await connectTo(proxy.port);
    const readings = [before, after].map(async (socket) => {
      await once(socket, "close");
      return reader.addOne(round);
    });
    proxy.end();
    t.same(await Promise.all(readings), [round + 1, round + 1]);
  }
  proxy.end();
  proxy.cuts = 3;
  t.equal(await reader.addOne(1), 2, "nor could it be made at once");
});
