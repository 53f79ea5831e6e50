// Events with ids of their own: appended again, they change nothing.

import { until } from "../../support/conditions.ts";
import { type CaseWriter, collect, conform, range } from "./engines.ts";

const event = (id: string, data: unknown = { n: 1 }, type = "x") => ({
  type,
  id,
  data: data as never,
});

function append(
  writer: CaseWriter,
  events: ReturnType<typeof event>[],
  aggregate = "a:1",
  expectedVersion: number | "any" = "any",
) {
  return writer.transaction(
    "append",
    (txn) => txn.append(aggregate, events, { expectedVersion }),
  );
}

conform("event ids", {
  "the id is the event's": async (t, { open }) => {
    const writer = await open();
    await append(writer, [event("one"), event("two")]);
    const events = await collect(writer.readAggregate("a:1"));
    t.same(events.map(({ id }) => id), ["one", "two"]);
  },
  "without one, each gets its own": async (t, { open }) => {
    const writer = await open();
    await writer.transaction(
      "append",
      (txn) => txn.append("a:1", range(1, 5).map(() => ({ type: "x" }))),
    );
    const events = await collect(writer.readAggregate("a:1"));
    t.equal(new Set(events.map(({ id }) => id)).size, 5);
  },
  "the same again gives the first token, and changes nothing": async (
    t,
    { open },
  ) => {
    const writer = await open();
    const first = await append(writer, [event("one"), event("two")], "a:1", 0);
    await append(writer, [event("three")]);
    const again = await append(writer, [event("one"), event("two")], "a:1", 0);
    t.match(again, { token: first.token, result: 2 });
    t.equal((await collect(writer.readAggregate("a:1"))).length, 3);
    t.equal(writer.position.get("master"), first.token + 1);
  },
  "the order of names in the data doesn't matter": async (t, { open }) => {
    const writer = await open();
    const first = await append(writer, [
      event("one", { a: 1, b: { c: 2, d: 3 } }),
    ]);
    const again = await append(writer, [
      event("one", { b: { d: 3, c: 2 }, a: 1 }),
    ]);
    t.equal(again.token, first.token);
  },
  "other data is an error": async (t, { open }) => {
    const writer = await open();
    await append(writer, [event("one")]);
    await t.rejects(append(writer, [event("one", { n: 2 })]), {
      code: "EVENT_ID_USED",
      message: /event id "one" was used for event "x", version 1 of "a:1"/,
    });
  },
  "another type is an error": async (t, { open }) => {
    const writer = await open();
    await append(writer, [event("one")]);
    await t.rejects(append(writer, [event("one", { n: 1 }, "y")]), {
      code: "EVENT_ID_USED",
    });
  },
  "other metadata is no other content: a retry may be another request": async (
    t,
    { open },
  ) => {
    const writer = await open();
    const of = (correlationId: string) => [
      { ...event("one"), metadata: { correlationId } },
    ];
    const first = await append(writer, of("first"));
    t.match(await append(writer, of("second")), {
      token: first.token,
      result: 1,
    });
    const [stored] = await collect(writer.readAggregate("a:1"));
    t.match(stored, { metadata: { correlationId: "first" } });
  },
  "once retention has deleted them, the same again is still the same": async (
    t,
    { open },
  ) => {
    const writer = await open({
      retention: { events: { maxRows: 0 } },
      retentionIntervalMs: 10,
    });
    const first = await append(writer, [event("one"), event("two")]);
    await until(
      "they are deleted",
      async () => (await collect(writer.readEvents())).length === 0,
    );
    const again = await append(writer, [event("one"), event("two")]);
    t.match(again, { token: first.token, result: 2 });
    await t.rejects(append(writer, [event("two"), event("one")]), {
      code: "EVENT_ID_USED",
      message:
        /event id "one" was used for version 1, deleted by now, of "a:1"/,
    });
    await t.rejects(append(writer, [event("one")], "a:2"), {
      code: "EVENT_ID_USED",
    });
  },
  "another aggregate is an error": async (t, { open }) => {
    const writer = await open();
    await append(writer, [event("one")]);
    await t.rejects(append(writer, [event("one")], "a:2"), {
      code: "EVENT_ID_USED",
    });
    t.same(await collect(writer.readAggregate("a:2")), []);
  },
  "some old and some new are an error": async (t, { open }) => {
    const writer = await open();
    await append(writer, [event("one")]);
    await t.rejects(append(writer, [event("one"), event("two")]), {
      code: "EVENT_ID_USED",
    });
    await t.rejects(append(writer, [event("two"), event("one")]), {
      code: "EVENT_ID_USED",
    });
    t.equal((await collect(writer.readAggregate("a:1"))).length, 1);
  },
  "the same twice in one append is an error": async (t, { open }) => {
    const writer = await open();
    await t.rejects(append(writer, [event("one"), event("one")]), {
      code: "EVENT_ID_USED",
      message: /in this transaction/,
    });
  },
  "the same twice in one transaction is an error": async (t, { open }) => {
    const writer = await open();
    await t.rejects(
      writer.transaction("twice", async (txn) => {
        await txn.append("a:1", [event("one")]);
        await txn.append("a:1", [event("one")]);
      }),
      { code: "EVENT_ID_USED" },
    );
    t.same(await collect(writer.readAggregate("a:1")), []);
  },
  "an id that was rolled back is free": async (t, { open }) => {
    const writer = await open();
    await t.rejects(writer.transaction("fails", async (txn) => {
      await txn.append("a:1", [event("one")]);
      throw new RangeError("no");
    }));
    t.equal((await append(writer, [event("one", { n: 9 })])).result, 1);
  },
  "the same at once is appended once": async (t, { open }) => {
    const writer = await open();
    const commits = await Promise.all(
      range(1, 8).map(() =>
        writer.transaction(
          "append",
          (txn) => txn.append("a:1", [event("one")]),
          { maxAttempts: 20 },
        )
      ),
    );
    t.same(commits.map(({ result }) => result), range(1, 8).map(() => 1));
    t.equal(new Set(commits.map(({ token }) => token)).size, 1);
    t.equal((await collect(writer.readAggregate("a:1"))).length, 1);
  },
  "repeated by another writer, they are the first one's": {
    except: ["sqlite memory"],
    async run(t, { open }) {
      const [first, second] = [
        await open({ instance: "first" }),
        await open({ instance: "second" }),
      ];
      await append(first, [event("zero")]);
      const { instance, token } = await append(first, [event("one")]);
      t.match(await append(second, [event("one")]), { instance, token });
      const both = await second.transaction("both", async (txn) => {
        await txn.append("a:1", [event("one")]);
        await txn.append("a:1", [event("two")]);
      });
      t.equal(both.instance, "second", "what it appended itself is its own");
      await second.waitFor(both);
    },
  },
});
