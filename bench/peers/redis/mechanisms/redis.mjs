/** Done by hand: what `redis` publishes, the reader deletes from `lru-cache`. */

import { createClient } from "redis";
import { LRUCache } from "lru-cache";

const CHANNEL = "invalidations";

export async function openWriter({ port }) {
  const client = await createClient({ socket: { port } }).connect();
  return {
    invalidate: (keys) => client.publish(CHANNEL, JSON.stringify(keys)),
    close: () => client.close(),
  };
}

export async function openReader({ port }, dropped) {
  const cache = new LRUCache({ max: 200_000 });
  const client = await createClient({ socket: { port } }).connect();
  await client.subscribe(CHANNEL, (message) => {
    const keys = JSON.parse(message);
    for (const key of keys) cache.delete(key);
    dropped(keys.length);
  });
  return {
    fill(keys) {
      for (const key of keys) cache.set(key, Promise.resolve(key));
    },
    left: () => cache.size,
  };
}
