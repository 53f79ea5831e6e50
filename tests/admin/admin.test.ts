// openAdmin(): what it opens and what it refuses, where each instance stands,
// and what it passes on to retention and to projections.

import { existsSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import process from "node:process";
import t from "tap";
import { WriterStore } from "../../mod.ts";
import { openAdmin } from "../../src/admin/mod.ts";
import { temporaryFolder } from "../support/folders.ts";
import {
  change,
  DIALECTS,
  emptyDatabase,
  listAll,
  openWriter,
  orders,
  type Tables,
  writeSmallLog,
} from "./small_log.ts";

t.test("openAdmin() refuses", async (t) => {
  const folder = temporaryFolder(t);
  const missing = join(folder, "missing.db");
  writeFileSync(
    join(folder, "text.db"),
    "no database, and long enough for one",
  );
  for (
    const [what, url, code, message] of [
      ["memory", "sqlite::memory:", "INVALID_ARGUMENT", /no other process/],
      [
        "an unknown scheme",
        "mysql:x",
        "INVALID_ARGUMENT",
        /schemes are sqlite/,
      ],
      [
        "a missing file",
        `sqlite:${missing}`,
        "DATABASE_UNAVAILABLE",
        /missing/,
      ],
      [
        "a file that is no database",
        `sqlite:${join(folder, "text.db")}`,
        "DATABASE_INVALID",
        /text\.db/,
      ],
    ] as const
  ) {
    await t.test(what, async (t) => {
      await t.rejects(openAdmin(url), { code, message });
    });
  }
  t.notOk(existsSync(missing), "and makes none");
});

for (const dialect of DIALECTS) {
  t.test(`openAdmin() on ${dialect}`, async (t) => {
    await t.test("refuses a database without a log", async (t) => {
      const database = await emptyDatabase(t, dialect);
      await change(database, ["CREATE TABLE things (id TEXT)"]);
      await t.rejects(openAdmin(database), {
        code: "DATABASE_INVALID",
        message: /it has no log of headwater's; give another .* a WriterStore/,
      });
      await t.rejects(openAdmin(database, { tablePrefix: "a b" }), {
        code: "INVALID_ARGUMENT",
      });
    });

    await t.test("refuses tables of another release", async (t) => {
      const database = await writeSmallLog(t, dialect);
      await change(database, [
        "DELETE FROM headwater_migrations WHERE version > 1",
      ]);
      await t.rejects(openAdmin(database), {
        code: "DATABASE_INVALID",
        message: /its tables have version 1, .* open a WriterStore on it once/,
      });
      await change(database, [
        "INSERT INTO headwater_migrations VALUES (999, 'later', 0)",
      ]);
      await t.rejects(openAdmin(database), { code: "SCHEMA_TOO_NEW" });
    });

    await t.test("looks where the tables are", async (t) => {
      const database = await emptyDatabase(t, dialect);
      const names = {
        tablePrefix: "hw_",
        ...(dialect === "postgres" ? { schema: "Log" } : {}),
      };
      const writer = await WriterStore.open<Tables>({
        database,
        streams: [orders],
        ...names,
      });
      t.teardown(() => writer.close());
      await writer.transaction("write", async (txn) => {
        txn.write(orders, 1);
        await txn.append("user:1", [{ type: "named", id: "given" }]);
      });
      await using admin = await openAdmin(database, names);
      t.match(await admin.positions(), {
        horizon: 1,
        instances: [{ position: 1 }],
      });
      t.equal((await listAll(admin.log())).length, 2);
      t.match(await admin.verify(), { records: 2, problems: [] });
      const retained = await admin.retain({ orders: { maxRows: 0 } });
      t.same(retained, [{ stream: "orders", deleted: 1, floor: 1 }]);
      const streams = await admin.streams();
      t.same(
        streams,
        ["caches", "events", "orders"],
        "of which nothing is left",
      );
      t.same(await admin.projections(), []);
      await t.rejects(openAdmin(database), { code: "DATABASE_INVALID" });
    });

    await t.test("does nothing any more once it is closed", async (t) => {
      const database = await writeSmallLog(t, dialect);
      const admin = await openAdmin(database);
      await admin.retain();
      await Promise.all([admin.close(), admin.close()]);
      const closed = { code: "CLOSED" };
      for (
        const call of [
          () => admin.positions(),
          () => listAll(admin.log()),
          () => admin.verify(),
          () => admin.retain(),
          () => admin.projections(),
          () => admin.streams(),
          () => admin.rebuildProjection("even"),
          () => admin.retryProjection("even"),
          () => admin.progress(),
          () => admin.parked("even"),
        ]
      ) {
        await t.rejects(async () => void await call(), closed, String(call));
      }
    });
  });

  t.test(`positions() on ${dialect}`, async (t) => {
    const database = await writeSmallLog(t, dialect);
    await openWriter(t, database, "third");
    await change(database, [
      "UPDATE headwater_instances SET expires_ms = 1234 WHERE name = 'second'",
    ]);
    await using admin = await openAdmin(database);
    const { horizon, instances } = await admin.positions();
    t.equal(horizon, 7);
    const here = { host: hostname(), pid: process.pid };
    const now = Date.now();
    t.match(instances, [
      { name: "master", position: 5, fence: 1, lease: "released", ...here },
      { name: "second", position: 7, lease: "expired", leaseEndsMs: 1234 },
      { name: "third", position: 0, lease: "held", ...here },
    ]);
    t.equal(instances[0]?.leaseEndsMs, undefined);
    t.ok(Number(instances[2]?.leaseEndsMs) > now);
  });

  t.test(`retain() on ${dialect}`, async (t) => {
    const database = await writeSmallLog(t, dialect);
    await using admin = await openAdmin(database);
    t.same(await admin.retain(), [{ stream: "caches", deleted: 0, floor: 0 }]);
    t.same(
      await admin.retain({
        orders: { maxRows: 3 },
        caches: { maxAgeMs: 0, maxRows: 0 },
        events: "forever",
      }),
      [
        { stream: "orders", deleted: 1, floor: 1 },
        { stream: "caches", deleted: 2, floor: 1 },
      ],
    );
    const left = await listAll(admin.log());
    t.same(left.map(({ token, stream }) => `${token} ${stream}`), [
      "1 events",
      "2 events",
      "4 orders",
      "5 events",
      "6 events",
      "7 orders",
    ]);
    t.same((await admin.verify()).problems, []);
    await t.rejects(
      admin.retain({ orders: { maxRows: 0 }, other: {} }),
      { code: "INVALID_ARGUMENT" },
    );
    const { length } = await listAll(admin.log());
    t.equal(length, left.length, "a policy that can't be spoils all of them");
    const reason = new RangeError("enough");
    await t.rejects(
      admin.retain({ orders: { maxRows: 0 } }, {
        signal: AbortSignal.abort(reason),
      }),
      reason,
    );
  });

  t.test(`projections on ${dialect}`, async (t) => {
    const database = await writeSmallLog(t, dialect);
    await change(database, [
      "INSERT INTO headwater_parked VALUES ('even', 0, 2, 0, 5, 'no', 7)",
      "INSERT INTO headwater_parked VALUES ('even', 0, 2, 1, 5, 'no', 7)",
    ]);
    await using admin = await openAdmin(database);
    await admin.rebuildProjection("behind");
    t.equal(await admin.retryProjection("even"), 2);
    t.match(await admin.projections(), [
      { name: "behind", position: 5, rebuild: "requested", parked: 0 },
      { name: "even", position: 6, rebuild: undefined, parked: 2 },
      { name: "inline", position: undefined },
    ]);
    const unknown = { code: "PROJECTION_UNKNOWN" };
    await t.rejects(admin.rebuildProjection("none"), unknown);
    await t.rejects(admin.rebuildProjection("inline"), unknown);
    await t.rejects(admin.retryProjection("none"), unknown);
    await t.rejects(admin.parked("none"), unknown);
    t.match(await admin.parked("even"), [
      { token: 2, ordinal: 0, attempts: 0, error: "no" },
      { token: 2, ordinal: 1, attempts: 0, error: "no" },
    ]);
  });
}
