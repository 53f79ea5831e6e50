/** node-redis' client-side caching: Redis tells who has read what is written. */

import { BasicClientSideCache, createClient } from "redis";

export async function openWriter({ port }) {
  const client = await createClient({ socket: { port } }).connect();
  let version = 0;
  return {
    invalidate(keys) {
      const value = String(version += 1);
      return keys.length === 1
        ? client.set(keys[0], value)
        : client.mSet(keys.map((key) => [key, value]));
    },
    close: () => client.close(),
  };
}

export async function openReader({ port }, dropped) {
  const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 200_000 });
  const writer = await createClient({ socket: { port } }).connect();
  const client = await createClient({
    RESP: 3,
    clientSideCache: cache,
    socket: { port },
  }).connect();
  let isFilling = false;
  cache.on("invalidate", () => {
    if (!isFilling) dropped(1);
  });
  return {
    async fill(keys) {
      isFilling = true;
      for (let from = 0; from < keys.length; from += 1_000) {
        const some = keys.slice(from, from + 1_000);
        await writer.mSet(some.map((key) => [key, "0"]));
        await Promise.all(some.map((key) => client.get(key)));
      }
      isFilling = false;
    },
    left: () => cache.size(),
  };
}
