// Commands of the users' own: their lines, and what can't be one.

import fc from "fast-check";
import t from "tap";
import { z } from "zod";
import {
  defineCommand,
  formatCustom,
  parseCommand,
} from "../../src/protocol/mod.ts";

const kick = defineCommand("KICK", z.object({ userId: z.string() }));

t.test("a value travels as JSON, escaped and on one line", (t) => {
  const text = kick.format({ userId: "@é b\n" });
  t.equal(text, '{"userId":"@\\u00e9 b\\n"}');
  t.same(kick.parse(text), { userId: "@é b\n" });
  const line = formatCustom({ name: "KICK", from: "w1", to: undefined, text });
  t.equal(line, 'X_KICK w1 * {"userId":"@\\u00e9 b\\n"}');
  t.same(parseCommand(line), {
    kind: "CUSTOM",
    name: "KICK",
    from: "w1",
    to: undefined,
    text,
  });
  t.end();
});

t.test("a codec of one's own has the last field to itself", (t) => {
  const count = defineCommand("COUNT", {
    parse: (text) => text.split(" ").map(Number),
    format: (values: number[]) => values.join(" "),
  });
  const line = formatCustom({
    name: count.name,
    from: "a",
    to: "b",
    text: count.format([1, 2, 3]),
  });
  t.equal(line, "X_COUNT a b 1 2 3");
  const parsed = parseCommand(line);
  t.match(parsed, { kind: "CUSTOM", from: "a", to: "b", text: "1 2 3" });
  t.same(count.parse("1 2 3"), [1, 2, 3]);
  t.end();
});

t.test("what was formatted is parsed again", (t) => {
  const any = defineCommand("ANY", z.json());
  // zod takes a key of this name for an attack, and leaves it out.
  const json = fc.jsonValue()
    .filter((value) => !JSON.stringify(value).includes("__proto__"));
  fc.assert(
    fc.property(json, (value) => {
      const text = any.format(value as z.infer<ReturnType<typeof z.json>>);
      const line = formatCustom({ name: "ANY", from: "a", to: "b", text });
      const parsed = parseCommand(line) as { text: string };
      return JSON.stringify(any.parse(parsed.text)) === JSON.stringify(value);
    }),
  );
  t.pass("all of them");
  t.end();
});

t.test("values that the schema refuses, and JSON can't carry, are not sent", (t) => {
  const wrong: unknown = { userId: 5 };
  t.throws(() => kick.format(wrong as { userId: string }), {
    code: "INVALID_ARGUMENT",
    message: /^Cannot send command KICK: /,
  });
  const loose = defineCommand("LOOSE", z.unknown());
  t.throws(() => loose.format({ at: new Date() }), { code: "ROW_INVALID" });
  t.throws(
    () => formatCustom({ name: "A", from: "a b", to: undefined, text: "" }),
    { code: "LINE_INVALID" },
  );
  t.throws(
    () => formatCustom({ name: "A", from: "a", to: undefined, text: "\n" }),
    { code: "LINE_INVALID" },
  );
  t.end();
});

t.test("names that can't stand on the wire are refused", (t) => {
  for (const name of ["", "kick", "1A", "A B", "A\n", "A".repeat(63)]) {
    t.throws(() => defineCommand(name, z.string()), {
      code: "INVALID_ARGUMENT",
    });
  }
  defineCommand("A".repeat(62), z.string());
  defineCommand("PING", z.string());
  t.end();
});
