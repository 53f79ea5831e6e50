/** Ours: durable in SQLite at `synchronous=normal`, over TCP, in order. */

import { load } from "../load.mjs";

export async function openWriter({ database }) {
  const { WriterStore } = await load("mod.js");
  const writer = await WriterStore.open({
    database,
    listen: "tcp://127.0.0.1:0",
    synchronous: "normal",
  });
  return {
    url: writer.url,
    invalidate: (keys) =>
      writer.transaction("invalidate", (txn) => {
        for (const key of keys) txn.invalidate("get_user_by_id", [key]);
        return Promise.resolve();
      }),
    token: () => writer.position.get("master"),
    close: () => writer.close(),
  };
}

export async function openReader({ database, url }, dropped) {
  const { SlavedStore } = await load("mod.js");
  const { onTelemetry } = await load("src/telemetry/mod.js");
  const { Names } = await load("bench/support/store.js");
  const slaved = await SlavedStore.connect({ database, replicate: url });
  const names = slaved.attach(Names);
  let unwatch;
  return {
    async fill(keys) {
      for (const key of keys) await names.getName(key);
    },
    /** Told in the moment that an entry has gone: only where each is timed. */
    watch() {
      unwatch ??= onTelemetry(
        "headwater:cache-invalidate",
        ({ entries }) => dropped(entries),
      );
    },
    unwatch() {
      unwatch?.();
      unwatch = undefined;
    },
    reached: (token) =>
      slaved.waitFor({ instance: "master", token }, { timeoutMs: 60_000 }),
    left: () => Promise.resolve(slaved.caches()[0]?.entries ?? NaN),
  };
}
