// A cache is named by its method, or by its name.

import t from "tap";
import {
  bindCache,
  type CachedMethod,
  cacheNameOf,
} from "../../src/caches/cached_method.ts";

t.test("cacheNameOf() takes a name, or a method that has a cache", (t) => {
  const method = () => Promise.resolve();
  bindCache(method, { name: "get_user", isTree: false });
  t.equal(cacheNameOf(method), "get_user");
  t.equal(cacheNameOf("any name"), "any name");
  t.end();
});

t.test("cacheNameOf() refuses what has no cache", (t) => {
  const getUser = () => Promise.resolve();
  t.throws(() => cacheNameOf(getUser), {
    code: "NOT_CACHED",
    message:
      'Cannot invalidate "getUser": it has no cache; decorate it with @cached',
  });
  for (const value of [undefined, null, 5, {}]) {
    t.throws(() => cacheNameOf(value as unknown as CachedMethod), {
      code: "NOT_CACHED",
    });
  }
  t.end();
});
