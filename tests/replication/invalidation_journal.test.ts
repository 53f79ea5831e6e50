// What is remembered of invalidations, and for how long.

import t from "tap";
import { z } from "zod";
import { defineCacheGroup } from "../../mod.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import type { InvalidationRun } from "../../src/protocol/command.ts";
import {
  InvalidationJournal,
  type JournalOptions,
} from "../../src/replication/invalidation_journal.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import type { Token } from "../../src/tokens/token.ts";
import { manualClock } from "../support/manual_clock.ts";

const broken = defineCacheGroup("broken", z.tuple([z.string()]), () => {
  throw new Error("no");
});

function open(options: JournalOptions = {}) {
  const clock = manualClock(1_000);
  const caches = new CacheRegistry([broken], silentLogger);
  const journal = new InvalidationJournal(caches, clock, options);
  let token = 0;
  /** One transaction, one ms after the last. */
  const apply = (name: string, ...keys: InvalidationRun["keys"]) => {
    clock.advance(1);
    token += 1;
    journal.applied({
      instance: "master",
      token: token as Token,
      records: [],
      invalidations: [{ name, ms: 7, keys }],
    });
  };
  const last = (key: string | (string | number | null)[], isTree = false) =>
    journal.find("c", typeof key === "string" ? [key] : key, isTree);
  return { clock, journal, apply, last };
}

t.test("a key is itself; its beginning is it in a tree only", (t) => {
  const { apply, last } = open();
  apply("c", ["a"], ["a", 1], ["a", 1, null]);
  apply("other", "b", ["b", 1]);
  t.match(last(["a", 1]), { by: "key", row: ["c", ["a", 1], 7], token: 1 });
  t.match(last(["a", 2], true), { by: "prefix", row: ["c", ["a"], 7] });
  t.equal(last(["a", 2]), undefined);
  t.equal(last(["a", "1"]), undefined);
  t.equal(last(["b", 1], true), undefined, "another cache's");
  apply("c", "a", null);
  t.match(last(["a", 2]), { by: "cache", row: ["c", null, 7], token: 3 });
  t.end();
});

t.test("the last row of a transaction that names it is told", (t) => {
  const { apply, last } = open();
  apply("c", "a", "b", ["a"]);
  t.match(last("a"), { by: "key", token: 1, atMs: 1_001 });
  apply("c", ["t"], ["t", 1]);
  t.match(last(["t", 1], true), { by: "key" });
  apply("broken", "x");
  t.match(last("a"), {
    by: "flush",
    row: ["broken", ["x"], 7],
    reason: "what it stands for is not known",
  });
  t.end();
});

t.test("rows from the log and from catch-ups are remembered as they came", (t) => {
  const { journal, last } = open();
  const lines = ['["c",["a"],5]', '["c",["b",null],5]'];
  const record = { stream: "caches", lines } as never;
  const token = 4 as Token;
  journal.applied({ instance: "i", token, records: [record] });
  t.match(last("a"), {
    by: "key",
    instance: "i",
    token: 4,
    after: undefined,
    row: ["c", ["a"], 5],
  });
  t.match(last(["b", null]), { by: "key", token: 4 });
  const joined = '["c",["a"],6]\n["d",6,["a",["b",null]],"f",6,["a"]]';
  const upTo = 9 as Token;
  journal.steppedTo("i", upTo, { after: token, joined, cleared: ["e"] });
  t.match(last("a"), { by: "key", token: 9, after: 4, row: ["c", ["a"], 6] });
  t.match(journal.find("e", ["x"], false), { by: "cache", token: 9, after: 4 });
  t.match(journal.find("f", ["a"], false), { row: ["f", ["a"], 6] });
  const before = journal.find("d", ["b", null], false);
  t.match(before, { by: "key", row: ["d", ["b", null], 6] });
  journal.steppedTo("i", upTo, { after: upTo, joined: "", cleared: [] });
  const after = journal.find("d", ["b", null], false);
  t.same(after, before, "nothing is nothing");
  journal.flushed({ reason: "why not" });
  t.match(last("a"), {
    by: "flush",
    reason: "why not",
    instance: undefined,
    token: undefined,
  });
  t.end();
});

t.test("what there is no room for is forgotten, and it is said since when", (t) => {
  const { apply, last, journal } = open({ maxJournalTransactions: 3 });
  t.equal(journal.sinceMs, 1_000);
  for (const key of ["a", "b", "c"]) apply("c", key);
  t.equal(journal.sinceMs, 1_000);
  t.match(last("a"), { token: 1 });
  for (const key of ["d", "e"]) apply("c", key);
  t.equal(last("a"), undefined);
  t.equal(last("b"), undefined);
  t.match(last("c"), { token: 3 });
  t.match(last("e"), { token: 5 });
  t.equal(journal.sinceMs, 1_002, "when the last that is forgotten was done");
  t.end();
});

t.test("a writer's transaction, which has its rows too, counts once", (t) => {
  const { journal, last } = open({ maxJournalTransactions: 2 });
  for (const [at, key] of ["a", "b"].entries()) {
    const token = at + 1 as Token;
    journal.applied({
      instance: "master",
      token,
      records: [],
      invalidations: [{ name: "c", ms: 7, keys: [key] }],
    });
  }
  t.match(last("a"), { token: 1 });
  t.match(last("b"), { token: 2 });
  t.end();
});

t.test("its bytes are bounded, long keys and many of them", (t) => {
  const { apply, last, journal } = open({ maxJournalBytes: 4_096 });
  apply("c", "first");
  apply("c", "x".repeat(2_000));
  apply("c", "y".repeat(2_000));
  t.equal(last("first"), undefined);
  t.match(last("y".repeat(2_000)), { token: 3 });
  apply("c", "second");
  apply("c", ...Array.from({ length: 1_000 }, (_, key) => `k${key}`));
  t.equal(last("second"), undefined);
  t.equal(last("k1"), undefined, "alone it is more than all the room");
  t.equal(journal.sinceMs, 1_005);
  apply("c", "third", ["a", "b"]);
  t.match(last("third"), { token: 6 });
  t.end();
});
