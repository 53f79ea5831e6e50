// What is gathered leaves at once if it is alone in its turn, else together.

import t from "tap";
import { TurnFlusher } from "../../src/replication/turn_flusher.ts";
import { systemClock } from "../../src/runtime/clock.ts";

t.test("the first leaves before its turn ends, all others with its end", async (t) => {
  const turns: (() => void)[] = [];
  const clock = {
    ...systemClock,
    nextTurn: (action: () => void) => void turns.push(action),
  };
  const endTurn = () => turns.splice(0).forEach((action) => action());
  let flushes = 0;
  const turn = new TurnFlusher(clock, () => {
    flushes += 1;
    turn.done();
  });
  turn.request();
  turn.request();
  t.equal(flushes, 0, "not before those of the same call are there, too");
  await Promise.resolve();
  t.equal(flushes, 1);
  turn.request();
  turn.request();
  await Promise.resolve();
  t.equal(flushes, 1);
  endTurn();
  t.equal(flushes, 2);
  turn.request();
  await Promise.resolve();
  t.equal(flushes, 3, "the next turn begins anew");
  endTurn();
  t.equal(flushes, 3, "nothing is left");
  turn.request();
  turn.done();
  await Promise.resolve();
  endTurn();
  t.equal(flushes, 3, "what has been done meanwhile is not done again");
});
