// Streams by name: the built-in ones are always there, and no name is two.

import t from "tap";
import { z } from "zod";
import { defineStream, type Stream } from "../../src/streams/stream.ts";
import { StreamRegistry } from "../../src/streams/stream_registry.ts";

const orders: Stream = defineStream("orders", z.unknown());

t.test("StreamRegistry knows the built-in streams and the user's", (t) => {
  const registry = new StreamRegistry([orders]);
  t.same(registry.names, ["caches", "events", "orders"]);
  t.equal(registry.get("orders"), orders);
  t.ok(registry.has("caches"));
  t.notOk(registry.has("order"));
  t.end();
});

t.test("StreamRegistry.get() lists the streams there are", (t) => {
  t.throws(() => new StreamRegistry([orders]).get("order"), {
    code: "STREAM_UNKNOWN",
    message:
      'Cannot use stream "order": the streams are caches, events, orders; ' +
      'declare it in the option "streams"',
  });
  t.end();
});

t.test("StreamRegistry refuses one name for two streams", (t) => {
  for (const name of ["orders", "caches", "events"]) {
    const stream: Stream = defineStream(name, z.unknown());
    t.throws(() => new StreamRegistry([orders, stream]), {
      code: "INVALID_ARGUMENT",
      message: `Cannot declare stream "${name}" twice; give it another name`,
    });
  }
  t.end();
});
