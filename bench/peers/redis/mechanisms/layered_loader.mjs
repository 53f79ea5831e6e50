/** `layered-loader` with its Redis notifications, over `ioredis`. */

import { Redis } from "ioredis";
import { createNotificationPair, ManualCache } from "layered-loader";

const CHANNEL = "layered-loader";

function openCache(port) {
  const consumerRedis = new Redis({ port });
  const { publisher, consumer } = createNotificationPair({
    channel: CHANNEL,
    consumerRedis,
    publisherRedis: new Redis({ port }),
  });
  const cache = new ManualCache({
    inMemoryCache: {
      cacheType: "lru-object",
      maxItems: 200_000,
      ttlInMsecs: 3_600_000,
    },
    notificationConsumer: consumer,
    notificationPublisher: publisher,
  });
  return { cache, consumerRedis };
}

export async function openWriter({ port }) {
  const { cache } = openCache(port);
  await cache.init();
  return {
    invalidate: (keys) =>
      keys.length === 1
        ? cache.invalidateCacheFor(keys[0])
        : cache.invalidateCacheForMany(keys),
    close: () => cache.close(),
  };
}

export async function openReader({ port }, dropped) {
  const { cache, consumerRedis } = openCache(port);
  await cache.init();
  let filled = [];
  // After the library's own listener: the key is gone by now.
  consumerRedis.on("message", (_channel, message) => {
    const many = message.includes('"DELETE_MANY"');
    dropped(many ? countKeys(message) : 1);
  });
  return {
    async fill(keys) {
      filled = keys;
      for (const key of keys) await cache.set(key, key);
    },
    left: () =>
      filled.filter((key) => cache.getInMemoryOnly(key) !== undefined).length,
  };
}

/** Without parsing it a second time: batches are all of one size. */
let perMessage;
function countKeys(message) {
  perMessage ??= JSON.parse(message).keys.length;
  return perMessage;
}
