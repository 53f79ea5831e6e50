// Synapse's cases of a response cache, on a clock that moves when told to.

import t from "tap";
import {
  ResponseCache,
  type ResponseCacheOptions,
} from "../../src/caches/response_cache.ts";
import { type Deferred, deferred } from "../../src/runtime/waiting.ts";
import { manualClock } from "../support/manual_clock.ts";

const KEEP_MS = 10_000;

/** A cache, and calls that end when they are told to. */
function start(options: ResponseCacheOptions<string, string> = {}) {
  const clock = manualClock();
  const cache = new ResponseCache<string, string>({ clock, ...options });
  const calls: (Deferred<string> & { readonly signal: AbortSignal })[] = [];
  const call = (signal: AbortSignal) => {
    const made = { ...deferred<string>(), signal };
    signal.addEventListener("abort", () => made.reject(signal.reason));
    calls.push(made);
    return made.promise;
  };
  /** Asks; the answer is `value` once its call is told to end. */
  const get = (signal?: AbortSignal) => cache.get("key", call, { signal });
  const answer = async (value: string) => {
    const got = get();
    calls.at(-1)?.resolve(value);
    return await got;
  };
  return { clock, cache, calls, get, answer };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

t.test("A200 a result is given to those who ask within keepMs", async (t) => {
  const { clock, cache, calls, get, answer } = start({ keepMs: KEEP_MS });
  t.equal(await answer("one"), "one");
  clock.advance(KEEP_MS - 1);
  t.equal(await get(), "one");
  t.equal(calls.length, 1);
  t.match(cache.stats, { entries: 1, hits: 1, misses: 1 });
});

t.test("A201 without keepMs nothing is kept", async (t) => {
  const { cache, calls, answer } = start();
  await answer("one");
  t.equal(await answer("two"), "two");
  t.equal(calls.length, 2);
  t.equal(cache.stats.entries, 0);
});

t.test("A202 a result expires", async (t) => {
  const { clock, cache, answer } = start({ keepMs: KEEP_MS });
  await answer("one");
  clock.advance(KEEP_MS);
  t.equal(cache.stats.entries, 0);
  t.equal(await answer("two"), "two");
});

t.test("A203 a call that runs is shared", async (t) => {
  const { calls, get } = start();
  const got = [get(), get()];
  t.equal(calls.length, 1);
  calls[0]?.resolve("one");
  t.same(await Promise.all(got), ["one", "one"]);
});

t.test("A204 what was shared is kept after it ended, and expires", async (t) => {
  const { clock, calls, get, answer } = start({ keepMs: KEEP_MS });
  const got = [get(), get()];
  clock.advance(KEEP_MS * 5);
  calls[0]?.resolve("one");
  t.same(await Promise.all(got), ["one", "one"]);
  clock.advance(KEEP_MS - 1);
  t.equal(await get(), "one", "counted from its end");
  clock.advance(1);
  t.equal(await answer("two"), "two");
});

t.test("A205 shouldKeep: false is given to all who wait, and not kept", async (t) => {
  const { cache, calls, get, answer } = start({
    keepMs: KEEP_MS,
    shouldKeep: (value) => value !== "bad",
  });
  const got = [get(), get()];
  calls[0]?.resolve("bad");
  t.same(await Promise.all(got), ["bad", "bad"]);
  t.equal(cache.stats.entries, 0);
  t.equal(await answer("good"), "good", "the next one calls anew");
  t.equal(await get(), "good");
  t.equal(calls.length, 2);
});

t.test("a shouldKeep that throws fails the call", async (t) => {
  const { cache, answer } = start({
    keepMs: KEEP_MS,
    shouldKeep: () => {
      throw new Error("undecided");
    },
  });
  await t.rejects(answer("one"), { message: "undecided" });
  t.equal(cache.stats.entries, 0);
});

t.test("A206 A207 an error reaches all who wait, and is not kept", async (t) => {
  const { cache, calls, get, answer } = start({ keepMs: KEEP_MS });
  const got = Promise.allSettled([get(), get()]);
  calls[0]?.reject(new Error("no"));
  t.match(await got, [
    { status: "rejected", reason: { message: "no" } },
    { status: "rejected", reason: { message: "no" } },
  ]);
  t.equal(cache.stats.entries, 0);
  t.equal(await answer("one"), "one");
  const thrown = cache.get("other", () => {
    throw new Error("at once");
  });
  await t.rejects(thrown, { message: "at once" });
});

t.test("A208 the first caller may go, and its call goes on", async (t) => {
  const { clock, calls, get } = start({ keepMs: KEEP_MS, abortAfterMs: 1_000 });
  const first = new AbortController();
  const [one, two] = [get(first.signal), get()];
  first.abort(new Error("gone"));
  await t.rejects(one, { message: "gone" }, "with its own reason, at once");
  clock.advance(5_000);
  t.equal(calls[0]?.signal.aborted, false);
  calls[0]?.resolve("one");
  t.equal(await two, "one");
  t.equal(await get(), "one", "it is kept");
});

t.test("A209 a call that nobody waits for any more is aborted", async (t) => {
  const { clock, cache, calls, get, answer } = start({
    keepMs: KEEP_MS,
    abortAfterMs: 1_000,
  });
  const first = new AbortController();
  const one = get(first.signal);
  first.abort(new Error("gone"));
  await t.rejects(one, { message: "gone" });
  clock.advance(999);
  t.equal(calls[0]?.signal.aborted, false);
  clock.advance(1);
  t.equal(calls[0]?.signal.aborted, true);
  t.match(cache.stats, { entries: 0, aborted: 1 });
  t.equal(await answer("two"), "two", "the next one calls anew");
  t.equal(calls.length, 2);
});

t.test("A210 whoever waits keeps a call alive", async (t) => {
  const { clock, calls, get } = start({ abortAfterMs: 1_000 });
  const gone = new AbortController();
  const [one, two] = [get(gone.signal), get(new AbortController().signal)];
  gone.abort();
  await t.rejects(one, { name: "AbortError" });
  clock.advance(60_000);
  t.equal(calls[0]?.signal.aborted, false);
  calls[0]?.resolve("one");
  t.equal(await two, "one");
  t.equal(clock.timers, 0, "no timer is left");
});

t.test("A211 callers that come and go keep a call alive", async (t) => {
  const { clock, calls, get } = start({ abortAfterMs: 1_000 });
  for (let times = 0; times < 5; times += 1) {
    const caller = new AbortController();
    const got = get(caller.signal);
    clock.advance(600);
    caller.abort();
    await t.rejects(got, { name: "AbortError" });
    clock.advance(600);
  }
  t.equal(calls.length, 1);
  t.equal(calls[0]?.signal.aborted, false);
  const last = get();
  calls[0]?.resolve("one");
  t.equal(await last, "one");
});

t.test("A212 without abortAfterMs no call is aborted", async (t) => {
  const { clock, calls, get } = start({ keepMs: KEEP_MS });
  const first = new AbortController();
  const one = get(first.signal);
  first.abort();
  await t.rejects(one, { name: "AbortError" });
  clock.advance(3_600_000);
  t.equal(calls[0]?.signal.aborted, false);
  calls[0]?.resolve("one");
  await settled();
  t.equal(await get(), "one", "what nobody waited for is kept");
});

t.test("A213 an error after a caller has gone reaches the others", async (t) => {
  const { calls, get } = start({ abortAfterMs: 1_000 });
  const first = new AbortController();
  const [one, two] = [get(first.signal), get()];
  first.abort();
  await t.rejects(one, { name: "AbortError" });
  calls[0]?.reject(new Error("no"));
  await t.rejects(two, { message: "no" });
});

t.test("an error that nobody waits for is nobody's", async (t) => {
  const { calls, cache, get } = start();
  const first = new AbortController();
  const one = get(first.signal);
  first.abort();
  await t.rejects(one, { name: "AbortError" });
  calls[0]?.reject(new Error("no"));
  await settled();
  t.equal(cache.stats.entries, 0);
});

t.test("a signal that is aborted already asks nothing", async (t) => {
  const { calls, get } = start();
  await t.rejects(get(AbortSignal.abort(new Error("gone"))), {
    message: "gone",
  });
  t.equal(calls.length, 0);
});

t.test("invalidate() and clear() while a call runs: given, never kept", async (t) => {
  const { cache, calls, get } = start({ keepMs: KEEP_MS });
  const forgets = [() => cache.invalidate("key"), () => cache.clear()];
  for (const forget of forgets) {
    calls.length = 0;
    const early = get();
    forget();
    const late = get();
    t.equal(calls.length, 2, "who comes after does not join");
    calls[1]?.resolve("new");
    t.equal(await late, "new");
    calls[0]?.resolve("old");
    t.equal(await early, "old");
    t.equal(await get(), "new", "the old one is not kept");
    forget();
    t.equal(cache.stats.entries, 0);
  }
});

t.test("maxEntities: kept results go before calls that run", async (t) => {
  const cache = new ResponseCache<string, string>({
    keepMs: KEEP_MS,
    maxEntries: 2,
    clock: manualClock(),
  });
  const never = () => new Promise<string>(() => {});
  const kept = (key: string) => cache.get(key, () => key);
  await kept("a");
  await kept("b");
  await kept("c");
  t.match(cache.stats, { entries: 2, running: 0 });
  let calls = 0;
  await cache.get("a", () => `${calls += 1}`);
  t.equal(calls, 1, "the oldest was gone");
  for (const key of ["x", "y", "z"]) void cache.get(key, never);
  t.match(cache.stats, { entries: 2, running: 2 });
  t.throws(() => new ResponseCache({ maxEntries: 0 }), {
    code: "INVALID_ARGUMENT",
  });
  t.throws(() => new ResponseCache({ keepMs: -1 }), {
    code: "INVALID_ARGUMENT",
  });
});
