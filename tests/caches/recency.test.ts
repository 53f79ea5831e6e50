// The order of use, and walking through it while it changes.

import t from "tap";
import { type Linked, Recency } from "../../src/caches/recency.ts";

class Node implements Linked<Node> {
  readonly name: string;
  newer: Node = this;
  older: Node = this;

  constructor(name: string) {
    this.name = name;
  }
}

function makeOrder(names: string): {
  order: Recency<Node>;
  nodes: Record<string, Node>;
} {
  const order = new Recency(new Node("anchor"));
  const nodes: Record<string, Node> = {};
  for (const name of names) order.add(nodes[name] = new Node(name));
  return { order, nodes };
}

const walked = (order: Recency<Node>, isOldestFirst: boolean) =>
  [...order.walk(isOldestFirst)].map(({ name }) => name).join("");

t.test("what was used last goes last", (t) => {
  const { order, nodes } = makeOrder("abcd");
  t.equal(walked(order, true), "abcd");
  order.use(nodes.b as Node);
  order.use(nodes.b as Node);
  t.equal(walked(order, true), "acdb");
  t.equal(walked(order, false), "bdca");
  order.remove(nodes.c as Node);
  t.equal(walked(order, true), "adb");
  t.equal(order.oldest, nodes.a);
  order.clear();
  t.equal(walked(order, true), "");
  t.equal(order.oldest, undefined);
  t.end();
});

t.test("a walk that rests at what is taken out keeps nothing else alive", (t) => {
  const { order, nodes } = makeOrder("abcd");
  const walk = order.walk(true);
  t.equal(walk.next().value?.name, "a");
  const { a, b, c } = nodes as { a: Node; b: Node; c: Node };
  for (const node of [a, b, c]) order.remove(node);
  // Else each would lead to the one that was taken out next, and so on.
  t.equal(a.newer, a);
  t.equal(a.older, a);
  t.ok(walk.next().done);
  t.equal(walked(order, true), "d");
  order.add(a);
  t.equal(walked(order, true), "da", "and it can come back");
  t.end();
});
