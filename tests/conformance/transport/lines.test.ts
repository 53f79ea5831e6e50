// Whatever is sent arrives, as it is and in order, however it is cut.

import { Buffer } from "node:buffer";
import { until } from "../../support/conditions.ts";
import { seeded } from "../../support/seeded.ts";
import { LINES_ON_A_CHANNEL } from "./channel_lines.ts";
import { type Case, conform, turns } from "./transports.ts";

const BOTH_WAYS = ["to the listener", "to who connected"] as const;
const UNICODE = "a é ß 語 ﷽ 👍🏽 \u2028 \u0301 🏴\n";

/** A case that sends from one end to the other, in each direction. */
function bothWays(
  name: string,
  run: (
    send: (lines: string | Uint8Array) => void,
    heard: { text(): string; has(ending: string): Promise<void> },
    t: Parameters<Case>[0],
  ) => Promise<void>,
): Record<string, Case> {
  return Object.fromEntries(BOTH_WAYS.map((way) => [
    `${name}, ${way}`,
    async (t, { pair }) => {
      const { near, far } = await pair();
      const [from, to] = way === "to the listener" ? [near, far] : [far, near];
      await run(
        (lines) => from.connection.send(lines),
        { text: () => to.text, has: (ending) => to.has(ending) },
        t,
      );
      t.same(to.torn, [], "whole lines each time");
    },
  ]));
}

conform("lines", LINES_ON_A_CHANNEL, {
  ...bothWays("20,000 of them arrive in order", async (send, heard, t) => {
    let sent = "";
    for (let number = 0; number < 20_000; number += 1) {
      const line = `${number} é語👍 ${"x".repeat(number % 100)}\n`;
      sent += line;
      send(number % 2 === 0 ? line : new TextEncoder().encode(line));
    }
    await heard.has("19999 é語👍 " + "x".repeat(99) + "\n");
    t.ok(heard.text() === sent);
  }),
  ...bothWays("4 MB at once", async (send, heard, t) => {
    const lines = `${"x".repeat(999)}\n`.repeat(4_000);
    send(lines);
    send("end\n");
    await heard.has("end\n");
    t.ok(heard.text() === `${lines}end\n`);
  }),
  ...bothWays("the same bytes twice", async (send, heard, t) => {
    const bytes = Buffer.from("again\n");
    send(bytes);
    send(bytes);
    send("end\n");
    await heard.has("end\n");
    t.equal(heard.text(), "again\nagain\nend\n");
    t.equal(bytes.toString(), "again\n", "they are the sender's still");
  }),
  "both ways at once": async (t, { pair }) => {
    const { near, far } = await pair();
    let lines = "";
    for (let number = 0; number < 5_000; number += 1) {
      const line = `${number}\n`;
      lines += line;
      near.connection.send(line);
      far.connection.send(line);
    }
    await near.has("4999\n");
    await far.has("4999\n");
    t.ok(near.text === lines && far.text === lines);
  },
  "a line that is only a newline": async (t, { pair }) => {
    const { near, far } = await pair();
    near.connection.send("\n");
    await far.has("\n");
    t.equal(far.text, "\n");
  },
  "empty lines among others": async (t, { pair }) => {
    const { near, far } = await pair();
    const lines = "\n\n\na\n\n\nb\n\nend\n";
    near.connection.send(lines);
    await far.has("end\n");
    t.equal(far.text, lines);
  },
  "characters of every width": async (t, { pair }) => {
    const { near, far } = await pair();
    near.connection.send(UNICODE.repeat(100));
    near.connection.send("end\n");
    await far.has("end\n");
    t.equal(far.text, `${UNICODE.repeat(100)}end\n`);
  },
  "control characters and a byte order mark": async (t, { pair }) => {
    const { near, far } = await pair();
    const lines = "\ufeffa\r\n\u0000\t\u007f\u0085\n\ufeff\nend\n";
    near.connection.send(lines);
    await far.has("end\n");
    t.equal(far.text, lines);
  },
  "half a character becomes a mark, and nothing else changes": async (
    t,
    { pair },
  ) => {
    const { near, far } = await pair();
    near.connection.send("a\ud83d b\ndone\n");
    await far.has("done\n");
    t.equal(far.text, "a\ufffd b\ndone\n");
  },
  "a line of the longest length": async (t, { pair }) => {
    const { near, far } = await pair();
    const line = `${"é".repeat(500)}\n`;
    near.connection.send(line);
    near.connection.send("end\n");
    await far.has("end\n");
    t.equal(far.text, `${line}end\n`);
    t.same(far.errors, []);
  },
  "no text at all is nothing": async (t, { pair }) => {
    const { near, far } = await pair();
    near.connection.send("");
    near.connection.send(new Uint8Array(0));
    near.connection.send("end\n");
    await far.has("end\n");
    t.equal(far.text, "end\n");
  },
  "bytes from the middle of others": async (t, { pair }) => {
    const { near, far } = await pair();
    const whole = Buffer.from("secret before\nthe line\nsecret after\n");
    near.connection.send(whole.subarray(14, 23));
    near.connection.send("end\n");
    await far.has("end\n");
    t.equal(far.text, "the line\nend\n");
  },
  "bytes are sent as they were when they were sent": async (t, { pair }) => {
    const { near, far } = await pair();
    // As a streamer does: the same to many, of which none changes it.
    const bytes = new TextEncoder().encode("one for all\n");
    for (let copy = 0; copy < 3; copy += 1) near.connection.send(bytes);
    near.connection.send("end\n");
    await far.has("end\n");
    t.equal(far.text, "one for all\n".repeat(3) + "end\n");
  },
  "the same bytes to many connections": async (t, ground) => {
    const pairs = [];
    for (let count = 0; count < 10; count += 1) pairs.push(await ground.pair());
    const bytes = Buffer.from(UNICODE.repeat(200));
    for (const { far } of pairs) far.connection.send(bytes);
    for (const { near } of pairs) {
      await until("all has come", () => near.text.length >= 200);
      await near.has(UNICODE.repeat(200));
      t.equal(near.text, UNICODE.repeat(200));
    }
  },
  "a line cut at any byte": async (t, { pair }) => {
    const { near, far } = await pair();
    const bytes = Buffer.from(`x${UNICODE}`);
    for (let cut = 1; cut < bytes.length; cut += 1) {
      near.connection.send(bytes.subarray(0, cut));
      await turns(2);
      near.connection.send(bytes.subarray(cut));
    }
    near.connection.send("end\n");
    await far.has("end\n");
    t.equal(far.text, `x${UNICODE}`.repeat(bytes.length - 1) + "end\n");
    t.same(far.torn, []);
  },
  "a line byte by byte": async (t, { pair }) => {
    const { near, far } = await pair();
    for (const byte of Buffer.from(UNICODE)) {
      near.connection.send(Uint8Array.of(byte));
      await turns(1);
      t.equal(far.text === "" || far.text === UNICODE, true);
    }
    await far.has(UNICODE);
    t.equal(far.text, UNICODE);
  },
  "cuts at random": async (t, { pair }) => {
    const { near, far } = await pair();
    const random = seeded(11);
    const text = random.list(300, () => `${random.text(20)}\n`).join("");
    const bytes = Buffer.concat([Buffer.from(text), Buffer.from("end\n")]);
    for (let start = 0; start < bytes.length;) {
      const end = start + 1 + random.below(40);
      near.connection.send(bytes.subarray(start, end));
      start = end;
      if (random.below(8) === 0) await turns(1);
    }
    await far.has("end\n");
    t.ok(far.text === bytes.toString());
    t.same(far.torn, []);
  },
  "the end of a line opens the next": async (t, { pair }) => {
    const { near, far } = await pair();
    near.connection.send("a\nb");
    await far.has("a\n");
    await turns();
    t.equal(far.text, "a\n");
    near.connection.send("c\nd\n");
    await far.has("d\n");
    t.equal(far.text, "a\nbc\nd\n");
  },
});
