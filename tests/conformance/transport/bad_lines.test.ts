// A line that can't be ends what is read, is told once, and harms nobody else.

import { until } from "../../support/conditions.ts";
import { BAD_LINES_ON_A_CHANNEL } from "./channel_bad_lines.ts";
import { conform, MAX_LINE_BYTES, turns } from "./transports.ts";

const TOO_LONG = "x".repeat(MAX_LINE_BYTES + 1);
const NOT_UTF8: Readonly<Record<string, readonly number[]>> = {
  "a byte that never is": [0x41, 0xff, 0x0a],
  "half a character": [0xe8, 0xaa, 0x0a],
  "a surrogate": [0xed, 0xa0, 0x80, 0x0a],
  "a longer form than needed": [0xc0, 0x80, 0x0a],
};

conform("bad lines", BAD_LINES_ON_A_CHANNEL, {
  "a line that is too long is told once, and nothing after it": async (
    t,
    { pair },
  ) => {
    const { near, far } = await pair();
    near.connection.send("before\n");
    await far.has("before\n");
    near.connection.send(`${TOO_LONG}\nafter\n`);
    for (let round = 0; round < 5; round += 1) {
      near.connection.send(`later\n${TOO_LONG}\n`);
      await turns(5);
    }
    near.connection.close();
    await far.closed();
    t.equal(far.text, "before\n");
    t.match(far.errors, [{
      code: "LINE_TOO_LONG",
      message: /^Line length exceeded: more than 1000 bytes/,
    }]);
    t.same(far.late, []);
  },
  "its end is not waited for": async (t, { pair }) => {
    const { near, far } = await pair();
    far.onClosed = () => t.fail("closed by itself");
    near.connection.send(new TextEncoder().encode(TOO_LONG));
    await turns();
    near.connection.send("y");
    await t.resolves(untilFailed(far));
    t.match(far.errors, [{ code: "LINE_TOO_LONG" }]);
    far.onClosed = () => {};
  },
  "its length is counted in bytes": async (t, { pair }) => {
    const { near, far } = await pair();
    near.connection.send(`${"é".repeat(MAX_LINE_BYTES / 2)}x\n`);
    await untilFailed(far);
    t.match(far.errors, [{ code: "LINE_TOO_LONG" }]);
  },
  "the other way as well": async (t, { pair }) => {
    const { near, far } = await pair();
    far.connection.send(`${TOO_LONG}\n`);
    await untilFailed(near);
    t.match(near.errors, [{ code: "LINE_TOO_LONG" }]);
    t.equal(far.closes, 0);
  },
  ...Object.fromEntries(
    Object.entries(NOT_UTF8).map(([what, bytes]) => [
      `not UTF-8: ${what}`,
      async (t, { pair }) => {
        const { near, far } = await pair();
        near.connection.send(Uint8Array.from(bytes));
        near.connection.send("after\n");
        await untilFailed(far);
        await turns();
        t.match(far.errors, [{
          code: "LINE_INVALID",
          message: /^failed to parse line: not UTF-8/,
        }]);
        t.equal(far.text, "");
      },
    ]),
  ),
  "what came before it is handed on first": async (t, { pair }) => {
    const { near, far } = await pair();
    near.connection.send(`one\ntwo\n${TOO_LONG}\nafter\n`);
    await untilFailed(far);
    t.equal(far.text, "one\ntwo\n");
    t.same(far.late, []);
  },
  "what came before it is handed on first, though the connection is paused":
    async (t, { pair }) => {
      const { near, far } = await pair();
      far.onReceived = () => far.connection.pause();
      near.connection.send(Uint8Array.of(0x74, 0x0a, 0x41, 0xff, 0x0a, 0x42));
      await far.has("t\n");
      await turns();
      t.equal(far.errors.length, 0, "not while it is paused");
      far.connection.resume();
      await untilFailed(far);
      t.equal(far.text, "t\n");
      t.match(far.errors, [{ message: /\("A\xff"\)$/ }]);
    },
  "others are untouched": async (t, { pair }) => {
    const bad = await pair();
    const good = await pair();
    bad.near.connection.send(`${TOO_LONG}\n`);
    await untilFailed(bad.far);
    good.near.connection.send("fine\n");
    await good.far.has("fine\n");
    t.equal(good.far.text, "fine\n");
    t.same(good.far.errors, []);
  },
  "whoever got it can still say so, and close": async (t, { pair }) => {
    const { near, far } = await pair();
    near.connection.send(`${TOO_LONG}\n`);
    await untilFailed(far);
    far.connection.send("ERROR too long\n");
    far.connection.close();
    await near.closed();
    await far.closed();
    t.equal(near.text, "ERROR too long\n");
    t.equal(far.closes, 1);
  },
  "it is told though the connection is paused and resumed": async (
    t,
    { pair },
  ) => {
    const { near, far } = await pair();
    far.connection.pause();
    near.connection.send(`${TOO_LONG}\n`);
    await turns();
    far.connection.resume();
    await untilFailed(far);
    t.equal(far.errors.length, 1);
    t.equal(far.text, "");
  },
});

async function untilFailed(end: { errors: readonly unknown[] }): Promise<void> {
  await until("it has failed", () => end.errors.length > 0);
}
