// What a change cache says, against Synapse's own cases, and against the
// simplest thing that can be said: a list of all that has ever changed.

import fc from "fast-check";
import t from "tap";
import { ChangeCache } from "../../src/caches/change_cache.ts";

t.test("A220 a prefilled cache knows what it was given", (t) => {
  const cache = new ChangeCache({
    earliestKnown: 1,
    prefill: new Map([["user", 2]]),
  });
  t.equal(cache.hasChanged("user", 1), true);
  t.equal(cache.hasChanged("user", 2), false);
  t.end();
});

t.test("A221 hasChanged() of known, unknown and forgotten", (t) => {
  const cache = new ChangeCache({ earliestKnown: 3 });
  cache.changed("a", 6);
  cache.changed("b", 7);
  cache.changed("c", 8);
  cache.changed("d", 8);
  t.equal(cache.hasChanged("a", 4), true);
  t.equal(cache.hasChanged("a", 6), false, "at its own token");
  t.equal(cache.hasChanged("a", 7), false, "later");
  t.equal(cache.hasChanged("unknown", 9), false);
  t.equal(cache.hasChanged("unknown", 3), false, "earliestKnown is known");
  for (const token of [0, 2]) {
    t.equal(cache.hasChanged("a", token), true, `nobody knows at ${token}`);
    t.equal(cache.hasChanged("unknown", token), true);
  }
  t.same(cache.stats, { entities: 4, positions: 3, hits: 5, misses: 4 });
  t.end();
});

t.test("A222 the size counts tokens, and the lowest is forgotten", (t) => {
  const cache = new ChangeCache({ earliestKnown: 1, maxPositions: 2 });
  cache.changed("a", 2);
  cache.changed("b", 3);
  cache.changed("c", 4);
  t.equal(cache.earliestKnown, 2);
  t.equal(cache.lastChange("a"), undefined);
  t.same(cache.allChangedSince(2), ["b", "c"]);
  t.equal(cache.allChangedSince(1), undefined);
  cache.changed("b", 5);
  t.same(cache.allChangedSince(2), ["c", "b"], "marked again, it moves");
  t.equal(cache.earliestKnown, 2, "its old token takes no room");
  cache.changed("d", 5);
  cache.changed("e", 5);
  t.same(cache.allChangedSince(2), ["c", "b", "d", "e"], "one token, three");
  t.end();
});

t.test("A223 allChangedSince() is ordered by token", (t) => {
  const cache = new ChangeCache({ earliestKnown: 1 });
  cache.changed("a", 2);
  cache.changed("c", 4);
  cache.changed("b", 3);
  t.same(cache.allChangedSince(1), ["a", "b", "c"], "told in another order");
  t.same(cache.allChangedSince(2), ["b", "c"]);
  t.same(cache.allChangedSince(4), []);
  t.equal(cache.allChangedSince(0), undefined);
  t.end();
});

t.test("A224 hasAnyChanged()", (t) => {
  const cache = new ChangeCache({ earliestKnown: 1 });
  const answers = () => [0, 1, 2, 3].map((token) => cache.hasAnyChanged(token));
  t.same(answers(), [true, false, false, false], "nothing is known at 0");
  cache.changed("a", 2);
  t.same(answers(), [true, true, false, false]);
  t.end();
});

t.test("A225 changedSince() of some", (t) => {
  const cache = new ChangeCache({ earliestKnown: 1 });
  const all = ["a", "b", "c", "unknown"];
  t.same([...cache.changedSince(all, 1)], all, "it knows of no change at all");
  cache.changed("a", 2);
  cache.changed("b", 3);
  cache.changed("c", 40);
  const ways = [
    (some: string[]) => some,
    (some: string[]) => new Set(some),
    // More than have changed: the newest are looked through instead.
    (some: string[]) => new Set([...some, "x", "y", "z", "v", "w"]),
  ];
  for (const way of ways) {
    const since = (token: number) =>
      [...cache.changedSince(way(all), token)].sort();
    t.same(since(2), ["b", "c"]);
    t.same(since(3), ["c"]);
    t.same(since(40), []);
    t.same(since(0), [...way(all)].sort(), "too long ago");
  }
  const generated = (function* () {
    yield "b";
    yield "b";
  })();
  t.same(
    [...cache.changedSince(generated, 1)],
    ["b"],
    "whatever can be gone through",
  );
  t.end();
});

t.test("A226 lastChange()", (t) => {
  const cache = new ChangeCache({ earliestKnown: 1 });
  cache.changed("a", 2);
  t.equal(cache.lastChange("a"), 2);
  cache.changed("a", 3);
  cache.changed("a", 2);
  t.equal(cache.lastChange("a"), 3, "an earlier one says nothing new");
  cache.changed("b", 4);
  t.equal(cache.lastChange("b"), 4);
  t.equal(cache.lastChange("unknown"), undefined);
  cache.changed("unknown", 1);
  t.equal(cache.lastChange("unknown"), undefined, "not after earliestKnown");
  t.end();
});

t.test("A227 allChanged()", (t) => {
  const cache = new ChangeCache({ earliestKnown: 1 });
  for (const token of [2, 3, 4]) cache.changed(`user${token}`, token);
  cache.changed("later", 7);
  cache.allChanged(5);
  for (const entity of ["user2", "user4", "unknown"]) {
    t.equal(cache.hasChanged(entity, 4), true);
    t.equal(cache.hasChanged(entity, 5), false);
  }
  t.equal(cache.hasChanged("later", 5), true, "what came after stands");
  cache.allChanged(3);
  t.equal(cache.earliestKnown, 5, "it never goes back");
  t.end();
});

t.test("maxEntities: a token that has too many is forgotten whole", (t) => {
  const cache = new ChangeCache<number>({ earliestKnown: 0, maxEntities: 3 });
  cache.changed(0, 1);
  for (let entity = 1; entity <= 4; entity += 1) cache.changed(entity, 2);
  t.equal(cache.earliestKnown, 2);
  t.equal(cache.stats.entities, 0);
  t.equal(cache.hasChanged(4, 1), true);
  t.equal(cache.hasChanged(4, 2), false);
  t.end();
});

t.test("resize() forgets at once", (t) => {
  const cache = new ChangeCache({ earliestKnown: 0 });
  for (const token of [1, 2, 3, 4]) cache.changed(`e${token}`, token);
  cache.resize({ maxPositions: 2 });
  t.equal(cache.earliestKnown, 2);
  cache.resize({ maxEntities: 1 });
  t.same(cache.allChangedSince(3), ["e4"]);
  t.same(cache.stats.positions, 1);
  t.end();
});

t.test("what is no token", (t) => {
  const cache = new ChangeCache({ earliestKnown: 0 });
  t.equal(cache.hasChanged("a", NaN), true, "nobody knows");
  t.equal(cache.allChangedSince(NaN), undefined);
  for (const token of [NaN, -1, 1.5, Infinity]) {
    t.throws(() => cache.changed("a", token), { code: "INVALID_ARGUMENT" });
    t.throws(() => cache.allChanged(token), { code: "INVALID_ARGUMENT" });
    t.throws(() => new ChangeCache({ earliestKnown: token }), {
      code: "INVALID_ARGUMENT",
    });
  }
  const options = { earliestKnown: 0, maxPositions: 0 };
  t.throws(() => new ChangeCache(options), { code: "INVALID_ARGUMENT" });
  t.end();
});

/** All that has ever changed, and what of it is forgotten. */
class Model {
  readonly changes: [entity: number, token: number][] = [];
  earliestKnown = 0;
  readonly maxPositions: number;
  readonly maxEntities: number;

  constructor(maxPositions: number, maxEntities: number) {
    this.maxPositions = maxPositions;
    this.maxEntities = maxEntities;
  }

  last(entity: number): number {
    const tokens = this.changes.filter(([e]) => e === entity)
      .map(([, token]) => token);
    return Math.max(-1, ...tokens.filter((at) => at > this.earliestKnown));
  }

  known(): [number, number][] {
    return Array.from({ length: 6 }, (_, e): [number, number] => [
      e,
      this.last(e),
    ]).filter(([, token]) => token > 0);
  }

  forget(): void {
    while (
      new Set(this.known().map(([, token]) => token)).size >
        this.maxPositions || this.known().length > this.maxEntities
    ) {
      this.earliestKnown = Math.min(...this.known().map(([, token]) => token));
    }
  }
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      is: fc.constant("changed" as const),
      entity: fc.nat(5),
      token: fc.nat(12),
    }),
  },
  fc.record({ is: fc.constant("all" as const), token: fc.nat(12) }),
);

t.test("says what a list of all changes says, in any order of tokens", (t) => {
  const some = fc.uniqueArray(fc.nat(7), { minLength: 1 });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 40 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 6 }),
      some,
      (steps, maxPositions, maxEntities, asked) => {
        const cache = new ChangeCache<number>({
          earliestKnown: 0,
          maxPositions,
          maxEntities,
        });
        const model = new Model(maxPositions, maxEntities);
        for (const each of steps) {
          if (each.is === "all") {
            cache.allChanged(each.token);
            model.earliestKnown = Math.max(model.earliestKnown, each.token);
          } else {
            cache.changed(each.entity, each.token);
            model.changes.push([each.entity, each.token]);
            model.forget();
          }
          compare(cache, model, asked);
        }
      },
    ),
    { numRuns: 300 },
  );
  t.pass("300 histories");
  t.end();
});

function compare(
  cache: ChangeCache<number>,
  model: Model,
  asked: number[],
): void {
  const known = model.known();
  expect(cache.earliestKnown, model.earliestKnown);
  expect(cache.stats.entities, known.length);
  expect(cache.stats.positions, new Set(known.map(([, at]) => at)).size);
  for (let token = 0; token <= 13; token += 1) {
    const isKnown = token >= model.earliestKnown;
    const has = (entity: number) => !isKnown || model.last(entity) > token;
    for (const entity of asked) {
      expect(cache.hasChanged(entity, token), has(entity));
    }
    const isAll = !isKnown || known.length === 0;
    const changed = asked.filter((entity) => isAll || has(entity)).sort();
    expect([...cache.changedSince(asked, token)].sort(), changed);
    expect([...cache.changedSince(new Set(asked), token)].sort(), changed);
    expect(
      cache.hasAnyChanged(token),
      !isKnown || known.some(([, at]) => at > token),
    );
    const all = cache.allChangedSince(token);
    const newer = known.filter(([, at]) => at > token);
    expect(
      all?.toSorted(),
      isKnown ? newer.map(([entity]) => entity).sort() : undefined,
    );
    const tokens = all?.map((entity) => model.last(entity)) ?? [];
    expect(tokens, tokens.toSorted((a, b) => a - b));
  }
}

function expect(found: unknown, wanted: unknown): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new TypeError(`found ${a}, wanted ${b}`);
}
