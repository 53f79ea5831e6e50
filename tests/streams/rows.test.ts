// A row is written as its schema gives it back, or refused with its path.

import t from "tap";
import { z } from "zod";
import { encodeRow, formatPath } from "../../src/streams/rows.ts";
import { defineStream } from "../../src/streams/stream.ts";

const orders = defineStream(
  "orders",
  z.object({
    id: z.string(),
    items: z.array(z.object({ cents: z.int() })).default([]),
    note: z.unknown().optional(),
  }),
);
type Order = z.infer<typeof orders.schema>;

t.test("encodeRow() gives the row as the schema gives it back", (t) => {
  const row = { id: "é\n", items: [{ cents: 5 }], extra: true };
  t.equal(
    encodeRow(orders, row),
    '{"id":"\\u00e9\\n","items":[{"cents":5}]}',
    "without what the schema doesn't know, in ASCII",
  );
  const sparse = { id: "a" } as Order;
  t.equal(encodeRow(orders, sparse), '{"id":"a","items":[]}');
  t.end();
});

t.test("encodeRow() refuses what the schema doesn't describe, with its path", (t) => {
  const rows: [unknown, RegExp][] = [
    [{ id: 5, items: [] }, /: \.id: /],
    [
      { id: "a", items: [{ cents: 1 }, { cents: 1.5 }] },
      /: \.items\[1\]\.cents: /,
    ],
    ["text", /: the row: /],
    [undefined, /: the row: /],
  ];
  for (const [row, message] of rows) {
    t.throws(() => encodeRow(orders, row as Order), {
      code: "ROW_INVALID",
      message,
    });
  }
  t.throws(() => encodeRow(orders, rows[0]?.[0] as Order), {
    message: /^Cannot write row of stream "orders": .*; give what the stream's/,
  });
  t.end();
});

t.test("encodeRow() refuses what JSON can't carry, with its path", (t) => {
  const circle: Record<string, unknown> = {};
  circle["self"] = circle;
  const notes: [unknown, RegExp][] = [
    [new Date(0), /: \.note is a Date; give plain JSON values$/],
    [{ price: 5n }, /: \.note\.price is a bigint;/],
    [[NaN], /: \.note\[0\] is NaN;/],
    [() => 1, /: \.note is a function;/],
    [circle, /: \.note(\.self)+ is nested deeper than 100, or in a circle;/],
  ];
  for (const [note, message] of notes) {
    t.throws(() => encodeRow(orders, { id: "a", items: [], note }), {
      code: "ROW_INVALID",
      message,
    });
  }
  t.end();
});

t.test("formatPath() writes a path as code does", (t) => {
  t.equal(formatPath(["items", 2, "price"]), ".items[2].price");
  t.equal(formatPath([0]), "[0]");
  t.equal(formatPath([]), "");
  t.end();
});
