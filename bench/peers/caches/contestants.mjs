/**
 * The caches, each with the settings that its documentation gives for speed,
 * and all of them with room for what is measured. Each has `get`, which gives a
 * promise or a value; those that load by themselves do so through `load`.
 */

import { createCache as createDedupe } from "async-cache-dedupe";
import { BentoCache, bentostore } from "bentocache";
import { memoryDriver } from "bentocache/drivers/memory";
import { createCache as createManager } from "cache-manager";
import { Cacheable, createKeyv } from "cacheable";
import DataLoader from "dataloader";
import { Keyv } from "keyv";
import { Loader } from "layered-loader";
import { LRUCache } from "lru-cache";
import { createClient } from "redis";
import { load as loadOurs } from "../redis/load.mjs";

export const MAX_ENTRIES = 200_000;
const HOUR_MS = 3_600_000;

/** Those with a load of their own: `hits` and a stampede. */
export const LOADING = {
  headwater: openOurs,
  "lru-cache.fetch": (load) => {
    const cache = new LRUCache({ max: MAX_ENTRIES, fetchMethod: load });
    return { get: (key) => cache.fetch(key) };
  },
  "layered-loader get": (load) => {
    const loader = openLayered(load);
    return { get: (key) => loader.get(key) };
  },
  "layered-loader getInMemoryOnly, else getAsyncOnly": (load) => {
    const loader = openLayered(load);
    return {
      get: (key) => {
        const kept = loader.getInMemoryOnly(key);
        return kept === undefined ? loader.getAsyncOnly(key) : kept;
      },
    };
  },
  dataloader: (load) => {
    const loader = new DataLoader((keys) => Promise.all(keys.map(load)));
    return { get: (key) => loader.load(key) };
  },
  "async-cache-dedupe": (load) => {
    const cache = createDedupe({
      ttl: HOUR_MS / 1_000,
      storage: { type: "memory", options: { size: MAX_ENTRIES } },
    }).define("getUser", load);
    return { get: (key) => cache.getUser(key) };
  },
  "cache-manager wrap": (load) => {
    const cache = openManager();
    return { get: (key) => cache.wrap(key, () => load(key)) };
  },
  "bentocache getOrSet": (load) => {
    const cache = openBento();
    return { get: (key) => cache.getOrSet({ key, factory: () => load(key) }) };
  },
  "cacheable getOrSet": (load) => {
    const cache = openCacheable();
    return { get: (key) => cache.getOrSet(key, () => load(key)) };
  },
};

/** Those that are filled by hand; first the floors. */
export const FILLED = {
  "a promise from Map.get": () => {
    const map = new Map();
    return {
      get: (key) => map.get(key),
      set: (key, value) => void map.set(key, Promise.resolve(value)),
    };
  },
  "a promise from lru-cache.get": () => {
    const cache = new LRUCache({ max: MAX_ENTRIES });
    return {
      get: (key) => cache.get(key),
      set: (key, value) => void cache.set(key, Promise.resolve(value)),
    };
  },
  "cache-manager get": () => {
    const cache = openManager();
    return {
      get: (key) => cache.get(key),
      set: (key, value) => cache.set(key, value),
    };
  },
  "bentocache get": () => {
    const cache = openBento();
    return {
      get: (key) => cache.get({ key }),
      set: (key, value) => cache.set({ key, value }),
    };
  },
  "cacheable get": () => {
    const cache = openCacheable();
    return {
      get: (key) => cache.get(key),
      set: (key, value) => cache.set(key, value),
    };
  },
  keyv: () => {
    const cache = new Keyv();
    return {
      get: (key) => cache.get(key),
      set: (key, value) => cache.set(key, value),
    };
  },
  "keyv without serialising": () => {
    const cache = new Keyv({ useKeyPrefix: false });
    cache.serialize = undefined;
    cache.deserialize = undefined;
    return {
      get: (key) => cache.get(key),
      set: (key, value) => cache.set(key, value),
    };
  },
  "node-redis client-side caching": openClientSide,
};

async function openOurs(load) {
  const { WriterStore, Store, cached } = await loadOurs("mod.js");
  const writer = await WriterStore.open({ database: "sqlite::memory:" });
  class Users extends Store {
    getUser(id) {
      return load(id);
    }
  }
  const users = writer.attach(decorate(Users, cached));
  return { get: (id) => users.getUser(id), close: () => writer.close() };
}

/** `@cached` as TypeScript compiles it: this is plain JavaScript. */
function decorate(Class, cached) {
  const initializers = [];
  Class.prototype.getUser = cached({ maxEntries: MAX_ENTRIES })(
    Class.prototype.getUser,
    {
      kind: "method",
      name: "getUser",
      static: false,
      private: false,
      addInitializer: (initializer) => initializers.push(initializer),
    },
  );
  return class extends Class {
    constructor(...args) {
      super(...args);
      for (const initializer of initializers) initializer.call(this);
    }
  };
}

function openLayered(load) {
  return new Loader({
    inMemoryCache: {
      cacheType: "lru-map",
      maxItems: MAX_ENTRIES,
      ttlInMsecs: HOUR_MS,
    },
    dataSourceGetOneFn: load,
  });
}

function openManager() {
  return createManager({
    stores: [createKeyv({ ttl: HOUR_MS, lruSize: MAX_ENTRIES, useClone: false })],
  });
}

/** In memory only, nothing is lost by not serialising. */
function openBento() {
  return new BentoCache({
    default: "users",
    stores: {
      users: bentostore()
        .useL1Layer(memoryDriver({ maxItems: MAX_ENTRIES, serialize: false })),
    },
  });
}

function openCacheable() {
  return new Cacheable({
    primary: createKeyv({ lruSize: MAX_ENTRIES, useClone: false }),
  });
}

async function openClientSide({ port }) {
  const client = await createClient({
    RESP: 3,
    clientSideCache: { ttl: 0, maxEntries: 0, evictPolicy: "LRU" },
    socket: { port },
  }).connect();
  return {
    get: (key) => client.hGetAll(key),
    set: (key, row) => client.hSet(key, row),
    close: () => client.close(),
  };
}
