// Which tokens of several writers are complete. The cases named A230 to A245 are
// those of Synapse's tests of its id generators (test_id_generators), as far as
// they apply: ours has no backwards streams (A243, A244), one log instead of
// several tables (A245), and its sequence is compared with the log by whoever
// begins to write (A240: tests/writer/several_writers.test.ts).

import t, { type Test } from "tap";
import { type Token, TOKEN_ZERO } from "../../src/tokens/token.ts";
import { type Flight, TokenTracker } from "../../src/tokens/token_tracker.ts";
import { seeded } from "../support/seeded.ts";

const token = (value: number) => value as Token;

/** Positions, and a sequence that all take their tokens from. */
function open(
  positions: Record<string, number>,
  { instance = "first", linear }: { instance?: string; linear?: number } = {},
) {
  const entries = Object.entries(positions)
    .map(([name, at]) => [name, token(at)] as const);
  const tracker = new TokenTracker({
    instance,
    positions: new Map(entries),
    linear: linear === undefined ? undefined : token(linear),
  });
  let last = Math.max(0, linear ?? 0, ...Object.values(positions));
  return {
    tracker,
    take(): { flight: Flight; token: number } {
      const flight = tracker.begin();
      last += 1;
      flight.take(token(last));
      return { flight, token: last };
    },
    /** Another writer takes one. */
    skip: () => last += 1,
  };
}

function at(t: Test, tracker: TokenTracker, position: number, linear: number) {
  t.equal(tracker.position, position, "position");
  t.equal(tracker.linear, linear, "linear position");
}

t.test("A230 an empty log begins at 0, with every writer there", (t) => {
  const { tracker } = open({});
  at(t, tracker, 0, 0);
  t.same(tracker.positions(), new Map([["first", 0]]));
  t.equal(tracker.positionOf("unheard"), TOKEN_ZERO);
  t.end();
});

t.test("A231 a token counts once it has ended, not while it is open", (t) => {
  const { tracker, take } = open({ first: 7 });
  const { flight, token } = take();
  t.equal(token, 8);
  at(t, tracker, 7, 7);
  flight.end();
  at(t, tracker, 8, 8);
  t.end();
});

t.test("A232 out of order: 9, 8, 11, 10", (t) => {
  const { tracker, take } = open({ first: 7 });
  const flights = [take(), take(), take(), take()];
  const end = (which: number) => flights[which - 8]?.flight.end();
  for (
    const [which, position] of [[9, 7], [8, 9], [11, 9], [10, 11]] as const
  ) {
    end(which);
    at(t, tracker, position, position);
  }
  t.end();
});

t.test("A233 a transaction that asks for a token holds the position before it knows which", (t) => {
  const { tracker, take } = open({ first: 7 });
  const asking = tracker.begin();
  const other = take();
  other.flight.end();
  // Every token up to 8 is known to be complete; that it is this writer's last
  // is not.
  at(t, tracker, 7, 8);
  asking.end();
  at(t, tracker, 8, 8);
  t.end();
});

t.test("A234 a second generator sees what the first has completed", (t) => {
  const { tracker, take } = open({ first: 7 });
  const low = take();
  take().flight.end();
  const second = open(Object.fromEntries(tracker.positions()), {
    instance: "second",
  });
  at(t, second.tracker, 7, 7);
  low.flight.end();
  second.tracker.advance("first", tracker.position);
  t.equal(second.tracker.positionOf("first"), 9);
  t.equal(second.tracker.linear, 9);
  t.end();
});

t.test("A235 each token moves its own writer's position only", (t) => {
  const first = open({ first: 3, second: 7 });
  const second = open({ first: 3, second: 7 }, { instance: "second" });
  at(t, first.tracker, 3, 3);
  const taken = first.take();
  taken.flight.end();
  t.equal(first.tracker.positionOf("first"), 8);
  t.equal(second.tracker.positionOf("first"), 3);
  second.tracker.advance("first", token(8));
  t.equal(second.tracker.positionOf("first"), 8);
  t.end();
});

t.test("A236 a new writer begins where all are, and its first token is held back", (t) => {
  const { tracker, take } = open({ first: 7, second: 7 }, {
    instance: "third",
  });
  t.equal(tracker.position, 7);
  const { flight, token } = take();
  t.equal(token, 8);
  tracker.advance("first", 9 as Token);
  tracker.advance("second", 9 as Token);
  at(t, tracker, 7, 7);
  flight.end();
  at(t, tracker, 8, 9);
  t.end();
});

t.test("A237 the linear position is the lowest, and what follows it without a gap", (t) => {
  // Seen by one that writes nothing itself, so that it holds nobody back.
  const { tracker } = open({ first: 3, second: 5 }, {
    instance: "watcher",
    linear: 3,
  });
  const steps: [string, number, number][] = [
    ["first", 6, 6],
    ["second", 7, 7],
    ["second", 9, 7],
    ["first", 8, 9],
    ["first", 11, 9],
    ["second", 15, 11],
  ];
  for (const [instance, position, linear] of steps) {
    tracker.advance(instance, token(position));
    t.equal(tracker.linear, linear, `${instance} at ${position}`);
  }
  t.end();
});

t.test("A238 an own open token holds the linear position", (t) => {
  const { tracker, take } = open({ first: 5 });
  at(t, tracker, 5, 5);
  const { flight } = take();
  at(t, tracker, 5, 5);
  flight.end();
  at(t, tracker, 6, 6);
  t.end();
});

t.test("A239 writers that are not among the positions have no say", (t) => {
  const { tracker } = open({ first: 9 }, { instance: "third" });
  t.equal(tracker.linear, 9, "the removed writer's 5 is not there");
  t.equal(tracker.positionOf("third"), 9);
  t.end();
});

t.test("A241, A242 gaps: the others' position runs ahead, the linear one stays", (t) => {
  const { tracker, take } = open({ first: 7, second: 7 });
  const own = take();
  tracker.advance("second", token(9));
  t.equal(tracker.positionOf("second"), 9);
  at(t, tracker, 7, 7);
  tracker.advance("second", token(11));
  t.equal(tracker.positionOf("second"), 11);
  t.equal(tracker.linear, 7);
  own.flight.end();
  at(t, tracker, 8, 11);
  t.end();
});

t.test("a token that is given up lets the position pass", (t) => {
  const { tracker, take } = open({ first: 7 });
  const low = tracker.begin();
  take().flight.end();
  t.equal(tracker.position, 7);
  low.end();
  low.end();
  t.equal(tracker.position, 8);
  t.equal(tracker.open, 0);
  t.end();
});

t.test("nothing is ever passed that is open, and nothing moves back", (t) => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = seeded(seed);
    const { tracker, take, skip } = open({ first: 0, second: 0 });
    const flights: { flight: Flight; token: number }[] = [];
    const asking: Flight[] = [];
    let others = 0;
    let [position, linear] = [0, 0];
    for (let step = 0; step < 60; step += 1) {
      const action = random.below(6);
      if (action === 0) asking.push(tracker.begin());
      else if (action < 3) flights.push(take());
      else if (action === 3) others = skip();
      else if (action === 4 && flights.length > 0) {
        flights.splice(random.below(flights.length), 1)[0]?.flight.end();
      } else if (asking.length > 0) asking.pop()?.end();
      else if (others > 0) tracker.advance("second", token(others));
      const lowest = Math.min(...flights.map(({ token }) => token), Infinity);
      const isSound = tracker.position < lowest && tracker.linear < lowest &&
        tracker.position >= position && tracker.linear >= linear;
      if (!isSound) {
        t.fail(`seed ${seed}, step ${step}: ${tracker.position} ${lowest}`);
      }
      [position, linear] = [tracker.position, tracker.linear];
    }
  }
  t.pass("200 seeds");
  t.end();
});
