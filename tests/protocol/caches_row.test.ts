// The short way of reading a row gives what JSON.parse would give, for every
// row: the common form, and all that only looks like it.

import t from "tap";
import {
  formatCachesRow,
  type InvalidationSink,
  readCachesRow,
} from "../../src/protocol/caches_row.ts";
import { encodeJson } from "../../src/runtime/json.ts";
import type { KeyPart } from "../../src/streams/builtin_streams.ts";
import { type Seeded, seeded, shown } from "../support/seeded.ts";

/** What a sink was told, as text; a key of one part is a list, too. */
function read(row: string): { isRow: boolean; told: string[] } {
  const told: string[] = [];
  const sink: InvalidationSink = {
    apply: (name, key) => told.push(JSON.stringify([name, key])),
    applyOne: (name, part) => told.push(JSON.stringify([name, [part]])),
  };
  return { isRow: readCachesRow(row, sink), told };
}

t.test("readCachesRow() reads what JSON.parse reads", (t) => {
  const random = seeded(5);
  const wrong: string[] = [];
  for (let round = 0; round < 20_000; round += 1) {
    const name = random.text(3);
    const key = makeKey(random);
    const value = [name, key, random.below(2 ** 31)];
    // As Headwater writes it, and as another sender may.
    for (const row of [encodeJson(value), JSON.stringify(value)]) {
      const { isRow, told } = read(row);
      if (!isRow || told.join() !== JSON.stringify([name, key])) {
        wrong.push(shown(row));
      }
    }
  }
  t.same(wrong, []);
  t.end();
});

t.test("formatCachesRow() writes what JSON.stringify writes", (t) => {
  const random = seeded(6);
  const keys: (KeyPart[] | null)[] = [[0], [-0], [-7], [2 ** 53], [0.5], null];
  for (let round = 0; round < 10_000; round += 1) keys.push(makeKey(random));
  const wrong = keys
    .map((key) => [random.text(3), key, random.below(2 ** 31)] as const)
    .filter((row) => formatCachesRow(...row) !== encodeJson(row));
  t.same(wrong, []);
  t.end();
});

t.test("readCachesRow() has a short way for keys of one string", (t) => {
  const parts: KeyPart[] = [];
  const sink: InvalidationSink = {
    apply: () => t.fail("took the long way"),
    applyOne: (_name, part) => void parts.push(part),
  };
  for (const part of ["@bob:example.com", "", "a b", "[,]"]) {
    readCachesRow(encodeJson(["get_user", [part], 1]), sink);
  }
  t.same(parts, ["@bob:example.com", "", "a b", "[,]"]);
  t.end();
});

t.test("readCachesRow() takes other spellings of the same row", (t) => {
  for (
    const row of [
      ' [ "get_user" , [ "a" ] , 1 ]',
      '["get_user", ["a"], 1]',
      '["get_user",["\\u0061"],1]',
      '["get\\u005fuser",["a"],1]',
      '["get_user",["a"],1,"more"]',
      '["get_user",["a"]]',
    ]
  ) t.same(read(row), { isRow: true, told: ['["get_user",["a"]]'] }, row);
  t.end();
});

t.test("readCachesRow() tells what is no row of the stream", (t) => {
  for (
    const row of [
      "",
      "null",
      "5",
      "{}",
      "[]",
      '["get_user"]',
      '["get_user","a",1]',
      '["get_user",{"0":"a"},1]',
      '[5,["a"],1]',
      '[null,["a"],1]',
      '["get_user',
      '["get_user",["a',
    ]
  ) t.same(read(row), { isRow: false, told: [] }, row);
  t.end();
});

function makeKey(random: Seeded): KeyPart[] | null {
  const part = (): KeyPart =>
    random.pick([
      () => random.text(4),
      () => random.text(4),
      () => random.below(1_000) / 8,
      () => random.below(2) === 0,
      () => null,
    ])();
  switch (random.below(4)) {
    case 0:
      return null;
    case 1:
      return random.list(3, part);
    default:
      return [random.text(5)];
  }
}
