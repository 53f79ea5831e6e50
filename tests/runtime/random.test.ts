// Ids come from a pool; no two may be alike, over its refills too.

import t from "tap";
import { systemRandom } from "../../src/runtime/random.ts";

t.test("systemRandom gives ids of 64 bits, none twice", (t) => {
  const ids = Array.from({ length: 5_000 }, () => systemRandom.id());
  t.equal(ids.findIndex((id) => !/^[0-9a-f]{16}$/.test(id)), -1);
  t.equal(new Set(ids).size, ids.length);
  t.end();
});

t.test("systemRandom gives UUIDs and fractions", (t) => {
  t.match(systemRandom.uuid(), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  for (let round = 0; round < 1_000; round += 1) {
    const fraction = systemRandom.fraction();
    if (fraction < 0 || fraction >= 1) t.fail(`${fraction}`);
  }
  t.end();
});
