// A list beside a single method some of whose arguments are no part of the key.

import t from "tap";
import { cached, Store } from "../../mod.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { cachedList } from "../../src/caches/mod.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { type Deferred, deferred } from "../../src/runtime/waiting.ts";

class Names extends Store<unknown> {
  readonly loads: {
    readonly keys: readonly string[];
    readonly signal: AbortSignal | undefined;
    readonly end: Deferred<ReadonlyMap<string, string>>;
  }[] = [];

  @cached({ maxEntries: 100, uncachedArgs: [1] })
  async getName(
    id: string,
    signal?: AbortSignal,
  ): Promise<string | undefined> {
    return (await this.getNames([id], signal)).get(id);
  }

  @cachedList({ of: "getName" })
  getNames(
    keys: readonly string[],
    signal?: AbortSignal,
  ): Promise<ReadonlyMap<string, string>> {
    const end = deferred<ReadonlyMap<string, string>>();
    this.loads.push({ keys, signal, end });
    return end.promise;
  }
}

t.test("A197, A198: a signal ends its caller's wait, and not the load", async (t) => {
  const caches = new CacheRegistry([], silentLogger);
  const names = new Names({ db: {} as never, caches });
  const leaving = new AbortController();
  const left = names.getNames(["a", "b"], leaving.signal);
  const stays = names.getNames(["b", "c"]);
  t.same(names.loads.map(({ keys }) => keys), [["a", "b"], ["c"]]);
  leaving.abort(new RangeError("gone"));
  await t.rejects(left, { message: "gone" });
  t.notOk(names.loads[0]?.signal?.aborted, "others wait for what it loads");
  names.loads[0]?.end.resolve(new Map([["a", "A"], ["b", "B"]]));
  names.loads[1]?.end.resolve(new Map([["c", "C"]]));
  t.same([...await stays], [["b", "B"], ["c", "C"]]);
  t.equal(await names.getName("a"), "A", "and it was kept");
  t.equal(names.loads.length, 2);
  await t.rejects(names.getNames(["z"], leaving.signal), { message: "gone" });
  t.equal(names.loads.length, 2, "who is gone begins nothing");
});
