/** Done by hand: what `ioredis` publishes, the reader deletes from `lru-cache`. */

import { Redis } from "ioredis";
import { LRUCache } from "lru-cache";

const CHANNEL = "invalidations";

export function openWriter({ port }) {
  const redis = new Redis({ port });
  return {
    invalidate: (keys) => redis.publish(CHANNEL, JSON.stringify(keys)),
    close: () => redis.quit(),
  };
}

export async function openReader({ port }, dropped) {
  const cache = new LRUCache({ max: 200_000 });
  const redis = new Redis({ port });
  redis.on("message", (_channel, message) => {
    const keys = JSON.parse(message);
    for (const key of keys) cache.delete(key);
    dropped(keys.length);
  });
  await redis.subscribe(CHANNEL);
  return {
    fill(keys) {
      for (const key of keys) cache.set(key, Promise.resolve(key));
    },
    left: () => cache.size,
  };
}
