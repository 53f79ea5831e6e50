// However the bytes are cut, the lines are the same; and no cut makes a line
// longer or shorter than it is.

import { Buffer } from "node:buffer";
import t from "tap";
import { LineError, LineSplitter } from "../../src/transport/line_splitter.ts";
import { seeded, shown } from "../support/seeded.ts";

const TEXT = "PING é\n\nRDATA a 語 👍 1\r\n\u0000\nüü";
const WHOLE = TEXT.slice(0, TEXT.lastIndexOf("\n") + 1);

/** What a new splitter makes of some chunks; each is spoilt afterwards, as a socket may. */
function split(chunks: readonly Uint8Array[], maxLineBytes = 100): string {
  const splitter = new LineSplitter(maxLineBytes);
  return chunks.map((chunk) => {
    const copy = Buffer.from(chunk);
    const lines = splitter.push(copy);
    copy.fill(0x58);
    return lines;
  }).join("");
}

t.test("LineSplitter gives the same lines for every cut", (t) => {
  const bytes = Buffer.from(TEXT);
  t.equal(split([bytes]), WHOLE);
  const wrong: string[] = [];
  for (let first = 0; first <= bytes.length; first += 1) {
    for (let second = first; second <= bytes.length; second += 1) {
      const lines = split([
        bytes.subarray(0, first),
        bytes.subarray(first, second),
        bytes.subarray(second),
      ]);
      if (lines !== WHOLE) wrong.push(`${first}, ${second}: ${shown(lines)}`);
    }
  }
  t.same(wrong, []);
  t.equal(split(Array.from(bytes, (byte) => Buffer.of(byte))), WHOLE);
  t.end();
});

t.test("LineSplitter gives the same lines for cuts at random", (t) => {
  const random = seeded(6);
  const wrong: string[] = [];
  for (let round = 0; round < 300; round += 1) {
    const text = random.list(30, () => `${random.text(12)}\n`).join("");
    // A half of a character is no UTF-8: what is sent is what the encoder makes.
    const bytes = Buffer.from(text);
    const chunks: Uint8Array[] = [];
    for (let start = 0; start < bytes.length;) {
      const end = start + 1 + random.below(20);
      chunks.push(bytes.subarray(start, end));
      start = end;
    }
    if (split(chunks, 1_000) !== bytes.toString()) wrong.push(shown(text));
  }
  t.same(wrong, []);
  t.end();
});

t.test("LineSplitter passes a line at the limit, and none over it", (t) => {
  const fits = Buffer.from(`${"é".repeat(5)}\n`);
  const over = Buffer.from(`${"é".repeat(5)}x\n`);
  for (let cut = 0; cut <= fits.length; cut += 1) {
    t.equal(
      split([fits.subarray(0, cut), fits.subarray(cut), fits], 10),
      fits.toString().repeat(2),
      `cut at ${cut}`,
    );
  }
  for (let cut = 0; cut <= over.length; cut += 1) {
    t.throws(
      () => split([fits, over.subarray(0, cut), over.subarray(cut)], 10),
      { code: "LINE_TOO_LONG", message: /more than 10 bytes/ },
      `cut at ${cut}`,
    );
  }
  t.throws(() => split([Buffer.concat([fits, fits, over, fits])], 10), {
    code: "LINE_TOO_LONG",
  }, "among others");
  t.end();
});

t.test("LineSplitter doesn't wait for the end of a line that is too long", (t) => {
  const splitter = new LineSplitter(10);
  t.equal(splitter.push(Buffer.from("0123456789")), "");
  t.throws(() => splitter.push(Buffer.from("x")), {
    code: "LINE_TOO_LONG",
    message: 'Line length exceeded: more than 10 bytes ("0123456789x")',
  });
  t.end();
});

t.test("LineSplitter refuses what is not UTF-8", (t) => {
  for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80]]) {
    t.throws(() => split([Buffer.from([0x41, ...bytes, 0x0a])]), {
      code: "LINE_INVALID",
      message: /^failed to parse line: not UTF-8 \("A/,
    });
  }
  t.end();
});

t.test("LineSplitter quotes the first line that can't be, and has the good ones before it", (t) => {
  const front = "PING é\nNAME 語\n";
  const bytes = Buffer.from("4eff0a", "hex");
  const long = "0123456789é\n";
  const notUtf8 = 'failed to parse line: not UTF-8 ("Nÿ")';
  const tooLong = "Line length exceeded: more than 11 bytes";
  for (
    const [what, chunks, before, message] of [
      ["bytes", [front, bytes, "PING 2\n"], front, notUtf8],
      ["length", [front, long, "P\n"], front, `${tooLong} ("0123456789Ã©")`],
      ["no end", [front, "0123456789ab"], front, `${tooLong} ("0123456789ab")`],
      ["bytes, then length", [front, bytes, long], front, notUtf8],
      ["length, then bytes", [long, bytes], "", `${tooLong} ("0123456789Ã©")`],
      ["bytes first", [bytes, front], "", notUtf8],
    ] as const
  ) {
    const whole = Buffer.concat(chunks.map((chunk) => Buffer.from(chunk)));
    for (let cut = 0; cut <= whole.length; cut += 1) {
      const { lines, error } = splitAndFail(
        [whole.subarray(0, cut), whole.subarray(cut)],
        11,
      );
      const name = `${what}, cut at ${cut}`;
      t.equal(lines, before, name);
      // What has no end is refused as soon as there is too much of it.
      t.ok(message.startsWith(error.replace(/"\)$/, "")), name);
    }
  }
  t.end();
});

/** The lines that a new splitter gives until it fails, and what it says then. */
function splitAndFail(
  chunks: readonly Buffer[],
  maxLineBytes: number,
): { lines: string; error: string } {
  const splitter = new LineSplitter(maxLineBytes);
  let lines = "";
  try {
    for (const chunk of chunks) lines += splitter.push(chunk);
  } catch (error) {
    if (!(error instanceof LineError)) throw error;
    return { lines: lines + error.before, error: error.message };
  }
  return { lines, error: "nothing" };
}

t.test("LineSplitter keeps a byte order mark, which is part of a line", (t) => {
  t.equal(split([Buffer.from("\ufeffé\n")]), "\ufeffé\n");
  t.end();
});
