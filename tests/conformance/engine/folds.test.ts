// Aggregates, folded, with snapshots.

import { until } from "../../support/conditions.ts";
import { type CaseWriter, conform, range } from "./engines.ts";

async function fill(writer: CaseWriter, from: number, to: number) {
  for (const n of range(from, to)) {
    await writer.transaction(
      "fill",
      (txn) => txn.append("a:1", [{ type: "x", data: n }]),
    );
  }
}

/** Sums, and counts what it was given. */
function sums() {
  const seen: number[] = [];
  return {
    seen,
    reduce(sum: number, { data }: { data: unknown }): number {
      seen.push(data as number);
      return sum + (data as number);
    },
  };
}

conform("folds", {
  "of no events": async (t, { open }) => {
    const writer = await open();
    const { reduce } = sums();
    t.same(await writer.aggregate("a:1").fold(7, reduce), {
      state: 7,
      version: 0,
    });
  },
  "of all events": async (t, { open }) => {
    const writer = await open();
    await fill(writer, 1, 10);
    t.same(await writer.aggregate("a:1").fold(0, sums().reduce), {
      state: 55,
      version: 10,
    });
  },
  "up to a version": async (t, { open }) => {
    const writer = await open();
    await fill(writer, 1, 10);
    t.same(await writer.aggregate("a:1").fold(0, sums().reduce, { to: 4 }), {
      state: 10,
      version: 4,
    });
  },
  "go on from a snapshot": async (t, { open }) => {
    const writer = await open();
    await fill(writer, 1, 10);
    const aggregate = writer.aggregate("a:1");
    const options = { name: "sum", snapshotEvery: 5 };
    await aggregate.fold(0, sums().reduce, options);
    await fill(writer, 11, 12);
    const { seen, reduce } = sums();
    t.same(await aggregate.fold(0, reduce, options), {
      state: 78,
      version: 12,
    });
    t.same(seen, [11, 12]);
  },
  "store none before it is due": async (t, { open }) => {
    const writer = await open();
    await fill(writer, 1, 4);
    const aggregate = writer.aggregate("a:1");
    for (let round = 0; round < 2; round += 1) {
      const { seen, reduce } = sums();
      await aggregate.fold(0, reduce, { name: "sum", snapshotEvery: 5 });
      t.equal(seen.length, 4);
    }
  },
  "pass over another version's snapshot": async (t, { open }) => {
    const writer = await open();
    await fill(writer, 1, 6);
    const aggregate = writer.aggregate("a:1");
    const fold = (version: number) => {
      const { seen, reduce } = sums();
      return aggregate.fold(0, reduce, {
        name: "sum",
        version,
        snapshotEvery: 2,
      }).then((folded) => ({ ...folded, seen: seen.length }));
    };
    t.match(await fold(1), { state: 21, seen: 6 });
    t.match(await fold(1), { state: 21, seen: 0 });
    t.match(await fold(2), { state: 21, seen: 6 });
    t.match(await fold(2), { state: 21, seen: 0 });
    t.match(await fold(1), { state: 21, seen: 6 }, "the newer one stays");
    t.match(await fold(2), { state: 21, seen: 0 });
  },
  "in a transaction, which they don't wait for": async (t, { open }) => {
    const writer = await open();
    await fill(writer, 1, 6);
    const aggregate = writer.aggregate("a:1");
    const options = { name: "sum", snapshotEvery: 2 };
    const { result } = await writer.transaction("decide", async (txn) => {
      const folded = await aggregate.fold(0, sums().reduce, options);
      await txn.append("a:1", [{ type: "x", data: folded.state }]);
      return folded;
    });
    t.same(result, { state: 21, version: 6 });
    await until("the snapshot is stored all the same", async () => {
      const { seen, reduce } = sums();
      t.same(await aggregate.fold(0, reduce), { state: 42, version: 7 });
      await aggregate.fold(0, reduce, { name: "sum" });
      return seen.length === 8;
    });
  },
  "each reducer has its own": async (t, { open }) => {
    const writer = await open();
    await fill(writer, 1, 6);
    const aggregate = writer.aggregate("a:1");
    for (const name of ["sum", "other"]) {
      const { seen, reduce } = sums();
      await aggregate.fold(0, reduce, { name, snapshotEvery: 1 });
      t.equal(seen.length, 6);
    }
  },
  "an older version than the snapshot's": async (t, { open }) => {
    const writer = await open();
    await fill(writer, 1, 6);
    const aggregate = writer.aggregate("a:1");
    const options = { name: "sum", snapshotEvery: 1 };
    await aggregate.fold(0, sums().reduce, options);
    t.same(await aggregate.fold(0, sums().reduce, { ...options, to: 3 }), {
      state: 6,
      version: 3,
    });
  },
  "options that can't be": async (t, { open }) => {
    const writer = await open();
    const aggregate = writer.aggregate("a:1");
    for (
      const options of [
        { snapshotEvery: 1 },
        { name: "" },
        { name: "x", snapshotEvery: 0 },
        { name: "x", version: 0 },
      ]
    ) {
      await t.rejects(aggregate.fold(0, sums().reduce, options), {
        code: "INVALID_ARGUMENT",
      });
    }
  },
  "a state that JSON can't carry": async (t, { open }) => {
    const writer = await open();
    await fill(writer, 1, 3);
    const folding = writer.aggregate("a:1")
      .fold<unknown>(0, () => new Date(0), { name: "x", snapshotEvery: 1 });
    await t.rejects(folding, { code: "ROW_INVALID" });
  },
});
