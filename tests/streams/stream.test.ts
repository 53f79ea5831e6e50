// A stream's name stands between spaces on the wire.

import t from "tap";
import { z } from "zod";
import { defineStream, isName } from "../../src/streams/stream.ts";

t.test("defineStream() takes a name that stands between spaces", (t) => {
  for (const name of ["a", "_", "Orders", "a.b-c_9", "x".repeat(64)]) {
    const schema = z.string();
    const stream = defineStream(name, schema);
    t.match(stream, { name, schema });
    t.ok(Object.isFrozen(stream));
  }
  t.end();
});

t.test("defineStream() refuses every other name", (t) => {
  const names = [
    "",
    "a b",
    "a\n",
    "a\n\nb",
    " a",
    "9a",
    "-a",
    ".a",
    "é",
    "x".repeat(65),
    undefined,
    null,
    5,
  ];
  for (const name of names) {
    t.notOk(isName(name));
    t.throws(() => defineStream(name as string, z.string()), {
      code: "INVALID_ARGUMENT",
      message: /^Cannot define stream ".*": give a letter or "_"/,
    }, JSON.stringify(name));
  }
  t.end();
});
