// What can't be written is refused at the border, in the user's words, and
// leaves nothing behind; what can't be opened says why.

import t from "tap";
import { DatabaseSync } from "node:sqlite";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import {
  defineCacheGroup,
  defineStream,
  WriterStore,
  type WriterTransaction,
} from "../../mod.ts";
import { temporaryDatabase, temporaryFolder } from "../support/folders.ts";
import { type TestDatabase, Users } from "../support/stores.ts";

const orders = defineStream(
  "orders",
  z.object({ id: z.string(), items: z.array(z.object({ cents: z.int() })) }),
);
const anything = defineStream("anything", z.any());
const rooms = defineCacheGroup(
  "rooms",
  z.tuple([z.string()]),
  ([room]) => [["get_room", [room]]],
);

type Txn = WriterTransaction<TestDatabase>;

t.test("a transaction", async (t) => {
  const writer = await WriterStore.open<TestDatabase>({
    database: temporaryDatabase(t),
    streams: [orders, anything],
    groups: [rooms],
  });
  t.teardown(() => writer.close());
  const users = writer.attach(Users);
  const circle: unknown[] = [];
  circle.push(circle);

  const refused: readonly [string, (txn: Txn) => unknown, string, RegExp][] = [
    [
      "a row that fails its schema",
      (txn) =>
        txn.write(orders, { id: "a", items: [{ cents: 1 }, { cents: 1.5 }] }),
      "ROW_INVALID",
      /stream "orders": \.items\[1\]\.cents: /,
    ],
    [
      "a row of another type",
      (txn) => txn.write(orders, 7 as never),
      "ROW_INVALID",
      /stream "orders": the row: /,
    ],
    [
      "a bigint",
      (txn) => txn.write(anything, { a: [1n] }),
      "ROW_INVALID",
      /stream "anything": \.a\[0\] is a bigint/,
    ],
    [
      "a function",
      (txn) => txn.write(anything, { f() {} }),
      "ROW_INVALID",
      /\.f is a function/,
    ],
    ["NaN", (txn) => txn.write(anything, [NaN]), "ROW_INVALID", /\[0\] is NaN/],
    [
      "a date",
      (txn) => txn.write(anything, { at: new Date(0) }),
      "ROW_INVALID",
      /\.at is a Date/,
    ],
    [
      "a circle",
      (txn) => txn.write(anything, circle),
      "ROW_INVALID",
      /in a circle/,
    ],
    [
      "nothing",
      (txn) => txn.write(anything, undefined),
      "ROW_INVALID",
      /undefined/,
    ],
    [
      "an unknown stream",
      (txn) => txn.write("missing", {}),
      "STREAM_UNKNOWN",
      /"missing": the streams are caches, events, orders, anything/,
    ],
    [
      "rows of caches",
      (txn) => txn.write("caches", ["x", null, 1]),
      "INVALID_ARGUMENT",
      /use txn\.invalidate/,
    ],
    [
      "a method without a cache",
      (txn) => txn.invalidate((() => {}) as never, []),
      "NOT_CACHED",
      /decorate it with @cached/,
    ],
    [
      "a key with an object",
      (txn) => txn.invalidate(users.getUserById, [{}] as never),
      "KEY_INVALID",
      /argument 1 of "getUserById"/,
    ],
    [
      "a key with no number",
      (txn) => txn.invalidate("x", [NaN]),
      "KEY_INVALID",
      /it is NaN/,
    ],
    [
      "an unknown group",
      (txn) => txn.invalidateGroup("missing", []),
      "GROUP_UNKNOWN",
      /"missing": the groups are rooms/,
    ],
    [
      "a group's wrong key",
      (txn) => txn.invalidateGroup(rooms, [1] as never),
      "KEY_INVALID",
      /group "rooms" with key/,
    ],
    [
      "no events",
      (txn) => txn.append("a", []),
      "INVALID_ARGUMENT",
      /at least one event/,
    ],
    [
      "an aggregate without a name",
      (txn) => txn.append("", [{ type: "x" }]),
      "INVALID_ARGUMENT",
      /the aggregate is 0 characters/,
    ],
    [
      "an aggregate named with half a character",
      (txn) => txn.append("user:\ud800", [{ type: "x" }]),
      "INVALID_ARGUMENT",
      /the aggregate, "user:\\ud800", has half of a surrogate pair/,
    ],
    [
      "an aggregate named with a NUL",
      (txn) => txn.append("user:\0", [{ type: "x" }]),
      "INVALID_ARGUMENT",
      /the aggregate, "user:\\u0000", has half of .*, or a NUL/,
    ],
    [
      "a version in a text",
      (txn) =>
        txn.append("a", [{ type: "x" }], { expectedVersion: "5" as never }),
      "INVALID_ARGUMENT",
      /expectedVersion is "5"; give a version/,
    ],
    [
      "an event without a type",
      (txn) => txn.append("a", [{} as never]),
      "INVALID_ARGUMENT",
      /type of event 1/,
    ],
    [
      "event data that is no JSON",
      (txn) => txn.append("a", [{ type: "x", data: { n: Infinity } }]),
      "ROW_INVALID",
      /\.n is Infinity/,
    ],
    [
      "a version that is none",
      (txn) => txn.append("a", [{ type: "x" }], { expectedVersion: -1 }),
      "INVALID_ARGUMENT",
      /expectedVersion is -1/,
    ],
    [
      "another version",
      (txn) => txn.append("a", [{ type: "x" }], { expectedVersion: 4 }),
      "VERSION_CONFLICT",
      /expected version 4, but it has 0/,
    ],
  ];
  for (const [what, act, code, message] of refused) {
    await t.test(`refuses ${what}`, async (t) => {
      const before = writer.position;
      await t.rejects(
        writer.transaction("bad", async (txn) => {
          txn.write(anything, "before");
          await act(txn);
        }),
        { code, message },
      );
      t.same(writer.position, before);
    });
  }

  await t.test("refuses to commit without an append that nobody awaits", async (t) => {
    for (
      const append of [
        (txn: Txn) => txn.append("forgotten", [{ type: "x" }]),
        (txn: Txn) => txn.closeAggregate("forgotten"),
      ]
    ) {
      const forgotten: Promise<number>[] = [];
      const committing = writer.transaction("forgetful", (txn) => {
        txn.write(anything, "data without its event");
        const appending = append(txn);
        appending.catch(() => {}); // Else it would end the process, as it should.
        forgotten.push(appending);
        return Promise.resolve();
      });
      await t.rejects(committing, {
        code: "TRANSACTION_ENDED",
        message: /an append still runs; await everything/,
      });
      await Promise.allSettled(forgotten);
    }
    const { version } = await writer.aggregate("forgotten").fold(0, (n) => n);
    t.equal(version, 0);
  });

  await t.test("left nothing of all that", async (t) => {
    const { rows } = await writer.readRows(anything);
    t.same(rows, []);
  });

  await t.test("goes on after what was refused and caught", async (t) => {
    const { token } = await writer.transaction("caught", (txn) => {
      t.throws(() => txn.write(anything, NaN), { code: "ROW_INVALID" });
      txn.write(anything, "kept");
      return Promise.resolve();
    });
    const { rows } = await writer.readRows<unknown>(anything);
    t.same(rows, [[token, "kept"]]);
  });

  await t.test("is over when it is over", async (t) => {
    let leaked: Txn | undefined;
    await writer.transaction("leak", (txn) => {
      leaked = txn;
      return Promise.resolve();
    });
    const txn = leaked as unknown as Txn;
    t.throws(() => txn.write(anything, 1), { code: "TRANSACTION_ENDED" });
    t.throws(() => txn.invalidateAll("x"), { code: "TRANSACTION_ENDED" });
    await t.rejects(txn.append("a", [{ type: "x" }]), {
      code: "TRANSACTION_ENDED",
    });
    await t.rejects(txn.db.selectFrom("users").selectAll().execute(), {
      code: "TRANSACTION_ENDED",
    });
  });
});

t.test("WriterStore.open()", async (t) => {
  const folder = temporaryFolder(t);
  const text = join(folder, "text.db");
  writeFileSync(
    text,
    "This is a text, and long enough to look at. ".repeat(50),
  );
  const newer = join(folder, "newer.db");
  (await WriterStore.open({ database: `sqlite:${newer}` })).close();
  const outside = new DatabaseSync(newer);
  outside.exec(
    "INSERT INTO headwater_migrations (version, name, applied_ms) VALUES (99, 'later', 0)",
  );
  outside.close();
  const holder = await WriterStore.open({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
  });
  t.teardown(() => holder.close());
  const memory = "sqlite::memory:";
  for (
    const [what, options, code, message] of [
      [
        "an unknown scheme",
        { database: "mysql://x" },
        "INVALID_ARGUMENT",
        /the schemes are sqlite:FILE, sqlite::memory: and postgres:/,
      ],
      ["no file", { database: "sqlite:" }, "INVALID_ARGUMENT", /sqlite:FILE/],
      [
        "a missing folder",
        { database: "sqlite:/no/such/folder/a.db" },
        "DATABASE_UNAVAILABLE",
        /"\/no\/such\/folder\/a\.db"/,
      ],
      [
        "a text",
        { database: `sqlite:${text}` },
        "DATABASE_INVALID",
        /not a database/,
      ],
      [
        "a newer file",
        { database: `sqlite:${newer}` },
        "SCHEMA_TOO_NEW",
        /version 99, .*knows up to \d+; upgrade/,
      ],
      [
        "an instance's name with a space",
        { database: memory, instance: "a b" },
        "INVALID_ARGUMENT",
        /instance is "a b"/,
      ],
      [
        "no name for an instance",
        { database: memory, instance: null as never },
        "INVALID_ARGUMENT",
        /instance is "null"/,
      ],
      [
        "a database in memory, misspelt",
        { database: "sqlite::memory" },
        "INVALID_ARGUMENT",
        /"sqlite::memory": the schemes are .* sqlite::memory: and/,
      ],
      [
        "a time in a text",
        { database: memory, leaseMs: "5" as never },
        "INVALID_ARGUMENT",
        /leaseMs is "5"; give a number of ms/,
      ],
      [
        "no time at all between PINGs",
        { database: memory, pingIntervalMs: 0 },
        "INVALID_ARGUMENT",
        /Cannot open a writer store: pingIntervalMs is 0; give .* above 0/,
      ],
      [
        "a logger that is no function",
        { database: memory, logger: console as never },
        "INVALID_ARGUMENT",
        /give \(level, message, fields\) => …, or stderrLogger/,
      ],
      [
        "streams by name",
        { database: memory, streams: { orders } as never },
        "INVALID_ARGUMENT",
        /streams is not an array of what defineStream gives/,
      ],
      [
        "the names of groups",
        { database: memory, groups: ["rooms"] as never },
        "INVALID_ARGUMENT",
        /groups is not an array of what defineCacheGroup gives/,
      ],
      [
        "an address that is none",
        { database: memory, listen: "here" },
        "INVALID_ARGUMENT",
        /"here": give tcp:\/\/HOST:PORT/,
      ],
      [
        "a port in use",
        { database: memory, listen: String(holder.url) },
        "LISTEN_FAILED",
        /in use; give another address, or port 0/,
      ],
      [
        "two streams of a name",
        { database: memory, streams: [orders, orders] },
        "INVALID_ARGUMENT",
        /stream "orders" twice/,
      ],
      [
        "a bound of nothing",
        { database: memory, maxQueuedTransactions: 0 },
        "INVALID_ARGUMENT",
        /maxQueuedTransactions is 0; give a positive integer/,
      ],
      [
        "a time that is none",
        { database: memory, busyTimeoutMs: NaN },
        "INVALID_ARGUMENT",
        /busyTimeoutMs is NaN; give a number of ms/,
      ],
      [
        "two groups of a name",
        { database: memory, groups: [rooms, rooms] },
        "INVALID_ARGUMENT",
        /group "rooms" twice/,
      ],
      ...(["queue", "request", "presence"] as const).map((what) =>
        [
          `no time at all for ${what}`,
          { database: memory, [`${what}TimeoutMs`]: 0 },
          "INVALID_ARGUMENT",
          new RegExp(
            `store: ${what}TimeoutMs is 0; give a number of ms above 0$`,
          ),
        ] as const
      ),
      [
        "retention of a stream that there isn't",
        {
          database: memory,
          streams: [anything],
          retention: { evnets: { maxRows: 1 } },
        },
        "INVALID_ARGUMENT",
        /retain stream "evnets": the streams of the log are caches, events, anything;/,
      ],
      [
        "another synchronous",
        {
          database: `sqlite:${join(folder, "s.db")}`,
          synchronous: "off" as never,
        },
        "INVALID_ARGUMENT",
        /give "full" or "normal"/,
      ],
    ] as const
  ) {
    await t.test(`refuses ${what}`, async (t) => {
      await t.rejects(WriterStore.open(options), { code, message });
    });
  }

  await t.test("takes a lease of any length", async (t) => {
    for (const leaseMs of [0.5, 1_000.25, 1e300]) {
      const database = temporaryDatabase(t);
      const writer = await WriterStore.open({ database, leaseMs });
      t.equal(writer.position.get("master"), 0);
      await writer.close();
    }
  });

  await t.test("can be closed twice, and answers no more", async (t) => {
    const writer = await WriterStore.open({ database: memory });
    await Promise.all([writer.close(), writer.close()]);
    await writer[Symbol.asyncDispose]();
    await t.rejects(writer.transaction("late", () => Promise.resolve()), {
      code: "CLOSED",
      message: /"late"/,
    });
  });

  await t.test("lets what was called for before closing commit", async (t) => {
    const database = temporaryDatabase(t);
    const writer = await WriterStore.open({ database, streams: [anything] });
    const commits = [1, 2, 3].map((row) =>
      writer.transaction("write", (txn) => {
        txn.write(anything, row);
        return Promise.resolve();
      })
    );
    await Promise.all([...commits, writer.close()]);
    const again = await WriterStore.open({ database, streams: [anything] });
    t.equal((await again.readRows(anything)).rows.length, 3);
    await again.close();
  });
});
