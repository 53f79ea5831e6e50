// What a writer holds of rows that are in no log.

import fc from "fast-check";
import t from "tap";
import {
  type EphemeralBounds,
  EphemeralLog,
} from "../../src/replication/ephemeral_log.ts";
import type { Token } from "../../src/tokens/token.ts";
import { manualClock } from "../support/manual_clock.ts";

const ROOMY = { maxRows: 1000, maxChars: 100_000, maxAgeMs: 1000 };

function make(bounds: Partial<EphemeralBounds> = {}) {
  const clock = manualClock();
  return { clock, log: new EphemeralLog({ ...ROOMY, ...bounds }, clock) };
}

const at = (token: number) => token as Token;

t.test("EphemeralLog", (t) => {
  t.test("gives tokens from 1 on", (t) => {
    const { log } = make();
    t.same([log.position, log.floor], [0, 0]);
    t.equal(log.publish(["1"]), 1);
    t.equal(log.publish(["2", "3"]), 2);
    t.same(log.read(at(0), at(2), 100), {
      rows: [[1, "1"], [2, "2"], [2, "3"]],
      upTo: 2,
      isLimited: false,
    });
    t.same(log.read(at(1), at(1), 100).rows, []);
    t.end();
  });

  t.test("a token is given whole, whatever the limit", (t) => {
    const { log } = make();
    log.publish(["a", "b", "c"]);
    log.publish(["d"]);
    const page = log.read(at(0), at(2), 2);
    t.same(page.rows.length, 3);
    t.same([page.upTo, page.isLimited], [1, true]);
    t.end();
  });

  t.test("lets go what is too old", (t) => {
    const { clock, log } = make();
    log.publish(["a"]);
    clock.advance(600);
    log.publish(["b"]);
    clock.advance(600);
    t.same(log.read(at(0), at(2), 10).rows, [[2, "b"]]);
    t.equal(log.floor, 1);
    clock.advance(10_000);
    t.same(log.read(at(0), at(2), 10), { rows: [], upTo: 2, isLimited: false });
    t.equal(log.floor, 2);
    t.end();
  });

  t.test("holds the newest within its bounds, and says what is gone", (t) => {
    const publish = fc.array(fc.string({ maxLength: 5 }), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(
        fc.array(publish, { maxLength: 60 }),
        fc.nat(65),
        fc.integer({ min: 1, max: 20 }),
        (published, after, limit) => {
          const { log } = make({ maxRows: 20, maxChars: 60 });
          published.forEach((rows) => log.publish(rows));
          const all = published.flatMap((rows, index) =>
            rows.map((row) => [index + 1, row] as const)
          );
          const from = after > published.length ? 0 : after;
          const found: (readonly [number, string])[] = [];
          let token = at(from);
          let isLimited = true;
          while (isLimited) {
            const page = log.read(token, log.position, limit);
            found.push(...page.rows);
            ({ upTo: token, isLimited } = page);
          }
          const wanted = all.filter(([each]) =>
            each > Math.max(from, log.floor)
          );
          const held = all.filter(([each]) => each > log.floor);
          const chars = held.reduce((sum, [, row]) => sum + row.length, 0);
          return JSON.stringify(found) === JSON.stringify(wanted) &&
            held.length <= 20 && chars <= 60 &&
            (published.length === 0 || log.floor < log.position);
        },
      ),
    );
    t.end();
  });

  t.end();
});
