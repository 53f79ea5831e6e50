// What the log's lines stand for.

import fc from "fast-check";
import t from "tap";
import { formatCachesRow } from "../../src/protocol/caches_row.ts";
import {
  formatRuns,
  readRuns,
  toInvalidatedKey,
} from "../../src/protocol/invalidations.ts";
import { toRows } from "../../src/protocol/logged_rows.ts";

const part = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
);
const key = fc.oneof(fc.constant(null), fc.array(part, { maxLength: 3 }));
const said = fc.array(
  fc.record({
    name: fc.oneof(
      fc.constantFrom("user", 'x",5', "\\", 'é"'),
      fc.string({ unit: "grapheme" }),
    ),
    ms: fc.nat(),
    keys: fc.array(key, { minLength: 1, maxLength: 4 }),
  }),
  { minLength: 1, maxLength: 5 },
);

t.test("runs stand for their rows, and rows for themselves", (t) => {
  fc.assert(fc.property(said, (all) => {
    const rows = all.flatMap(({ name, ms, keys }) =>
      keys.map((key) => formatCachesRow(name, key, ms))
    );
    const runs = all.map(({ keys, ...run }) => ({
      ...run,
      keys: keys.map(toInvalidatedKey),
    }));
    const text = formatRuns(runs);
    t.match(text, /^[\x20-\x7f]+$/);
    t.same(readRuns(text), runs);
    t.same(toRows("caches", [text]), rows);
    t.same(toRows("caches", rows), rows);
    t.same(toRows("caches", [...rows, text]), [...rows, ...rows]);
    return true;
  }));
  t.end();
});

t.test("other streams' lines are rows, whatever they look like", (t) => {
  const line = '["user",1,["a","b"]]';
  t.same(toRows("notes", [line]), [line]);
  t.equal(toRows("caches", [line]).length, 2);
  t.end();
});

t.test("what is none is left as it is", (t) => {
  for (const line of ["", "{", '["user",1]', '["user",1,[]]', '["user",1,5]']) {
    t.equal(readRuns(line), undefined);
    t.same(toRows("caches", [line]), [line]);
  }
  t.end();
});
