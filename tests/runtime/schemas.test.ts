// A schema must answer at once: one that has to be awaited is refused in words,
// wherever one is asked.

import t from "tap";
import { z } from "zod";
import {
  defineAggregate,
  defineCacheGroup,
  defineStream,
  SlavedStore,
  WriterStore,
} from "../../mod.ts";
import { defineCommand } from "../../src/protocol/mod.ts";
import { askSchema } from "../../src/runtime/schemas.ts";
import { temporaryDatabase } from "../support/folders.ts";

const later = z.string().refine((text) => Promise.resolve(text !== ""));

t.test("an asynchronous schema is refused", async (t) => {
  const rows = defineStream("rows", later);
  const typing = defineStream("typing", later, { durable: false });
  const kinds = defineAggregate("kind", { named: later });
  const group = defineCacheGroup("group", z.tuple([later]), () => []);
  const command = defineCommand("NAME", later);
  const database = temporaryDatabase(t);
  const writer = await WriterStore.open({
    database,
    streams: [rows, typing],
    groups: [group],
    listen: "tcp://127.0.0.1:0",
    http: "http://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  writer.expose("rename", later, () => Promise.resolve());
  const slaved = await SlavedStore.connect({
    database,
    streams: [rows, typing],
    groups: [group],
    replicate: writer.url ?? "",
    http: writer.httpUrl,
  });
  t.teardown(() => slaved.close());
  const named = [{ type: "named", data: "Bob" }] as const;
  const calls: readonly [string, () => unknown][] = [
    [
      'write row of stream "rows"',
      () =>
        writer.transaction("write", (txn) => {
          txn.write(rows, "Bob");
          return Promise.resolve();
        }),
    ],
    [
      'write row of stream "typing"',
      () => Promise.resolve().then(() => writer.publish(typing, ["Bob"])),
    ],
    [
      'append event "named" to aggregate "kind:1"',
      () =>
        writer.transaction("append", async (txn) => {
          await txn.append(kinds.of("1"), named);
        }),
    ],
    [
      'invalidate group "group"',
      () =>
        writer.transaction("invalidate", (txn) => {
          txn.invalidateGroup(group, ["Bob"]);
          return Promise.resolve();
        }),
    ],
    [
      "send command NAME",
      () => Promise.resolve().then(() => writer.send(command, "Bob")),
    ],
    ['call "rename"', () => slaved.call("rename", "Bob")],
  ];
  for (const [action, call] of calls) {
    await t.rejects(async () => await call(), {
      code: "INVALID_ARGUMENT",
      message: `Cannot ${action}: its schema is asynchronous; give one whose ` +
        "refinements and transforms return no promise, and look up before what " +
        "they wait for",
    }, action);
  }
  t.same((await writer.readRows(rows)).rows, []);
});

t.test("what else a schema throws is its own", (t) => {
  const broken = z.string().refine((): boolean => {
    throw new TypeError("no list");
  });
  t.throws(
    () => askSchema(() => "write", broken, "Bob"),
    new TypeError("no list"),
  );
  t.end();
});
