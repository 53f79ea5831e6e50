// A closed store does nothing, and says so: what it took would never be told,
// nor called.

import t from "tap";
import { z } from "zod";
import { defineStream, SlavedStore, WriterStore } from "../../mod.ts";
import { defineCommand } from "../../src/protocol/mod.ts";
import { temporaryDatabase } from "../support/folders.ts";

const kick = defineCommand("KICK", z.string());
const orders = defineStream("orders", z.string());

t.test("a closed store refuses what it can't do any more", async (t) => {
  const database = temporaryDatabase(t);
  const streams = [orders];
  const writer = await WriterStore.open({
    database,
    streams,
    listen: "tcp://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  const slaved = await SlavedStore.connect({
    database,
    streams,
    replicate: writer.url ?? "",
  });
  t.teardown(() => slaved.close());
  const ofSlaved: Record<string, () => unknown> = {
    subscribe: () => slaved.subscribe(orders, () => {}),
    send: () => slaved.send(kick, "bob"),
    onCommand: () => slaved.onCommand(kick, () => {}),
    "presence.start": () => slaved.presence.start("bob"),
    audit: () => slaved.audit(),
  };
  const ofWriter: Record<string, () => unknown> = {
    expose: () => writer.expose("add", z.number(), () => Promise.resolve()),
    send: () => writer.send(kick, "bob"),
    onCommand: () => writer.onCommand("USER_SYNC", () => {}),
    "presence.start": () => writer.presence.start("bob"),
    "presence.onChange": () => writer.presence.onChange(() => {}),
    publish: () => writer.publish(orders, ["a"]),
  };
  for (
    const [store, calls, message] of [
      [slaved, ofSlaved, /: the slaved store is closed; connect another$/],
      [writer, ofWriter, /: the writer store is closed; open another$/],
    ] as const
  ) {
    const closing = store.close();
    for (const [name, call] of Object.entries(calls)) {
      t.throws(call, { code: "CLOSED", message }, `${name}, while it closes`);
    }
    await closing;
    for (const [name, call] of Object.entries(calls)) {
      t.throws(call, { code: "CLOSED", message }, name);
    }
    t.doesNotThrow(() => store.presence.end("bob"), "who leaves may say so");
  }
});
