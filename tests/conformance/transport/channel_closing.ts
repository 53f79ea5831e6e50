// The end of one's own connection to a channel of Redis: what was sent arrives,
// closed() is said once, last, and the others go on without a word of it.

import { until } from "../../support/conditions.ts";
import { comesAgain, untilSubscribers } from "./channel_ends.ts";
import { type End, watch } from "./ends.ts";
import { type ChannelCase, type ChannelLikes, turns } from "./transports.ts";

const LINES = `${"x".repeat(999)}\n`.repeat(4_000);

/** What one has sent before it closes is heard by the other. */
function arrives(from: "near" | "far", to: "near" | "far"): ChannelCase {
  return async (t, { pair, listener }) => {
    const ends = await pair();
    // Else it would come again.
    await listener.close();
    ends[from].connection.send(LINES);
    ends[from].connection.send("last\n");
    ends[from].connection.close();
    await ends[to].has("last\n");
    await ends[from].closed();
    t.ok(ends[to].text === `${LINES}last\n`);
    t.equal(ends[to].closes, 0);
  };
}

/** In the place of `closing.test.ts`'s. */
export const CLOSING_ON_A_CHANNEL: ChannelLikes = {
  "what was sent arrives, from who connected": {
    "what was sent is heard, from who connected": arrives("near", "far"),
  },
  "what was sent arrives, from the listener": {
    "what was sent is heard, from the listener": arrives("far", "near"),
  },
  "what is sent afterwards does not": {
    "what is sent afterwards is not": async (t, { pair }) => {
      const { near, far } = await pair();
      near.connection.send("in time\n");
      near.connection.close();
      near.connection.send("too late\n");
      await near.closed();
      near.connection.send("much too late\n");
      far.connection.send("end\n");
      await far.has("end\n");
      t.equal(far.text, "in time\nend\n");
      t.equal(near.text, "", "and nothing is heard");
    },
  },
  "closed() is said once, on both ends": {
    "closed() is said once, to who closed": async (t, ground) => {
      const { near, far } = await ground.pair();
      near.connection.close();
      await near.closed();
      await untilSubscribers(ground, 1);
      t.same([near.closes, far.closes], [1, 0]);
    },
    "closed() is said once, to who is cut off": async (t, ground) => {
      const { near, far } = await ground.pair();
      await untilSubscribers(ground, 2);
      // Both of its connections to Redis go, one after the other.
      ground.shared.near.cutAll();
      await near.closed();
      await untilSubscribers(ground, 1);
      near.connection.close();
      await turns();
      t.same([near.closes, far.closes], [1, 0]);
    },
  },
  "closing twice is closing once": {
    "closing twice is closing once": async (t, { pair }) => {
      const { near } = await pair();
      near.connection.close();
      near.connection.close();
      await near.closed();
      near.connection.close();
      await turns();
      t.equal(near.closes, 1);
    },
  },
  "both ends at once": {
    "all at once: none is left": async (t, ground) => {
      const { near, far } = await ground.pair();
      await ground.listener.close();
      near.connection.send("from near\n");
      near.connection.close();
      far.connection.close();
      await near.closed();
      await far.closed();
      await untilSubscribers(ground, 0);
      t.same([near.closes, far.closes], [1, 1]);
      t.equal(ground.clock.timers, 0);
    },
  },
  "no timer is left": {
    "no timer is left but the listener's own": async (t, ground) => {
      const { timers } = ground.clock;
      const { near } = await ground.pair();
      t.ok(ground.clock.timers > timers, "Redis is asked whether it is there");
      near.connection.close();
      await near.closed();
      await turns();
      t.equal(ground.clock.timers, timers);
    },
  },
  "closed() comes last": {
    "closed() comes last": async (t, { pair }) => {
      const { near, far } = await pair();
      for (let round = 0; round < 200; round += 1) {
        far.connection.send(`${round}\n`);
        if (round === 100) near.connection.close();
      }
      await far.has("199\n");
      await near.closed();
      await turns();
      t.same(near.late, []);
      t.ok(far.text.startsWith(near.text));
    },
  },
  "closing while lines are taken ends them": {
    "closing while lines are taken ends them": async (t, { pair }) => {
      const { near, far } = await pair();
      near.onReceived = () => near.connection.close();
      far.connection.send("first\n");
      await near.closed();
      far.connection.send("second\n");
      await far.has("second\n");
      t.equal(near.text, "first\n");
      t.same(near.late, []);
    },
  },
  "closing while it is accepted": {
    "closing while it is accepted: what was said is heard, and it comes again":
      async (t, ground) => {
        const { near } = await ground.pair();
        const closed: End[] = [];
        const listener = await ground.listen(watch((end) => {
          closed.push(end);
          end.connection.send(`no room for ${closed.length}\n`);
          end.connection.close();
        }));
        await near.has("no room for 1\n");
        await until("it has come again", () => {
          ground.clock.advance(20);
          return closed.length > 1;
        });
        await listener.close();
        await closed[0]?.closed();
        t.equal(closed[0]?.closes, 1);
        t.equal(closed[0]?.text, "");
      },
  },
  "closing as soon as it is connected": {
    "closing as soon as it is connected": async (t, ground) => {
      const near = await ground.connect(({ connection }) => connection.close());
      await near.closed();
      await untilSubscribers(ground, 1);
      t.equal(near.closes, 1);
      t.equal(ground.accepted[0]?.closes, 0);
    },
  },
  "closing from within closed() is nothing": {
    "closing from within closed() is nothing": async (t, { pair, shared }) => {
      const { near } = await pair();
      near.onClosed = () => near.connection.close();
      shared.near.cutAll();
      await near.closed();
      await turns();
      t.equal(near.closes, 1);
    },
  },
  "closing a paused connection": {
    "closing a paused connection": async (t, { pair }) => {
      const { near, far } = await pair();
      near.connection.pause();
      far.connection.send("a\n");
      await far.has("a\n");
      await turns();
      near.connection.close();
      near.connection.resume();
      await near.closed();
      near.connection.resume();
      t.equal(near.text, "");
    },
  },
  "being closed while paused: what had come is given": {
    "being cut off while paused: what had come is dropped, to be fetched":
      async (t, { pair, shared }) => {
        const { near, far } = await pair();
        near.connection.pause();
        far.connection.send("a\nb\n");
        await far.has("b\n");
        await turns();
        shared.near.cutAll();
        await near.closed();
        near.connection.resume();
        await turns();
        t.equal(near.text, "");
        t.same(near.late, []);
      },
  },
  "half a line at the end is no line": {
    "a send that is cut off is heard whole, or not at all": async (
      t,
      { pair, connect, shared },
    ) => {
      const { near, far } = await pair();
      const other = await connect();
      const lines = Array.from({ length: 2_000 }, (_, at) => `${at}\n`);
      for (let round = 0; round < 20; round += 1) {
        near.connection.send(`${lines.join("")}whole\n`);
      }
      await until("some are on their way", () => shared.near.stats.bytes > 1e5);
      shared.near.cutAll();
      await near.closed();
      await other.closed();
      far.connection.send("end\n");
      // Redis may yet read a send that left before the cut: it follows whole.
      await until("the end has come", () => far.text.includes("end\n"));
      const [heard = ""] = far.text.split("end\n");
      const sends = heard.split("whole\n");
      t.equal(sends.pop(), "", "nothing follows the last that was whole");
      for (const send of sends) t.ok(send === lines.join(""));
    },
  },
  "nothing waits once it is over": {
    "nothing waits once it is over": async (t, { pair, shared }) => {
      const { near } = await pair();
      near.connection.send(LINES);
      near.connection.close();
      await near.closed();
      t.equal(near.connection.queuedBytes, 0);
      const { near: other } = await pair();
      shared.near.stall();
      other.connection.send(LINES);
      t.equal(other.connection.queuedBytes, LINES.length);
      shared.near.cutAll();
      await other.closed();
      t.equal(other.connection.queuedBytes, 0, "what never left, either");
    },
  },
  "others live on": {
    "others live on": async (t, { pair, connect, shared }) => {
      const { near, far } = await pair();
      shared.near.cutAll();
      await near.closed();
      const other = await connect();
      far.connection.send("alive\n");
      await other.has("alive\n");
      t.same([other.closes, far.closes], [0, 0]);
    },
  },
  "Listener.close() leaves the connections that are there": {
    "Listener.close() leaves the connections that are there": async (
      t,
      { pair, listener },
    ) => {
      const { near, far } = await pair();
      await listener.close();
      far.connection.send("still here\n");
      await near.has("still here\n");
      near.connection.send("still there\n");
      await far.has("still there\n");
      t.same([near.closes, far.closes], [0, 0]);
    },
  },
  "Listener.close() lets nobody in": {
    "a listener that was cut off comes again": async (t, ground) => {
      const { near, far } = await ground.pair();
      ground.shared.far.cutAll();
      await far.closed();
      const again = await comesAgain(ground, 2);
      near.connection.send("again\n");
      await again.has("again\n");
      t.same([far.closes, near.closes], [1, 0]);
    },
    "Listener.close(): one that is cut off doesn't come again": async (
      t,
      ground,
    ) => {
      const { near, far } = await ground.pair();
      await ground.listener.close();
      ground.shared.far.cutAll();
      await far.closed();
      await untilSubscribers(ground, 1);
      for (let count = 0; count < 20; count += 1) {
        ground.clock.advance(1_000);
        await turns(1);
      }
      near.connection.send("alone\n");
      await near.has("alone\n");
      t.equal(ground.accepted.length, 1);
      t.equal(ground.shared.far.open, 0);
    },
  },
  "Listener.close() twice": {
    "Listener.close() twice, while Redis is away": async (t, ground) => {
      const { far } = await ground.pair();
      ground.shared.far.isRefusing = true;
      ground.shared.far.cutAll();
      await far.closed();
      await until("it tries", () => {
        ground.clock.advance(20);
        return ground.shared.far.stats.refused > 0;
      });
      await ground.listener.close();
      await ground.listener.close();
      const { refused } = ground.shared.far.stats;
      for (let count = 0; count < 20; count += 1) {
        ground.clock.advance(1_000);
        await turns(1);
      }
      t.ok(ground.shared.far.stats.refused <= refused + 1);
      t.equal(ground.accepted.length, 1);
    },
  },
};
