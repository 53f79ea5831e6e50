// The heap of waiters against the simplest thing that can be trusted: a list; and
// what waits leave behind.

import t from "tap";
import { ReaderPosition } from "../../src/replication/reader_position.ts";
import { TokenWaiters } from "../../src/replication/token_waiters.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { Token } from "../../src/tokens/token.ts";
import { manualClock } from "../support/manual_clock.ts";
import { freshlySeeded } from "../support/seeded.ts";

const timeout = () => new Error("timeout");
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

t.test("TokenWaiters.reach() wakes those it reaches, lowest first", async (t) => {
  const { below } = freshlySeeded(t);
  for (let round = 0; round < 50; round += 1) {
    const waiters = new TokenWaiters(systemClock);
    const stops: AbortController[] = [];
    const woken: number[] = [];
    const expected: number[] = [];
    let waiting: { token: number; index: number }[] = [];
    const settled: Promise<void>[] = [];
    for (let step = 0; step < 100; step += 1) {
      const token = 1 + below(200);
      if (below(5) > 0) {
        const index = stops.length;
        const stop = new AbortController();
        stops.push(stop);
        waiting.push({ token, index });
        settled.push(
          waiters.wait(token as Token, timeout, {
            signal: stop.signal,
            timeoutMs: 60_000,
          }).then(() => void woken.push(token), () => {}),
        );
      } else if (below(3) === 0 && waiting.length > 0) {
        const [given] = waiting.splice(below(waiting.length), 1);
        stops[given?.index ?? 0]?.abort(new Error("gave up"));
      } else {
        const reached = waiting.filter((waiter) => waiter.token <= token);
        expected.push(
          ...reached.map((waiter) => waiter.token).sort((a, b) => a - b),
        );
        waiting = waiting.filter((waiter) => waiter.token > token);
        waiters.reach(token as Token);
      }
      if (waiters.size !== waiting.length) {
        t.equal(waiters.size, waiting.length, `round ${round}, step ${step}`);
      }
    }
    waiters.rejectAll(new Error("closed"));
    await Promise.all(settled);
    if (woken.join() !== expected.join()) t.same(woken, expected);
    if (waiters.size !== 0) t.equal(waiters.size, 0);
  }
  t.pass("50 rounds of 100 steps");
});

t.test("TokenWaiters.wait() rejects at its deadline only", async (t) => {
  const waiters = new TokenWaiters(systemClock);
  await t.rejects(
    waiters.wait(5 as Token, timeout, { timeoutMs: 1 }),
    { message: "timeout" },
  );
  t.equal(waiters.size, 0);
});

t.test("TokenWaiters goes through no waiters: thousands cost a logarithm", async (t) => {
  const COUNT = 16_384;
  const DEPTH = Math.log2(COUNT);
  const { below } = freshlySeeded(t);
  const clock = manualClock();
  let compared = 0;
  const waiters = new TokenWaiters(clock, (token, end) => {
    compared += 1;
    return token <= end;
  });
  const costOf = (work: () => void) => {
    const before = compared;
    work();
    return compared - before;
  };
  const stop = new AbortController();
  const leave = new AbortController();
  let woken = 0;
  let left = 0;
  const wait = (token: number, { signal } = stop) =>
    void waiters.wait(token as Token, timeout, { signal, timeoutMs: 60_000 })
      .then(() => void (woken += 1), () => void (left += 1));
  const tokens = Array.from({ length: COUNT }, (_, at) => 10 * (at + 1));
  for (let last = COUNT - 1; last > 0; last -= 1) {
    const other = below(last + 1);
    [tokens[last], tokens[other]] = [
      tokens[other] as number,
      tokens[last] as number,
    ];
  }
  const dearest = Math.max(
    ...tokens.map((token) => costOf(() => wait(token))),
  );
  t.ok(dearest <= DEPTH, `one more waits at ${dearest} comparisons`);
  t.equal(clock.timers, 1, "and all share one timer");

  t.equal(costOf(() => waiters.reach(9 as Token)), 1, "nobody waits for it");
  const each: number[] = [];
  for (let token = 10; token <= 10 * COUNT / 2; token += 10) {
    each.push(costOf(() => waiters.reach(token as Token)));
  }
  await turn();
  t.equal(woken, COUNT / 2);
  const most = Math.max(...each);
  t.ok(most <= 2 * DEPTH + 2, `one is woken at ${most} comparisons`);
  t.equal(waiters.size, COUNT / 2);

  // Each gives up by itself: nobody else is asked.
  for (let count = 0; count < COUNT / 4; count += 1) {
    wait(20 * COUNT + count, leave);
  }
  t.equal(costOf(() => leave.abort(new Error("enough"))), 0);
  await turn();
  t.equal(left, COUNT / 4);
  const all = costOf(() => waiters.reach((30 * COUNT) as Token));
  t.ok(all <= COUNT * (2 * DEPTH + 2), `all are woken at ${all} comparisons`);
  await turn();
  t.equal(woken, COUNT);
  t.match(waiters, { size: 0 });
  t.equal(clock.timers, 0);
});

t.test("ReaderPosition keeps nothing of those whom nobody waits for", async (t) => {
  const position = new ReaderPosition(systemClock);
  const stop = new AbortController();
  const wait = (instance: string, token = 5) =>
    position.waitFor(new Map([[instance, token as Token]]), {
      signal: stop.signal,
    });
  const first = wait("w1");
  const higher = wait("w1", 6);
  const nobodys = Promise.allSettled([wait("nobody's"), wait("made up")]);
  t.match(position, { awaited: 3, waiters: 4 });
  position.advance("w1", 5 as Token);
  await first;
  t.match(position, { awaited: 3, waiters: 3 });
  // Who begins to wait as the last is woken isn't forgotten with it.
  position.advance("w1", 6 as Token);
  const next = wait("w1", 7);
  await higher;
  t.match(position, { awaited: 3, waiters: 3 });
  position.advance("w1", 7 as Token);
  await next;
  t.equal(position.awaited, 2);
  stop.abort(new Error("enough"));
  await nobodys;
  t.match(position, { awaited: 0, waiters: 0 });
});

t.test("ReaderPosition bounds its waiters, whomever they wait for", async (t) => {
  const position = new ReaderPosition(systemClock, undefined, 100);
  const stop = new AbortController();
  const wait = (instance: string) =>
    position.waitFor(new Map([[instance, 5 as Token]]), {
      signal: stop.signal,
    });
  const waiting: Promise<unknown>[] = [];
  for (let count = 0; count < 100; count += 1) {
    waiting.push(wait(`w${count % 10}`));
  }
  await t.rejects(wait("another"), {
    code: "INVALID_ARGUMENT",
    message: /"another": 100 wait already/,
  });
  t.equal(position.awaited, 10);
  position.advance("w0", 5 as Token);
  await Promise.all(waiting.filter((_, index) => index % 10 === 0));
  const late = wait("another");
  t.equal(position.waiters, 91);
  const all = Promise.allSettled([...waiting, late]);
  stop.abort(new Error("enough"));
  await all;
  t.match(position, { awaited: 0, waiters: 0 });
});
