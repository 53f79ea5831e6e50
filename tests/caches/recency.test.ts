// The order of use.

import t from "tap";
import { ANCHOR, Recency } from "../../src/caches/recency.ts";
import { seeded } from "../support/seeded.ts";

function walked(order: Recency, isOldestFirst: boolean): number[] {
  const slots: number[] = [];
  let slot = order.next(ANCHOR, isOldestFirst);
  for (; slot !== ANCHOR; slot = order.next(slot, isOldestFirst)) {
    slots.push(slot);
  }
  return slots;
}

t.test("what was used last goes last", (t) => {
  const order = new Recency();
  const [a, b, c, d] = [order.add(), order.add(), order.add(), order.add()];
  t.same(walked(order, true), [a, b, c, d]);
  order.use(b);
  order.use(b);
  t.same(walked(order, true), [a, c, d, b]);
  t.same(walked(order, false), [b, d, c, a]);
  order.demote(d);
  order.demote(d);
  t.same(walked(order, true), [d, a, c, b]);
  order.demote(b);
  t.same(walked(order, false), [c, a, d, b]);
  order.use(d);
  order.use(b);
  order.remove(c);
  t.same(walked(order, true), [a, d, b]);
  t.equal(order.add(), c, "a slot is used again");
  t.equal(order.oldest, a);
  order.clear();
  t.same(walked(order, true), []);
  t.equal(order.oldest, ANCHOR);
  t.end();
});

t.test("it behaves as a list would, through any changes", (t) => {
  const random = seeded(5);
  const order = new Recency();
  let list: number[] = [];
  for (let step = 0; step < 20_000; step += 1) {
    const action = random.below(10);
    const slot = list[random.below(Math.max(1, list.length))];
    if (action < 4 || slot === undefined) list.push(order.add());
    else {
      list = list.filter((other) => other !== slot);
      if (action < 6) {
        order.use(slot);
        list.push(slot);
      } else if (action < 8) {
        order.demote(slot);
        list.unshift(slot);
      } else order.remove(slot);
    }
    if (random.below(3_000) === 0) {
      order.clear();
      list = [];
    }
    if (step % 100 > 0) continue;
    t.same(walked(order, true), list);
    t.same(walked(order, false), [...list].reverse());
    t.equal(order.oldest, list[0] ?? ANCHOR);
  }
  t.end();
});
