// What goes through the log and the wire comes back as it was, or is refused
// with the place of what is wrong.

import { isDeepStrictEqual } from "node:util";
import t from "tap";
import { encodeJson, requireJson } from "../../src/runtime/json.ts";
import { MAX_JSON_DEPTH } from "../../src/runtime/limits.ts";
import { type Seeded, seeded, shown } from "../support/seeded.ts";

t.test("encodeJson() gives one line of ASCII that parses to the same", (t) => {
  const random = seeded(1);
  const wrong: string[] = [];
  for (let round = 0; round < 2_000; round += 1) {
    const value = makeValue(random, 4);
    const text = encodeJson(value);
    const isAscii = !/[^\x20-\x7f]/.test(text);
    if (!isAscii || !isDeepStrictEqual(JSON.parse(text), value)) {
      wrong.push(shown(text));
    }
  }
  t.same(wrong, []);
  t.equal(encodeJson("é👍\n\u2028"), '"\\u00e9\\ud83d\\udc4d\\n\\u2028"');
  t.end();
});

t.test("requireJson() passes what JSON carries", (t) => {
  const random = seeded(2);
  for (let round = 0; round < 500; round += 1) {
    requireJson(makeValue(random, 4), "row");
  }
  const bare: Record<string, unknown> = Object.create(null);
  bare["a"] = 1;
  requireJson(bare, "row");
  requireJson({ absent: undefined }, "row");
  requireJson(nest(MAX_JSON_DEPTH), "row");
  t.pass("nothing was refused");
  t.end();
});

t.test("requireJson() names the path of what JSON can't carry", (t) => {
  const circle: unknown[] = [];
  circle.push(circle);
  class Money {}
  const cases: [unknown, string][] = [
    [undefined, "the value is undefined"],
    [() => 1, "the value is a function"],
    [{ a: [1, { b: NaN }] }, ".a[1].b is NaN"],
    [{ a: -Infinity }, ".a is -Infinity"],
    [[1, 2n], "[1] is a bigint"],
    [{ a: Symbol("s") }, ".a is a symbol"],
    [{ at: new Date(0) }, ".at is a Date"],
    [{ map: new Map() }, ".map is a Map"],
    [{ bytes: new Uint8Array(1) }, ".bytes is a Uint8Array"],
    [{ price: new Money() }, ".price is a Money"],
    [{ list: [1, undefined] }, ".list[1] is undefined"],
    // deno-lint-ignore no-sparse-arrays -- a hole is what is tested
    [[1, , 3], "[1] is undefined"],
    [{ a: { toJSON: () => 1 } }, ".a.toJSON is a function"],
    [
      circle,
      `${"[0]".repeat(MAX_JSON_DEPTH + 1)} is nested deeper than ` +
      `${MAX_JSON_DEPTH}, or in a circle`,
    ],
    [
      nest(MAX_JSON_DEPTH + 1),
      `${"[0]".repeat(MAX_JSON_DEPTH + 1)} is nested deeper than ` +
      `${MAX_JSON_DEPTH}, or in a circle`,
    ],
  ];
  for (const [value, problem] of cases) {
    t.throws(() => requireJson(value, 'row of stream "orders"'), {
      code: "ROW_INVALID",
      message:
        `Cannot write row of stream "orders": ${problem}; give plain JSON values`,
    }, problem);
  }
  t.end();
});

/** Lists in lists, `depth` of them around a number. */
function nest(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}

function makeValue(random: Seeded, depth: number): unknown {
  switch (random.below(depth > 0 ? 7 : 5)) {
    case 0:
      return null;
    case 1:
      return random.below(2) === 0;
    case 2:
      return random.pick([0, 1, -1.5, 1e300, 5e-324, 2 ** 53, 0.1]);
    case 3:
    case 4:
      return random.text(8);
    case 5:
      return random.list(4, () => makeValue(random, depth - 1));
    default:
      return Object.fromEntries(
        random.list(
          4,
          () => [`k${random.text(3)}`, makeValue(random, depth - 1)],
        ),
      );
  }
}
