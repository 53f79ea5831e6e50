// Items of pages, one by one, as a generator would give them.

import t from "tap";
import { eachOf } from "../../src/events/each_of.ts";

/** Pages, and what their reader has done to them. */
function source(...pages: number[][]) {
  const seen = { fetched: 0, isEnded: false };
  async function* generate(): AsyncGenerator<readonly number[], void> {
    try {
      for (const page of pages) {
        await Promise.resolve();
        seen.fetched += 1;
        yield page;
      }
    } finally {
      seen.isEnded = true;
    }
  }
  return { seen, pages: generate() };
}

const same = (item: number) => item;

t.test("eachOf() gives every item once, in order", async (t) => {
  const { pages, seen } = source([], [1], [], [2, 3], [4], []);
  const items: number[] = [];
  for await (const item of eachOf(pages, (item) => item * 10)) items.push(item);
  t.same(items, [10, 20, 30, 40]);
  t.ok(seen.isEnded);
});

t.test("eachOf() answers those who ask at once in their order", async (t) => {
  const items = eachOf(source([1, 2], [3], [4, 5]).pages, same);
  const asked = Array.from({ length: 7 }, () => items.next());
  const values = (await Promise.all(asked)).map(({ value }) => value);
  t.same(values, [1, 2, 3, 4, 5, undefined, undefined]);
  t.same(await items.next(), { value: undefined, done: true });
});

t.test("eachOf() fetches a page when it is needed, and no more when its reader stops", async (t) => {
  const { pages, seen } = source([1, 2], [3]);
  t.equal(seen.fetched, 0);
  for await (const item of eachOf(pages, same)) {
    t.equal(seen.fetched, 1);
    if (item === 2) break;
  }
  t.equal(seen.fetched, 1);
  t.ok(seen.isEnded, "the source is closed");
});

for (
  const [what, bad, given] of [["first", 1, []], ["second", 2, [1]]] as const
) {
  t.test(`eachOf() ends with what its conversion throws at the ${what} item`, async (t) => {
    const { pages, seen } = source([1, 2, 3]);
    const items = eachOf(pages, (item) => {
      if (item === bad) throw new Error(`not ${item}`);
      return item;
    });
    const got: number[] = [];
    await t.rejects(
      async () => {
        for await (const item of items) got.push(item);
      },
      { message: `not ${bad}` },
    );
    t.same(got, given);
    t.ok(seen.isEnded);
    t.same(await items.next(), { value: undefined, done: true });
  });
}

t.test("eachOf() ends with what its source throws", async (t) => {
  // deno-lint-ignore require-yield
  async function* failing(): AsyncGenerator<readonly number[], void> {
    await Promise.resolve();
    throw new Error("no page");
  }
  const items = eachOf(failing(), same);
  await t.rejects(items.next(), { message: "no page" });
  t.same(await items.next(), { value: undefined, done: true });
});
