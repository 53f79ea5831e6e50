// Appending events: versions, kinds, closing.

import { z } from "zod";
import { defineAggregate, VersionConflictError } from "../../../mod.ts";
import type { ExpectedVersion } from "../../../src/events/version_conflict.ts";
import { defineProjection } from "../../../src/projections/mod.ts";
import {
  type Case,
  type CaseWriter,
  collect,
  conform,
  range,
} from "./engines.ts";

const users = defineAggregate("user", {
  renamed: z.object({ name: z.string() }),
  aged: {
    version: 3,
    schema: z.object({ years: z.int(), unit: z.string(), by: z.string() }),
    upcast: {
      1: (data) => ({ ...Object(data), unit: "years" }),
      2: (data) => ({ ...Object(data), by: "nobody" }),
    },
  },
});

function append(
  writer: CaseWriter,
  expectedVersion: ExpectedVersion,
  count = 1,
  aggregate = "a:1",
) {
  return writer.transaction("append", (txn) =>
    txn.append(
      aggregate,
      range(1, count).map((n) => ({ type: "happened", data: { n } })),
      { expectedVersion },
    ));
}

/** [version there is, expected, whether it is fine] */
const EXPECTATIONS: readonly (readonly [number, ExpectedVersion, boolean])[] = [
  [0, "any", true],
  [0, "none", true],
  [0, "exists", false],
  [0, 0, true],
  [0, 1, false],
  [3, "any", true],
  [3, "none", false],
  [3, "exists", true],
  [3, 3, true],
  [3, 2, false],
  [3, 4, false],
  [3, 0, false],
];

const expectations: Record<string, Case> = {};
for (const [before, expected, isFine] of EXPECTATIONS) {
  expectations[`version ${before}, expected ${expected}`] = async (
    t,
    { open },
  ) => {
    const writer = await open();
    if (before > 0) await append(writer, "none", before);
    const appending = append(writer, expected, 2);
    if (isFine) {
      t.equal((await appending).result, before + 2);
    } else {
      await t.rejects(appending, {
        code: "VERSION_CONFLICT",
        aggregate: "a:1",
        expectedVersion: expected,
        actualVersion: before,
      });
      await t.rejects(append(writer, expected, 2), VersionConflictError);
    }
    const events = await collect(writer.readAggregate("a:1"));
    t.same(
      events.map(({ version }) => version),
      range(1, isFine ? before + 2 : before),
    );
  };
}

const BAD_VERSIONS = [-1, 1.5, NaN, "some", null];
const badVersions: Record<string, Case> = {};
for (const bad of BAD_VERSIONS) {
  badVersions[`expected ${bad} is refused`] = async (t, { open }) => {
    const writer = await open();
    await t.rejects(append(writer, bad as ExpectedVersion), {
      code: "INVALID_ARGUMENT",
    });
    t.same(await collect(writer.readAggregate("a:1")), []);
  };
}

conform("appends", {
  ...expectations,
  ...badVersions,
  "several aggregates in one transaction": async (t, { open }) => {
    const writer = await open();
    const commit = await writer.transaction("both", async (txn) => [
      await txn.append("a:1", [{ type: "x" }, { type: "y" }]),
      await txn.append("b:1", [{ type: "z" }], { expectedVersion: "none" }),
      await txn.append("a:1", [{ type: "w" }], { expectedVersion: 2 }),
    ]);
    t.same(commit.result, [2, 1, 3]);
    const events = await collect(writer.readEvents());
    t.same(
      events.map((
        { aggregate, version, token },
      ) => [aggregate, version, token]),
      [["a:1", 1], ["a:1", 2], ["b:1", 1], ["a:1", 3]].map((event) => [
        ...event,
        commit.token,
      ]),
    );
  },
  "a conflict on one aggregate undoes all": async (t, { open }) => {
    const writer = await open();
    await append(writer, "none");
    await t.rejects(
      writer.transaction("both", async (txn) => {
        await txn.append("b:1", [{ type: "x" }]);
        await txn.append("a:1", [{ type: "x" }], { expectedVersion: 0 });
      }),
      VersionConflictError,
    );
    t.same(await collect(writer.readAggregate("b:1")), []);
  },
  "a hundred events in one transaction": async (t, { open }) => {
    const writer = await open();
    t.equal((await append(writer, 0, 100)).result, 100);
    const events = await collect(writer.readAggregate("a:1"));
    t.same(events.map(({ data }) => data), range(1, 100).map((n) => ({ n })));
  },
  "data of every JSON kind comes back": async (t, { open }) => {
    const writer = await open();
    const kinds = [null, true, 0, -1.5, "", "ä€😀\n", [], [1, [2]], {
      a: { b: null },
    }];
    await writer.transaction(
      "kinds",
      (txn) => txn.append("a:1", kinds.map((data) => ({ type: "x", data }))),
    );
    const events = await collect(writer.readAggregate("a:1"));
    t.same(events.map(({ data }) => data), kinds);
  },
  "metadata comes back": async (t, { open }) => {
    const writer = await open();
    const metadata = { correlationId: "c", causationId: "d", more: [1] };
    await writer.transaction(
      "meta",
      (txn) => txn.append("a:1", [{ type: "x", metadata }, { type: "y" }]),
    );
    const events = await collect(writer.readAggregate("a:1"));
    t.same(events.map((event) => event.metadata), [metadata, {}]);
  },
  "metadata that is no object is refused": async (t, { open }) => {
    const writer = await open();
    for (const metadata of [null, "x", 5, [1]]) {
      await t.rejects(
        writer.transaction(
          "meta",
          (txn) =>
            txn.append("a:1", [{ type: "x", metadata: metadata as never }]),
        ),
        { code: "INVALID_ARGUMENT" },
      );
    }
  },
  "no events are refused": async (t, { open }) => {
    const writer = await open();
    for (const events of [[], undefined, "x"]) {
      await t.rejects(
        writer.transaction("none", (txn) => txn.append("a:1", events as never)),
        { code: "INVALID_ARGUMENT", message: /at least one event/ },
      );
    }
  },
  "an id or a type that is no text is refused": async (t, { open }) => {
    const writer = await open();
    for (
      const [aggregate, type] of [["", "x"], [5, "x"], ["a", ""], ["a", null], [
        "x".repeat(513),
        "x",
      ]]
    ) {
      await t.rejects(
        writer.transaction(
          "bad",
          (txn) => txn.append(aggregate as string, [{ type: type as string }]),
        ),
        { code: "INVALID_ARGUMENT" },
      );
    }
  },
  "data that JSON can't carry is refused": async (t, { open }) => {
    const writer = await open();
    for (const data of [NaN, () => 1, 5n, { a: new Date(0) }]) {
      await t.rejects(
        writer.transaction(
          "bad",
          (txn) => txn.append("a:1", [{ type: "x", data: data as never }]),
        ),
        { code: "ROW_INVALID" },
      );
    }
  },
  "names with spaces, quotes and other scripts": async (t, { open }) => {
    const writer = await open();
    for (const id of ["a b", "it's", 'say "x"', "ключ", "a%b_c", "\\"]) {
      await append(writer, "none", 1, id);
      const events = await collect(writer.readAggregate(id));
      t.same(events.map(({ aggregate }) => aggregate), [id]);
    }
  },
  "an aggregate's name is told apart byte by byte": async (t, { open }) => {
    const writer = await open();
    await append(writer, "none", 1, "Key");
    await append(writer, "none", 2, "key");
    t.equal((await collect(writer.readAggregate("Key"))).length, 1);
    t.equal((await collect(writer.readAggregate("key"))).length, 2);
  },
  "a kind's events are checked": async (t, { open }) => {
    const writer = await open();
    const version = await writer.transaction(
      "rename",
      (txn) =>
        txn.append(users.of("1"), [{ type: "renamed", data: { name: "A" } }]),
    );
    t.equal(version.result, 1);
    for (
      const [event, message] of [
        [{ type: "renamed", data: { name: 5 } }, /data.name: .*; give what/],
        [{ type: "renamed" }, /data: .*; give what/],
        [{ type: "gone", data: {} }, /no event "gone"; .* renamed, aged/],
      ] as const
    ) {
      await t.rejects(
        writer.transaction(
          "bad",
          (txn) => txn.append(users.of("1"), [event as never]),
        ),
        { code: "EVENT_INVALID", message },
      );
    }
  },
  "reserved names are refused": async (t, { open }) => {
    const writer = await open();
    const tryAppend = (
      aggregate: Parameters<typeof users.of>[0] | typeof user,
      events: unknown[],
    ) =>
      writer.transaction(
        "append",
        (txn) => txn.append(aggregate as string, events as { type: string }[]),
      );
    const user = users.of("1");
    const renamed = { type: "renamed", data: { name: "A" } };
    for (
      const [aggregate, events, error] of [
        [
          "a:1",
          [{ type: "$closed" }],
          /"\$closed" to aggregate "a:1": .*closeA/,
        ],
        [user, [{ type: "$closed" }], /use txn.closeAggregate, or/],
        [user, [{ type: "$closed" }, { type: "nonsense" }], /"\$closed"/],
        [user, [renamed, { type: "$closed" }], /"\$closed"/],
        [
          user,
          [{ ...renamed, metadata: { $version: 9 } }],
          /its metadata has "\$version"/,
        ],
      ] as const
    ) {
      await t.rejects(tryAppend(aggregate, [...events]), { message: error });
    }
    await tryAppend(user, [renamed]);
    await writer.transaction("close", (txn) => txn.closeAggregate(user));
    const events = await collect(writer.readAggregate(user));
    t.same(events.map(({ type }) => type), ["renamed", "$closed"]);
  },
  "old events of a kind are brought up to date": async (t, { open }) => {
    const writer = await open();
    const old = [
      { type: "aged", data: { years: 1 } },
      {
        type: "aged",
        data: { years: 2, unit: "y" },
        metadata: { $version: 2 },
      },
    ];
    await writer.transaction("old", (txn) => txn.append("user:1", old));
    await writer.transaction("new", (txn) =>
      txn.append(users.of("1"), [{
        type: "aged",
        data: { years: 3, unit: "y", by: "x" },
      }]));
    const events = await collect(writer.readAggregate(users.of("1")));
    t.same(events.map(({ data }) => data), [
      { years: 1, unit: "years", by: "nobody" },
      { years: 2, unit: "y", by: "nobody" },
      { years: 3, unit: "y", by: "x" },
    ]);
    t.same(events.map(({ metadata }) => metadata), [{}, {}, {}]);
    // Wherever they are read, if the kind is told.
    await append(writer, "any");
    const seen: unknown[] = [];
    await writer.project(defineProjection<unknown>({
      name: "seen",
      tables: [],
      aggregates: [users],
      create: () => Promise.resolve(),
      handle: ({ data, metadata }) => void seen.push([data, metadata]),
    }));
    const all = await collect(writer.readEvents({ aggregates: [users] }));
    const expected = [...events.map(({ data }) => [data, {}]), [{ n: 1 }, {}]];
    t.same(all.map(({ data, metadata }) => [data, metadata]), expected);
    t.same(seen, expected);
    const [first] = await collect(writer.readEvents({ limit: 1 }));
    t.same(first?.data, { years: 1 }, "else as they stand in the log");
    await writer.transaction("more", (txn) =>
      txn.append(users.of("2"), [{
        type: "aged",
        data: { years: 4, unit: "y", by: "x" },
      }]));
    t.same(seen.at(-1), [{ years: 4, unit: "y", by: "x" }, {}]);
  },
  "events of a newer version, or unknown, are refused": async (t, { open }) => {
    const writer = await open();
    await writer.transaction("newer", (txn) =>
      txn.append("user:1", [{
        type: "aged",
        data: {},
        metadata: { $version: 4 },
      }]));
    await writer.transaction(
      "unknown",
      (txn) => txn.append("user:2", [{ type: "gone" }]),
    );
    await t.rejects(collect(writer.readAggregate(users.of("1"))), {
      code: "EVENT_INVALID",
      message: /version 4, and this release knows 3/,
    });
    await t.rejects(collect(writer.readAggregate(users.of("2"))), {
      code: "EVENT_INVALID",
      message: /does not define it/,
    });
  },
  "a closed aggregate takes no more": async (t, { open }) => {
    const writer = await open();
    await append(writer, "none", 2);
    const closing = await writer.transaction(
      "close",
      (txn) => txn.closeAggregate("a:1", { reason: { why: "done" } }),
    );
    t.equal(closing.result, 3);
    for (const expected of ["any", "exists", 3] as const) {
      await t.rejects(append(writer, expected), {
        code: "AGGREGATE_CLOSED",
        message: /closed with version 3; start another one/,
      });
    }
    const events = await collect(writer.readAggregate("a:1"));
    t.match(events.at(-1), { type: "$closed", data: { why: "done" } });
  },
  "closing expects a version, and happens once": async (t, { open }) => {
    const writer = await open();
    await append(writer, "none", 2);
    const close = (expectedVersion: ExpectedVersion) =>
      writer.transaction(
        "close",
        (txn) => txn.closeAggregate("a:1", { expectedVersion }),
      );
    await t.rejects(close(1), VersionConflictError);
    t.equal((await close(2)).result, 3);
    await t.rejects(close("any"), { code: "AGGREGATE_CLOSED" });
  },
  "append and close in one transaction": async (t, { open }) => {
    const writer = await open();
    await writer.transaction("both", async (txn) => {
      await txn.append("a:1", [{ type: "x" }]);
      t.equal(await txn.closeAggregate("a:1"), 2);
      await t.rejects(txn.append("a:1", [{ type: "y" }]), {
        code: "AGGREGATE_CLOSED",
      });
    });
    t.equal((await collect(writer.readAggregate("a:1"))).length, 2);
  },
});
