/** `bentocache`: its memory layer, and its bus over Redis. */

import { EventEmitter } from "node:events";
import { BentoCache, bentostore } from "bentocache";
import { memoryDriver } from "bentocache/drivers/memory";
import { redisBusDriver } from "bentocache/drivers/redis";

function openCache(port) {
  return new BentoCache({
    default: "users",
    emitter: new EventEmitter(),
    stores: {
      users: bentostore()
        .useL1Layer(memoryDriver({ maxItems: 200_000 }))
        .useBus(redisBusDriver({ connection: { port } })),
    },
  });
}

export function openWriter({ port }) {
  const cache = openCache(port);
  return {
    invalidate: (keys) =>
      keys.length === 1
        ? cache.delete({ key: keys[0] })
        : cache.deleteMany({ keys }),
    close: () => cache.disconnectAll(),
  };
}

export function openReader({ port }, dropped) {
  const cache = openCache(port);
  let isFilling = false;
  // Told just before the keys are deleted.
  cache.on("bus:message:received", ({ message }) => {
    if (!isFilling) dropped(message.keys.length);
  });
  let filled = [];
  return {
    async fill(keys) {
      isFilling = true;
      filled = keys;
      for (const key of keys) await cache.set({ key, value: key });
      isFilling = false;
    },
    async left() {
      let left = 0;
      for (const key of filled) {
        if (await cache.has({ key })) left += 1;
      }
      return left;
    },
  };
}
