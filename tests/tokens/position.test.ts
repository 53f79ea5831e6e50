// What may be waited for: a commit or a position, never a bare number.

import t from "tap";
import { toPosition } from "../../src/tokens/position.ts";

t.test("toPosition() takes a commit, with its result or without", (t) => {
  t.same([...toPosition({ instance: "master", token: 7 })], [["master", 7]]);
  const commit = { instance: "a", token: 0, result: "ok" };
  t.same([...toPosition(commit)], [["a", 0]]);
  t.end();
});

t.test("toPosition() takes a position", (t) => {
  const position = new Map([["a", 1], ["b", 2]]);
  t.same([...toPosition(position)], [["a", 1], ["b", 2]]);
  t.end();
});

t.test("toPosition() refuses everything else", (t) => {
  const targets = [
    7,
    null,
    undefined,
    {},
    { instance: "a" },
    { token: 1 },
    { instance: 1, token: 1 },
    { instance: "a", token: "1" },
    { instance: "a", token: 1n },
    { instance: "a", token: -1 },
    { instance: "a", token: 1.5 },
    new Map([["a", "1"]]),
    new Map([[1, 1]]),
  ];
  for (const target of targets) {
    t.throws(() => toPosition(target as never), { code: "INVALID_ARGUMENT" });
  }
  t.end();
});
