// What verify() finds: each fault by itself, in an otherwise sound log, and all
// that it finds is compared, so that no fault is told of in another's name.

import t from "tap";
import { openAdmin } from "../../src/admin/mod.ts";
import { change, DIALECTS, editRows, writeSmallLog } from "./small_log.ts";
import {
  AHEAD_FAULTS,
  EVENT_FAULTS,
  type Fault,
  ID_FAULTS,
  ROW_FAULTS,
  TIME_FAULTS,
  TOKEN_FAULTS,
  TRANSACTION_FAULTS,
  VERSION_FAULTS,
} from "./verify_faults.ts";

const FAULTS: readonly Fault[] = [
  ...TOKEN_FAULTS,
  ...TRANSACTION_FAULTS,
  ...ROW_FAULTS,
  ...EVENT_FAULTS,
  ...VERSION_FAULTS,
  ...ID_FAULTS,
  ...TIME_FAULTS,
  ...AHEAD_FAULTS,
];

for (const dialect of DIALECTS) {
  t.test(`verify() on ${dialect}`, async (t) => {
    await t.test("finds nothing wrong with a sound log", async (t) => {
      const database = await writeSmallLog(t, dialect);
      await using admin = await openAdmin(database);
      t.same(await admin.verify(), {
        records: 9,
        transactions: 7,
        events: 7,
        aggregates: 3,
        problems: [],
        problemCount: 0,
      });
    });

    for (const { name, spoil, found } of FAULTS) {
      await t.test(`finds ${name}`, async (t) => {
        const database = await writeSmallLog(t, dialect);
        if (typeof spoil === "function") await spoil(database, dialect);
        else await change(database, spoil);
        await using admin = await openAdmin(database);
        const { problems, problemCount } = await admin.verify();
        const expected = typeof found === "function" ? found(dialect) : found;
        t.same(
          problems.map(({ check, token }) => [check, token]),
          expected.map(([check, token]) => [check, token]),
          { problems },
        );
        t.match(
          problems.map(({ message }) => message),
          expected.map(([, , message]) => message),
        );
        t.equal(problemCount, expected.length);
      });
    }

    await t.test("counts problems, and keeps the first hundred", async (t) => {
      const database = await writeSmallLog(t, dialect);
      const ids = Array.from({ length: 150 }, (_, n) => `id-${1000 + n}`);
      await change(
        database,
        ids.map((id) =>
          `INSERT INTO headwater_event_ids VALUES ('${id}', 'user:1', 1, 2)`
        ),
      );
      // Found before those, and behind them by its token.
      await editRows(database, 4, "orders", () => ["x"]);
      // Found after those, and first by its token.
      await change(database, [
        "UPDATE headwater_instances SET position = 7 WHERE name = 'master'",
        "INSERT INTO headwater_event_ids VALUES ('zz', 'user:1', 9, 1)",
      ]);
      await using admin = await openAdmin(database);
      const { problems, problemCount } = await admin.verify();
      t.equal(problemCount, 153);
      t.equal(problems.length, 100);
      t.match(problems[0], { token: 1, message: /^id "zz"/ });
      t.same(problems.slice(1).map(({ token }) => token), Array(99).fill(2));
    });

    await t.test("tells how far it has got, and can be stopped", async (t) => {
      const database = await writeSmallLog(t, dialect);
      await using admin = await openAdmin(database);
      const told: unknown[] = [];
      await admin.verify({ onProgress: (progress) => told.push(progress) });
      t.same(told, [
        { step: "log", checked: 9, token: 7, lastToken: 7 },
        { step: "aggregates", checked: 6, token: undefined, lastToken: 7 },
        { step: "event ids", checked: 1, token: undefined, lastToken: 7 },
        { step: "snapshots", checked: 1, token: undefined, lastToken: 7 },
      ]);
      const stopping = new AbortController();
      const reason = new RangeError("enough");
      await t.rejects(
        admin.verify({
          signal: stopping.signal,
          onProgress: () => stopping.abort(reason),
        }),
        reason,
      );
    });
  });
}
