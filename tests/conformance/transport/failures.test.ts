// What can't be done is said: with which value, and what to do about it.

import { CONNECT_ATTEMPT_TIMEOUT_MS } from "../../../src/runtime/limits.ts";
import { openTransport } from "../../../src/transport/open_transport.ts";
import { FAILURES_ON_A_CHANNEL } from "./channel_failures.ts";
import { secretsOf } from "./secrets.ts";
import { watch } from "./ends.ts";
import { conform, turns } from "./transports.ts";

conform("failures", FAILURES_ON_A_CHANNEL, {
  "listening where somebody listens": async (t, ground) => {
    const { listener, place, clock, kind } = ground;
    const address = kind === "port" ? place.listen : listener.url;
    const options = { maxLineBytes: 100, tls: place.tls };
    const again = openTransport(address, clock, options);
    const error = await again.listen(watch(() => {})).then(
      () => undefined,
      (error) => error,
    );
    t.match(error, {
      name: "HeadwaterError",
      code: "LISTEN_FAILED",
      message: kind === "port"
        ? /^Cannot serve a MessagePort: it is served already; give /
        : /^Cannot listen on \S+: .+; give another/,
    });
    for (const secret of secretsOf(place)) {
      t.notOk(String(error?.message).includes(secret));
    }
    const { near, far } = await ground.pair();
    near.connection.send("the first one lives on\n");
    await far.has("the first one lives on\n");
  },
  "connecting where nobody listens any more": async (t, ground) => {
    await ground.listener.close();
    const error = await ground.connect().then(
      () => undefined,
      (error) => error,
    );
    t.ok(error instanceof Error);
    t.match(error?.message, /\S/);
    for (const secret of secretsOf(ground.place)) {
      t.notOk(String(error?.message).includes(secret));
    }
    t.equal(ground.clock.timers, 0);
  },
  "an attempt that is made again succeeds": async (t, ground) => {
    await ground.listener.close();
    await t.rejects(ground.connect());
    await t.rejects(ground.connect());
    await ground.listen();
    const { near, far } = await ground.pair();
    near.connection.send("there\n");
    await far.has("there\n");
    await turns();
    t.equal(ground.accepted.length, 1);
  },
  "an attempt leaves no timer": async (t, ground) => {
    const { near, far } = await ground.pair();
    ground.clock.advance(2 * CONNECT_ATTEMPT_TIMEOUT_MS);
    near.connection.send("still here\n");
    await far.has("still here\n");
    t.equal(near.closes, 0);
    t.equal(ground.clock.timers, 0);
  },
});
