// What retention deletes while it is being fetched is not passed over.

import { DatabaseSync } from "node:sqlite";
import t from "tap";
import { z } from "zod";
import { defineStream, WriterStore } from "../../mod.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { openForReading } from "../../src/database/open_database.ts";
import { Fetcher } from "../../src/replication/fetcher.ts";
import { ReaderPosition } from "../../src/replication/reader_position.ts";
import { TransactionApplier } from "../../src/replication/transaction_applier.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import type { Token } from "../../src/tokens/token.ts";
import { temporaryDatabase } from "../support/folders.ts";

const orders = defineStream("orders", z.string());

for (const way of ["in steps", "one after another, as from a replica"]) {
  t.test(way, async (t) => {
    const database = temporaryDatabase(t);
    const writer = await WriterStore.open({ database, streams: [orders] });
    for (const order of ["a", "b", "c"]) {
      await writer.transaction("order", (txn) => {
        txn.write(orders, order);
        return Promise.resolve();
      });
    }
    const upTo = writer.position.get("master") as Token;
    await writer.close();
    const reading = openForReading(database, {});
    t.teardown(() => reading.close());
    const { session } = reading;
    /** Fetches all, which was there when it was looked for. */
    const fetch = (): Promise<boolean> => {
      const caches = new CacheRegistry([], silentLogger);
      const applier = new TransactionApplier(
        caches,
        new ReaderPosition(systemClock),
        silentLogger,
        way === "in steps" ? undefined : () => Promise.resolve(),
      );
      const { signal } = new AbortController();
      const options = { clock: systemClock, logger: silentLogger, signal };
      return new Fetcher({ session, applier, caches, ...options })
        .fetch({ instance: "master", after: 0 as Token, upTo });
    };
    t.equal(await fetch(), true);

    // As retention does it: from the oldest on, and what it is about to delete first.
    const outside = new DatabaseSync(database.slice("sqlite:".length));
    t.teardown(() => outside.close());
    const retain = (token: number) =>
      outside.exec(
        `INSERT OR REPLACE INTO headwater_retained VALUES ('orders', ${token});
        DELETE FROM headwater_log WHERE token <= ${token}`,
      );
    retain(upTo - 1);
    t.equal(await fetch(), false, "the beginning is gone");
    retain(upTo);
    t.equal(await fetch(), false, "all of it is gone");
  });
}
