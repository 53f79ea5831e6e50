// Transactions that PostgreSQL gives up for others' sake, for real: they are
// run again, as if the earlier runs had never been; and when that does not
// help, or would not, the caller is told.

import { sql } from "kysely";
import t, { type Test } from "tap";
import { HeadwaterError } from "../../mod.ts";
import { freshlySeeded } from "../support/seeded.ts";
import {
  ACCOUNTS,
  add,
  amountOf,
  leaveTraces,
  openAccounts,
  openWriter,
  readAmount,
  readTraces,
  setAmount,
  START_AMOUNT,
  type Txn,
  type Writer,
} from "./accounts.ts";

type Options = Parameters<Writer["transaction"]>[2];

/** What another does, and commits, between a transaction's read and its write. */
interface Meddling {
  readonly isolation: "serializable" | "repeatable read";
  readonly meddle: (txn: Txn) => Promise<void>;
  /** What the transaction does before and after. */
  readonly read: (txn: Txn) => Promise<number>;
  readonly write: (txn: Txn, seen: number) => Promise<void>;
  /** The amounts of the first two accounts. */
  readonly result: readonly [number, number];
}

const MEDDLINGS: Readonly<Record<string, Meddling>> = {
  "the row was written meanwhile (repeatable read)": {
    isolation: "repeatable read",
    meddle: (txn) => setAmount(txn, 1, 7),
    read: (txn) => amountOf(txn, 1),
    write: (txn, seen) => setAmount(txn, 1, seen + 1),
    result: [8, START_AMOUNT],
  },
  "the row was written meanwhile (serializable)": {
    isolation: "serializable",
    meddle: (txn) => setAmount(txn, 1, 7),
    read: (txn) => amountOf(txn, 1),
    write: (txn, seen) => setAmount(txn, 1, seen + 1),
    result: [8, START_AMOUNT],
  },
  // Each writes what the other has read: neither order gives both.
  "what was read was written meanwhile (serializable)": {
    isolation: "serializable",
    meddle: async (txn) => setAmount(txn, 1, await amountOf(txn, 2) + 5),
    read: (txn) => amountOf(txn, 1),
    write: (txn, seen) => setAmount(txn, 2, seen + 1),
    result: [START_AMOUNT + 5, START_AMOUNT + 6],
  },
  // It fails with its commit only, when it has asked for a token.
  "what was read and written was read and written meanwhile (serializable)": {
    isolation: "serializable",
    meddle: async (txn) => setAmount(txn, 1, await amountOf(txn, 2) + 5),
    read: async (txn) => {
      const seen = await amountOf(txn, 1);
      await setAmount(txn, 2, seen + 1);
      return seen;
    },
    write: () => Promise.resolve(),
    result: [START_AMOUNT + 5, START_AMOUNT + 6],
  },
};

for (const [what, meddling] of Object.entries(MEDDLINGS)) {
  t.test(`run again: ${what}`, async (t) => {
    const { writer } = await openAccounts(t);
    const { isolation, meddle, read, write, result } = meddling;
    const { retries, rollbacks } = writer.stats;
    const calls: string[] = [];
    const commit = await writer.transaction("conflict", async (txn) => {
      await leaveTraces(txn, calls);
      const seen = await read(txn);
      if (txn.attempt === 1) {
        await writer.transaction("meddle", meddle, { isolation });
      }
      await write(txn, seen);
      return `by run ${txn.attempt}`;
    }, { isolation });
    t.match(commit, { attempts: 2, result: "by run 2" });
    t.same(calls, ["run 1", "rolled back 1", "run 2", "committed 2"]);
    t.same(await readTraces(writer), { events: [2], keys: [[2]] });
    t.same(
      [await readAmount(writer, 1), await readAmount(writer, 2)],
      result,
      "as if one had been after the other",
    );
    t.match(writer.stats, { retries: retries + 1, rollbacks: rollbacks + 1 });
    t.equal(
      writer.position.get("master"),
      commit.token,
      "the first run's token is in nobody's way",
    );
  });
}

for (const stores of ["one store", "two stores"]) {
  t.test(`run again: a deadlock of ${stores}`, async (t) => {
    const { database, writer } = await openAccounts(t);
    const other = stores === "one store"
      ? writer
      : await openWriter(t, database, { instance: "other" });
    const bothHold = barrier(2);
    const cross = async (by: Writer, from: number, to: number) => {
      const calls: string[] = [];
      const commit = await by.transaction("cross", async (txn) => {
        const { attempt } = txn;
        calls.push(`run ${attempt}`);
        txn.afterCommit(() => calls.push(`committed ${attempt}`));
        txn.afterRollback(() => calls.push(`rolled back ${attempt}`));
        await txn.append(`from ${from}`, [{ type: "run", data: attempt }]);
        await add(txn, from, -10);
        if (attempt === 1) await bothHold();
        await add(txn, to, 30);
      });
      return { commit, calls };
    };
    const done = await Promise.all([cross(writer, 1, 2), cross(other, 2, 1)]);
    done.sort((a, b) => a.commit.attempts - b.commit.attempts);
    t.same(done.map(({ commit }) => commit.attempts), [1, 2], "one gave way");
    t.same(done[0]?.calls, ["run 1", "committed 1"]);
    t.same(done[1]?.calls, ["run 1", "rolled back 1", "run 2", "committed 2"]);
    t.same(
      [await readAmount(writer, 1), await readAmount(writer, 2)],
      [START_AMOUNT + 20, START_AMOUNT + 20],
    );
    for (const id of [1, 2]) {
      let events = 0;
      for await (const _ of writer.readAggregate(`from ${id}`)) events += 1;
      t.equal(events, 1);
    }
  });
}

/** Resolves for all once so many have come. */
function barrier(count: number): () => Promise<void> {
  let missing = count;
  let open = () => {};
  const opened = new Promise<void>((resolve) => open = resolve);
  return () => {
    missing -= 1;
    if (missing === 0) open();
    return opened;
  };
}

/** Fails each time: whatever it reads is written before it writes itself. */
function losing(
  writer: Writer,
  calls: string[],
  options: Options,
): Promise<unknown> {
  return writer.transaction("lose", async (txn) => {
    await leaveTraces(txn, calls);
    const seen = await amountOf(txn, 1);
    await writer.transaction("win", (winner) => add(winner, 1, 1));
    await setAmount(txn, 1, seen + 1_000);
  }, options).catch((error) => error);
}

for (
  const [where, maxAttempts, store, options] of [
    ["by default", 5, {}, {}],
    ["as the store says", 2, { maxAttempts: 2 }, {}],
    ["as the transaction says", 3, { maxAttempts: 2 }, { maxAttempts: 3 }],
    ["once only", 1, {}, { maxAttempts: 1 }],
  ] as const
) {
  t.test(`run in vain: ${maxAttempts} times, ${where}`, async (t) => {
    const { writer } = await openAccounts(t, store);
    const { retries, rollbacks, commits } = writer.stats;
    const calls: string[] = [];
    const isolation = "repeatable read";
    const error = await losing(writer, calls, { isolation, ...options });
    t.same(
      calls,
      Array.from({ length: maxAttempts }, (_, index) => [
        `run ${index + 1}`,
        `rolled back ${index + 1}`,
      ]).flat(),
    );
    t.match(writer.stats, {
      retries: retries + maxAttempts - 1,
      rollbacks: rollbacks + maxAttempts,
      commits: commits + maxAttempts,
    });
    t.same(await readTraces(writer), { events: [], keys: [] });
    t.equal(await readAmount(writer, 1), START_AMOUNT + maxAttempts);
    checkInVain(t, error, "lose", maxAttempts);
  });
}

t.test("run in vain: an append to an aggregate that others append to", async (t) => {
  const { writer } = await openAccounts(t);
  const appendTo = (name: string, between: (txn: Txn) => Promise<unknown>) =>
    writer.transaction(name, async (txn) => {
      await txn.append("a", [{ type: name }]);
      await between(txn);
    }, { maxAttempts: 2 });
  const error = await appendTo("lose", () => appendTo("win", async () => {}))
    .catch((caught) => caught);
  checkInVain(t, error, "lose", 2);
  const types: string[] = [];
  for await (const { type } of writer.readAggregate("a")) types.push(type);
  t.same(types, ["win", "win"]);
});

/** It says what failed, and how often it was tried. */
function checkInVain(
  t: Test,
  error: unknown,
  name: string,
  attempts: number,
): void {
  t.ok(error instanceof HeadwaterError, `it is clear: ${error}`);
  t.match(error, {
    code: "DATABASE_BUSY",
    message: new RegExp(
      `^Cannot run "${name}".* ${attempts} (?:time|attempt|run|tr)`,
    ),
  });
}

/** What a second run would not mend, or must not hide. */
const HOPELESS: Readonly<
  Record<string, [(txn: Txn) => Promise<unknown>, Record<string, unknown>]>
> = {
  "a constraint": [
    ({ db }) =>
      db.insertInto("accounts").values({ id: 1, amount: 0 }).execute(),
    { code: "23505" },
  ],
  "a mistake in SQL": [({ db }) => sql`SELEKT 1`.execute(db), {
    code: "42601",
  }],
  "an error of the function's own": [
    () => Promise.reject(new RangeError("mine")),
    { name: "RangeError", message: "mine" },
  ],
  "an error of Headwater's": [
    (txn) => txn.append("a", [{ type: "x" }], { expectedVersion: 9 }),
    { code: "VERSION_CONFLICT" },
  ],
  // Of the same class as a serialization failure, and not one.
  "an integrity constraint of the transaction": [
    ({ db }) => sql`DO $$ BEGIN RAISE SQLSTATE '40002'; END $$`.execute(db),
    { code: "40002" },
  ],
};

t.test("not run again", async (t) => {
  const { writer } = await openAccounts(t);
  const { retries, rollbacks } = writer.stats;
  let failed = 0;
  for (const isolation of ["read committed", "serializable"] as const) {
    for (const [what, [fail, expected]] of Object.entries(HOPELESS)) {
      const calls: string[] = [];
      const failing = writer.transaction("fail", async (txn) => {
        await leaveTraces(txn, calls);
        await fail(txn);
      }, { isolation });
      const error = await failing.catch((caught) => caught);
      t.match(error, expected, `${what} (${isolation})`);
      t.same(calls, ["run 1", "rolled back 1"]);
      failed += 1;
    }
  }
  t.match(writer.stats, { retries, rollbacks: rollbacks + failed });

  await t.test("a conflict that the function keeps to itself", async (t) => {
    const calls: string[] = [];
    const swallowed = writer.transaction("swallow", async (txn) => {
      await leaveTraces(txn, calls);
      const seen = await amountOf(txn, 1);
      await writer.transaction("win", (winner) => add(winner, 1, 1));
      await setAmount(txn, 1, seen + 1_000).catch(() => {});
    }, { isolation: "repeatable read" });
    await t.rejects(swallowed, {
      code: "TRANSACTION_ENDED",
      message: /a statement failed, .*; let the error through/,
    });
    t.same(calls, ["run 1", "rolled back 1"]);
    t.equal(await readAmount(writer, 1), START_AMOUNT + 1);
  });
  t.same(await readTraces(writer), { events: [], keys: [] });
});

t.test("many transfers at once, in every isolation level", async (t) => {
  const { writer } = await openAccounts(t, { maxAttempts: 1_000 });
  const seeded = freshlySeeded(t);
  const { retries } = writer.stats;
  const moved = new Map(ACCOUNTS.map((id) => [id, START_AMOUNT]));
  const runs = new Map<string, number>();
  let attempts = 0;
  const transfer = async (id: string) => {
    const isolation = seeded.pick(
      ["read committed", "repeatable read", "serializable"] as const,
    );
    const from = seeded.pick(ACCOUNTS);
    const to = seeded.pick(ACCOUNTS.filter((other) => other !== from));
    const amount = 1 + seeded.below(20);
    const commit = await writer.transaction("transfer", async (txn) => {
      runs.set(id, (runs.get(id) ?? 0) + 1);
      if (isolation === "read committed") {
        // It locks as it goes: a deadlock with whoever goes the other way.
        await add(txn, from, -amount);
        await add(txn, to, amount);
      } else {
        await setAmount(txn, from, await amountOf(txn, from) - amount);
        await setAmount(txn, to, await amountOf(txn, to) + amount);
      }
      await txn.append(id, [{ type: "transferred" }]);
      txn.afterCommit(() => {
        moved.set(from, (moved.get(from) as number) - amount);
        moved.set(to, (moved.get(to) as number) + amount);
      });
    }, { isolation });
    t.equal(commit.attempts, runs.get(id), `${id}: ${commit.attempts} runs`);
    attempts += commit.attempts;
  };
  const COUNT = 40;
  const ids = Array.from({ length: COUNT }, (_, index) => `transfer ${index}`);
  await Promise.all(ids.map(transfer));
  for (const [id, amount] of moved) {
    t.equal(await readAmount(writer, id), amount);
  }
  const appended: string[] = [];
  for await (const { aggregate } of writer.readEvents()) {
    appended.push(aggregate);
  }
  t.same(appended.toSorted(), ids.toSorted(), "each once");
  t.ok(attempts > COUNT, `${attempts} runs`);
  t.equal(writer.stats.retries, retries + attempts - COUNT);
});
