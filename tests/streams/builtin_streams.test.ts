// What the built-in streams' rows are, as readers of the log check them.

import t from "tap";
import {
  cachesStream,
  eventsStream,
} from "../../src/streams/builtin_streams.ts";

t.test("cachesStream takes invalidations", (t) => {
  for (
    const row of [
      ["get_user", ["a"], 1],
      ["get_user", ["a", 1, true, null], 1],
      ["get_user", [], 1],
      ["get_user", null, 1],
    ]
  ) t.ok(cachesStream.schema.safeParse(row).success, JSON.stringify(row));
  for (
    const row of [
      ["get_user", ["a"]],
      ["get_user", "a", 1],
      ["get_user", [{}], 1],
      [5, ["a"], 1],
      ["get_user", ["a"], "now"],
      { 0: "get_user" },
    ]
  ) t.notOk(cachesStream.schema.safeParse(row).success, JSON.stringify(row));
  t.end();
});

t.test("eventsStream takes events", (t) => {
  const row: unknown[] = [
    "user:1",
    1,
    "renamed",
    "id",
    { name: ["x", null] },
    null,
  ];
  t.ok(eventsStream.schema.safeParse(row).success);
  t.notOk(eventsStream.schema.safeParse(row.with(1, 1.5)).success);
  t.notOk(eventsStream.schema.safeParse(row.with(4, undefined)).success);
  t.notOk(eventsStream.schema.safeParse(row.slice(1)).success);
  t.end();
});
