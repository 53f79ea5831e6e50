// The heap of waiters against the simplest thing that can be trusted: a list; and
// what waits leave behind.

import t from "tap";
import { ReaderPosition } from "../../src/replication/reader_position.ts";
import { TokenWaiters } from "../../src/replication/token_waiters.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { Token } from "../../src/tokens/token.ts";
import { freshlySeeded } from "../support/seeded.ts";

const timeout = () => new Error("timeout");

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
