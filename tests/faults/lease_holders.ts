// Holders of an instance's name on PostgreSQL in processes of their own, and
// what the database has of their leases.

import type { Test } from "tap";
import { type HeadwaterError, WriterStore } from "../../mod.ts";
import { until } from "../support/conditions.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { startProcess, type TestProcess } from "../support/processes.ts";
import type { TestDatabase } from "../support/stores.ts";
import type { HolderOptions, Order, Said } from "./leases.ts";

const processFile = new URL("./lease_process.ts", import.meta.url);

/** A process that holds the name, or is refused it. */
export interface Holder extends TestProcess {
  order(order: Order): void;
  says(what: Said["what"], id?: string): Promise<Said>;
}

/** Starts one, and waits until it has tried. */
export async function start(t: Test, options: HolderOptions): Promise<Holder> {
  const child = startProcess(t, processFile, [JSON.stringify(options)]);
  await child.hear("it has tried", () => true);
  return {
    ...child,
    order: (order) => child.tell(order),
    async says(what, id = "") {
      const wanted = (said: unknown) =>
        (said as Said).what === what && (said as Said).id === id;
      await until(`it says ${what} ${id}`, () => child.messages.some(wanted));
      return child.messages.find(wanted) as Said;
    },
  };
}

/** Starts one that gets the name. */
export async function hold(t: Test, options: HolderOptions): Promise<Holder> {
  const holder = await start(t, options);
  t.match(holder.messages[0], { what: "held" });
  return holder;
}

/** Suspends it at a moment when it is not about to renew its lease. */
export async function suspend(holder: Holder, database: string): Promise<void> {
  const server = await sharedPostgres();
  await until("it is suspended between two renewals", async () => {
    holder.signal("SIGSTOP");
    const renewing = await server.run(
      `SELECT 1 FROM pg_locks
      WHERE relation = 'headwater_instances'::regclass
        AND mode = 'RowExclusiveLock' AND database =
          (SELECT oid FROM pg_database WHERE datname = current_database())`,
      database,
    );
    if (renewing.length === 0) return true;
    holder.signal("SIGCONT");
    return false;
  });
}

type Writer = WriterStore<TestDatabase>;

/** Opens a writer store as soon as the name is free. */
export async function takeOver(t: Test, database: string): Promise<Writer> {
  let writer: Writer | undefined;
  await until("the name is free", async () => {
    try {
      writer = await WriterStore.open<TestDatabase>({ database });
    } catch (error) {
      if ((error as HeadwaterError).code !== "INSTANCE_HELD") throw error;
    }
    return writer !== undefined;
  });
  const opened = writer as Writer;
  t.teardown(() => opened.close());
  return opened;
}

/** When the lease began and ends, from now on by the server's clock, in ms. */
export async function readLease(database: string): Promise<[number, number]> {
  const server = await sharedPostgres();
  const [row] = await server.run(
    `SELECT started_ms - now.ms, expires_ms - now.ms FROM headwater_instances,
      (SELECT extract(epoch FROM clock_timestamp()) * 1000 AS ms) AS now
    WHERE name = 'master'`,
    database,
  );
  return row?.map(Number) as [number, number];
}

const readExpiry = async (database: string) => {
  const server = await sharedPostgres();
  const sql = "SELECT expires_ms FROM headwater_instances";
  return Number((await server.run(sql, database))[0]?.[0]);
};

/** Resolves once the lease was renewed so often. */
export async function renewed(database: string, times: number): Promise<void> {
  let before = await readExpiry(database);
  for (let time = 0; time < times; time += 1) {
    await until("it is renewed", async () => {
      const now = await readExpiry(database);
      const isLater = now > before;
      before = now;
      return isLater;
    });
  }
}
