// Within one process: by name, in a later turn, by a clock that tests hold.

import t from "tap";
import { systemClock } from "../../src/runtime/clock.ts";
import { memoryTransport } from "../../src/transport/memory_transport.ts";
import { type End, watch } from "../conformance/transport/ends.ts";

const OPTIONS = { maxLineBytes: 1_000 };

t.test("lines arrive in the next turn of the clock, never at once", async (t) => {
  let turns: (() => void)[] = [];
  const clock = {
    ...systemClock,
    nextTurn: (action: () => void) => void turns.push(action),
  };
  const turn = async () => {
    const due = turns;
    turns = [];
    for (const action of due) action();
    // What was promised.
    await Promise.resolve();
    await Promise.resolve();
  };
  const transport = memoryTransport("turns", clock, OPTIONS);
  const far: End[] = [];
  const near: End[] = [];
  const listener = await transport.listen(watch((end) => far.push(end)));
  const connecting = transport.connect(watch((end) => near.push(end)));
  t.equal(far.length, 0);
  await turn();
  await connecting;
  near[0]?.connection.send("a\n");
  near[0]?.connection.send("b\n");
  t.equal(far[0]?.text, "");
  t.equal(near[0]?.connection.queuedBytes, 4);
  await turn();
  t.equal(far[0]?.text, "a\nb\n");
  await turn();
  await turn();
  t.equal(near[0]?.connection.queuedBytes, 0);
  near[0]?.connection.close();
  t.equal(far[0]?.closes, 0);
  await turn();
  t.equal(far[0]?.closes, 1);
  await turn();
  t.equal(near[0]?.closes, 1);
  await listener.close();
});

t.test("a name is one listener's at a time", async (t) => {
  const transport = memoryTransport("one", systemClock, OPTIONS);
  const listener = await transport.listen(watch(() => {}));
  await t.rejects(transport.listen(watch(() => {})), {
    code: "LISTEN_FAILED",
    message:
      "Cannot listen on memory:one: the name is in use in this process; give another",
  });
  await listener.close();
  const next = await transport.listen(watch(() => {}));
  await listener.close();
  await t.rejects(
    transport.listen(watch(() => {})),
    { code: "LISTEN_FAILED" },
    "it is the next one's",
  );
  await next.close();
  await t.rejects(transport.connect(watch(() => {})), {
    message: "Cannot connect to memory:one: nobody in this process listens " +
      "there; open a writer with it first",
  });
});
