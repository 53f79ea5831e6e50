// The text form of positions: what goes in comes out, and nothing else is taken.

import { Buffer } from "node:buffer";
import fc from "fast-check";
import t from "tap";
import { formatHolder, Holders } from "../../src/tokens/holders.ts";
import { toPosition, toWanted } from "../../src/tokens/position.ts";
import {
  formatPositionText,
  parsePositionText,
} from "../../src/tokens/position_text.ts";
import type { Token } from "../../src/tokens/token.ts";

const LOG = "0123456789abcdef";
const logIds = fc.stringMatching(/^[0-9a-f]{16}$/);
const names = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/);
const tokens = fc.oneof(
  fc.maxSafeNat(),
  fc.nat(300),
  fc.constant(Number.MAX_SAFE_INTEGER),
) as fc.Arbitrary<Token>;
const positions = fc.array(fc.tuple(names, tokens), { maxLength: 20 })
  .map((entries) => new Map(entries));

t.test("A275, A276: a position comes back from its text, which any URL, header or cookie can carry", (t) => {
  fc.assert(fc.property(logIds, positions, (logId, position) => {
    const text = formatPositionText(logId, position);
    const read = parsePositionText(text);
    return /^[A-Za-z0-9_-]{16,4096}$/.test(text) && read.logId === logId &&
      read.position.size === position.size &&
      [...position].every(([name, token]) => read.position.get(name) === token);
  }));
  t.end();
});

t.test("the holders of the names come back, as far as they are known", (t) => {
  const fences = fc.integer({ min: 1, max: 2 ** 40 });
  const holders = fc.option(
    fc.tuple(fences, fc.string()).map(([fence, holder]) =>
      formatHolder({ fence, holder })
    ),
  );
  const entries = fc.uniqueArray(fc.tuple(names, tokens, holders), {
    selector: ([name]) => name,
    maxLength: 10,
  });
  fc.assert(fc.property(entries, (entries) => {
    const position = new Map(entries.map(([name, token]) => [name, token]));
    const marks = new Map<string, string>();
    for (const [name, , holder] of entries) {
      if (holder !== null) marks.set(name, holder);
    }
    const said = parsePositionText(formatPositionText(LOG, position, marks));
    t.same(said.position, position);
    t.same(said.marks, marks);
  }));
  const position = new Map([["master", 1_234_567 as Token]]);
  const marks = new Map([["master", formatHolder({ fence: 3, holder: "a" })]]);
  const text = formatPositionText(LOG, position, marks);
  t.equal(text, "AgEjRWeJq83vAQZtYXN0ZXKHrUsD5AwpLIkl");
  t.match(toWanted(text, LOG), { position, marks });
  t.end();
});

t.test("who has held a name tells which tokens were kept", (t) => {
  const holder = (fence: number, id: string, start: number) => ({
    fence,
    holder: id,
    start: start as Token,
  });
  const [first, lost, second, third] = [
    holder(1, "a", 0),
    holder(2, "b", 3),
    holder(2, "c", 3),
    holder(3, "d", 7),
  ] as const;
  const holders = new Holders([first, second, third]);
  const kept = (one: typeof first, token: number) =>
    holders.contains(formatHolder(one), token as Token);
  t.ok(kept(first, 3));
  t.notOk(kept(first, 4), "a later one began below it");
  t.notOk(kept(lost, 1), "it is not among them");
  t.ok(kept(second, 7));
  t.notOk(kept(second, 8));
  t.ok(kept(third, Number.MAX_SAFE_INTEGER), "it goes on");
  t.same(holders.last, third);
  t.equal(new Holders([]).text, undefined);
  t.end();
});

t.test("equal positions have equal texts, and short ones", (t) => {
  const one = new Map([["b", 2], ["a", 1]] as [string, Token][]);
  const other = new Map([...one].reverse());
  t.equal(formatPositionText(LOG, one), formatPositionText(LOG, other));
  const usual = new Map([["master", 1_234_567]] as [string, Token][]);
  t.equal(formatPositionText(LOG, usual), "AQEjRWeJq83vAQZtYXN0ZXKHrUvk2g");
  t.end();
});

t.test("a text that was cut off, changed or made up is refused", (t) => {
  const isRefused = (text: string) => {
    try {
      parsePositionText(text);
      return false;
    } catch (error) {
      return (error as { code?: string }).code === "POSITION_INVALID" &&
        (error as Error).message.length < 600;
    }
  };
  fc.assert(fc.property(logIds, positions, fc.nat(), (logId, position, at) => {
    const text = formatPositionText(logId, position);
    const cut = text.slice(0, at % text.length);
    const place = at % text.length;
    const other = text[place] === "A" ? "B" : "A";
    const changed = text.slice(0, place) + other + text.slice(place + 1);
    return isRefused(cut) && isRefused(changed) && isRefused(`${text}A`);
  }));
  fc.assert(fc.property(fc.string(), (text) => isRefused(text)));
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 60 }),
      (bytes) => isRefused(Buffer.from(bytes).toString("base64url")),
    ),
  );
  t.end();
});

t.test("its errors quote the text, and cut it", (t) => {
  t.throws(() => parsePositionText("a b"), {
    code: "POSITION_INVALID",
    message:
      'Cannot read position "a b": it has other characters than letters, digits, "-", "_"; give a text that currentToken() gave',
  });
  t.throws(() => parsePositionText("Aw"), {
    message: /version is 3, and .* 1 and 2/,
  });
  t.throws(() => parsePositionText("x".repeat(5_000)), {
    message: /^Cannot read position "x{200}…": it is longer than 4096 char/,
  });
  t.end();
});

t.test("a position that does not fit is refused", (t) => {
  const many = new Map(
    Array.from({ length: 60 }, (_, index) => [
      `${"n".repeat(60)}${index}`,
      1 as Token,
    ]),
  );
  t.throws(() => formatPositionText(LOG, many), {
    code: "INVALID_ARGUMENT",
    message: /position of 60 instances: it would have \d+ characters/,
  });
  t.throws(() => formatPositionText("log", new Map()), {
    code: "INVALID_ARGUMENT",
  });
  t.throws(() => formatPositionText(LOG, new Map([["ä", 1 as Token]])), {
    code: "INVALID_ARGUMENT",
  });
  t.end();
});

t.test("toPosition() takes a text of its own log, and refuses another's", (t) => {
  const position = new Map([["master", 5 as Token]]);
  const text = formatPositionText(LOG, position);
  t.same([...toPosition(text, LOG)], [["master", 5]]);
  t.throws(() => toPosition(text, "fedcba9876543210"), {
    code: "POSITION_FOREIGN",
    message: /is of log 0123456789abcdef, and this is log fedcba9876543210;/,
  });
  t.throws(() => toPosition(text), {
    code: "POSITION_FOREIGN",
    message: /this is one without an identity/,
  });
  t.throws(() => toPosition("7", LOG), { code: "POSITION_INVALID" });
  t.end();
});
