// A handler that fails: what it gets again, and who waits for it meanwhile.

import t from "tap";
import {
  type Batch,
  type HandlerFailure,
  type RetryPolicy,
  StreamSubscription,
} from "../../src/replication/stream_subscription.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import type { Token } from "../../src/tokens/token.ts";
import { until } from "../support/conditions.ts";
import { manualClock } from "../support/manual_clock.ts";

function batch(token: number, rows = 1): Batch {
  return {
    stream: "orders",
    instance: "master",
    token: token as Token,
    rows: Array.from({ length: rows }, (_, index) => index),
  };
}

/** A subscription whose handler fails as often as it is told to, by token. */
function start(retry?: RetryPolicy) {
  const clock = manualClock();
  const calls: number[] = [];
  const failures: HandlerFailure[] = [];
  const failing = new Map<number, number>();
  const subscription = new StreamSubscription(
    ({ token }) => {
      calls.push(token);
      const left = failing.get(token) ?? 0;
      failing.set(token, left - 1);
      if (left > 0) throw new Error(`failed on ${token}`);
    },
    { retry, onFailure: (failure) => void failures.push(failure) },
    { clock, logger: silentLogger, failed: () => {} },
  );
  return {
    clock,
    calls,
    failing,
    subscription,
    told: () =>
      failures.map(({ batch, attempt, isGivenUp }) =>
        `${batch.token}#${attempt}${isGivenUp ? " given up" : ""}`
      ),
    /** Lets time pass until a handler has been called so often. */
    async called(count: number) {
      await until(`it is called ${count} times`, () => {
        if (calls.length < count) clock.advance(10);
        return calls.length >= count;
      });
    },
  };
}

t.test("without a policy a failure is told of once, and the next batch comes", (t) => {
  const { subscription, failing, calls, told } = start();
  failing.set(1, 1);
  t.equal(subscription.take(batch(1)), undefined);
  t.equal(subscription.take(batch(2)), undefined);
  t.same(calls, [1, 2]);
  t.same(told(), ["1#1 given up"]);
  t.equal(subscription.queued, 0);
  t.end();
});

t.test("A280: with one, later batches line up behind the one it gets again", async (t) => {
  const { subscription, failing, calls, told, called } = start({
    attempts: 3,
  });
  failing.set(1, 2);
  t.equal(subscription.take(batch(1)), undefined, "nobody is held up");
  t.equal(subscription.take(batch(2)), undefined);
  t.equal(subscription.take(batch(3)), undefined);
  t.same(calls, [1]);
  t.equal(subscription.queued, 3);
  const passed = subscription.passed("master", 2 as Token);
  t.equal(subscription.passed("other", 9 as Token), undefined);
  await called(5);
  await passed;
  t.same(calls, [1, 1, 1, 2, 3], "one at a time, in order");
  t.same(told(), ["1#1", "1#2"]);
  await until("nothing waits", () => subscription.queued === 0);
  t.equal(subscription.take(batch(4)), undefined);
  t.same(calls.at(-1), 4, "it is called at once again");
});

t.test("after so many attempts a batch is given up, and the next one comes", async (t) => {
  const { subscription, failing, calls, told, called } = start({
    attempts: 2,
  });
  failing.set(1, 9).set(2, 1);
  subscription.take(batch(1));
  subscription.take(batch(2));
  await called(4);
  t.same(calls, [1, 1, 2, 2]);
  t.same(told(), ["1#1", "1#2 given up", "2#1"]);
});

t.test("its pauses grow, to a bound, and begin anew with the next batch", async (t) => {
  const { subscription, failing, calls, clock } = start({
    attempts: 9,
    minBackoffMs: 100,
    maxBackoffMs: 500,
  });
  failing.set(1, 4);
  subscription.take(batch(1));
  let count = 1;
  for (const delayMs of [100, 100 * Math.E, 500, 500]) {
    await until("it pauses", () => clock.timers === 1);
    clock.advance(delayMs - 1);
    t.equal(calls.length, count);
    clock.advance(1.001);
    count += 1;
    await until("it is called", () => calls.length === count);
  }
  await until("it is done", () => subscription.queued === 0);
  failing.set(2, 1);
  subscription.take(batch(2));
  await until("it pauses", () => clock.timers === 1);
  clock.advance(100.001);
  await until("it is called", () => calls.length === count + 2);
});

t.test("once too many rows wait, the batch before them is given up early", async (t) => {
  const { subscription, failing, calls, told } = start({
    attempts: 99,
    minBackoffMs: 60_000,
    maxQueuedRows: 10,
  });
  failing.set(1, 99);
  subscription.take(batch(1));
  t.equal(subscription.take(batch(2, 6)), undefined);
  const room = subscription.take(batch(3, 6));
  t.ok(room, "the next one has to wait");
  await room;
  await until("all are through", () => subscription.queued === 0);
  t.same(calls, [1, 2, 3]);
  t.same(told(), ["1#1", "1#1 given up"]);
});

t.test("a promise that rejects counts as a failure, and holds up its first call only", async (t) => {
  const clock = manualClock();
  const calls: number[] = [];
  const subscription = new StreamSubscription(
    async ({ token }) => {
      calls.push(token);
      await Promise.resolve();
      if (calls.length === 1) throw new Error("failed");
    },
    {
      retry: {},
      onFailure: () => {
        throw new Error("onFailure fails too");
      },
    },
    { clock, logger: silentLogger, failed: () => {} },
  );
  await subscription.take(batch(1));
  t.equal(subscription.queued, 1);
  await until("it is called again", () => {
    clock.advance(100);
    return calls.length === 2;
  });
});

t.test("what is queued of one instance can be given up: the rest comes", async (t) => {
  const { subscription, failing, calls, told, called } = start({
    maxQueuedRows: 2,
  });
  failing.set(1, 9);
  const other = { ...batch(2), instance: "other" };
  t.equal(subscription.giveUp("master"), undefined, "nothing is queued");
  t.equal(subscription.take(batch(1)), undefined);
  t.equal(subscription.giveUp("nobody"), undefined);
  t.equal(subscription.take(other), undefined);
  t.equal(subscription.take(batch(3)), undefined);
  const passed = subscription.passed("master", 3 as Token);
  await subscription.giveUp("master");
  await passed;
  await called(2);
  t.equal(subscription.take(batch(4)), undefined, "there is room");
  await called(3);
  t.same(calls, [1, 2, 4]);
  t.same(told(), ["1#1", "1#1 given up"]);
});

t.test("a call that is under way when its batch is given up is the last", async (t) => {
  const fails: ((error: Error) => void)[] = [];
  const clock = manualClock();
  const subscription = new StreamSubscription(
    () => new Promise((_, reject) => void fails.push(reject)),
    { retry: { minBackoffMs: 1 } },
    { clock, logger: silentLogger, failed: () => {} },
  );
  const first = subscription.take(batch(1));
  fails[0]?.(new Error("no"));
  await first;
  await until("it is called again", () => {
    clock.advance(1);
    return fails.length === 2;
  });
  let isGivenUp = false;
  const done = subscription.giveUp("master")?.then(() => isGivenUp = true);
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(isGivenUp, "it is at work");
  fails[1]?.(new Error("no"));
  await done;
  t.equal(subscription.queued, 0);
  t.equal(fails.length, 2);
});

t.test("once closed it calls nothing, and nobody waits for it", async (t) => {
  const { subscription, failing, calls, clock } = start({});
  failing.set(1, 9);
  subscription.take(batch(1));
  subscription.take(batch(2));
  const passed = subscription.passed("master", 2 as Token);
  subscription.close();
  await passed;
  t.equal(subscription.queued, 0);
  t.equal(clock.timers, 0);
  t.equal(subscription.take(batch(3)), undefined);
  t.same(calls, [1]);
});

t.test("one that fails as a long queue has just ended is tried by one alone", async (t) => {
  const turns: (() => void)[] = [];
  let isWorking = false;
  const seen: number[] = [];
  const failing = new Set([1, 200]);
  const wrong: number[] = [];
  const subscription = new StreamSubscription(
    async ({ token }) => {
      if (isWorking) wrong.push(token);
      isWorking = true;
      await Promise.resolve();
      isWorking = false;
      if (failing.delete(token)) throw new Error(`failed on ${token}`);
      seen.push(token);
    },
    { retry: { minBackoffMs: 0 } },
    {
      clock: { ...systemClock, nextTurn: (action) => void turns.push(action) },
      logger: silentLogger,
      failed: () => {},
    },
  );
  await subscription.take(batch(1));
  for (let token = 2; token <= 99; token += 1) subscription.take(batch(token));
  await until("all are through", () => seen.length === 99);
  await Promise.resolve();
  await subscription.take(batch(200));
  for (const token of [201, 202]) subscription.take(batch(token));
  for (const turn of turns.splice(0)) turn();
  await until("these are, too", () => subscription.queued === 0);
  t.same(seen.slice(99), [200, 201, 202], "each once");
  t.same(wrong, [], "never two calls at once");
});

t.test("it refuses a number of attempts that can't be", (t) => {
  for (const attempts of [0, -1, 1.5, NaN]) {
    t.throws(() => start({ attempts }), {
      code: "INVALID_ARGUMENT",
      message:
        `Cannot subscribe: attempts is ${attempts}; give a positive integer`,
    });
  }
  t.end();
});
