// The wire, byte by byte, and there and back for everything that can be said.

import { isDeepStrictEqual } from "node:util";
import t from "tap";
import {
  formatCommand,
  formatRdataPrefix,
  parseCommand,
} from "../../src/protocol/codec.ts";
import type { Command } from "../../src/protocol/command.ts";
import { encodeJson } from "../../src/runtime/json.ts";
import { parseToken, type Token } from "../../src/tokens/token.ts";
import { type Seeded, seeded, shown } from "../support/seeded.ts";
import { refuses } from "./refused_lines.ts";

const token = (value: number): Token => parseToken(value);

const EXACT: readonly [string, Command][] = [
  ["SERVER hs1.example.com", { kind: "SERVER", name: "hs1.example.com" }],
  ["NAME worker 1", { kind: "NAME", name: "worker 1" }],
  ["PING 1700000000000", { kind: "PING", text: "1700000000000" }],
  ["ERROR ping timeout", { kind: "ERROR", text: "ping timeout" }],
  // The space belongs to it.
  ["REPLICATE ", { kind: "REPLICATE" }],
  ["POSITION events master 53 54", {
    kind: "POSITION",
    stream: "events",
    instance: "master",
    previous: token(53),
    token: token(54),
  }],
  ['RDATA caches master 53 ["get_user",["@bob:hs1 x"],1]', {
    kind: "RDATA",
    stream: "caches",
    instance: "master",
    token: token(53),
    row: '["get_user",["@bob:hs1 x"],1]',
  }],
  ["RDATA caches master batch 1", {
    kind: "RDATA",
    stream: "caches",
    instance: "master",
    token: undefined,
    row: "1",
  }],
];

t.test("formatCommand() and parseCommand() agree on the bytes", (t) => {
  for (const [line, command] of EXACT) {
    t.equal(formatCommand(command), line);
    t.same(parseCommand(line), command);
    t.same(parseCommand(`${line}\r`), command, "\\r at the end is dropped");
  }
  t.equal(formatRdataPrefix("a", "b", token(0)), "RDATA a b 0 ");
  t.equal(formatRdataPrefix("a", "b", undefined), "RDATA a b batch ");
  t.end();
});

t.test("parseCommand() gives back what formatCommand() was given", (t) => {
  const random = seeded(4);
  const wrong: string[] = [];
  for (let round = 0; round < 20_000; round += 1) {
    const command = makeCommand(random);
    const line = formatCommand(command);
    if (!isDeepStrictEqual(parseCommand(line), command)) {
      wrong.push(shown(line));
    }
  }
  t.same(wrong, []);
  t.end();
});

t.test("formatCommand() refuses a newline wherever it stands", (t) => {
  const commands: Command[] = [
    { kind: "ERROR", text: "a\nb" },
    { kind: "NAME", name: "a\n" },
    {
      kind: "RDATA",
      stream: "s",
      instance: "i",
      token: undefined,
      row: "[\n1]",
    },
  ];
  for (const command of commands) {
    t.throws(() => formatCommand(command), { code: "LINE_INVALID" });
  }
  t.end();
});

t.test("parseCommand() takes lines of other senders", (t) => {
  t.same(parseCommand("REPLICATE"), { kind: "REPLICATE" });
  t.same(parseCommand("REPLICATE ALL"), { kind: "REPLICATE" });
  t.same(parseCommand("PING"), { kind: "PING", text: "" });
  t.same(parseCommand("POSITION caches master 7"), {
    kind: "POSITION",
    stream: "caches",
    instance: "master",
    previous: 7,
    token: 7,
  }, "one token stands for both");
  for (const line of ["", " ", "\r", "  \t \r"]) {
    t.equal(parseCommand(line), undefined, JSON.stringify(line));
  }
  t.end();
});

t.test("parseCommand() refuses everything else, and says why", (t) => {
  const lines: [string, string][] = [
    ["HELLO", "unknown command"],
    ["ping 1", "unknown command"],
    [" PING 1", "unknown command"],
    ["PING\t1", "unknown command"],
    ["GET / HTTP/1.1", "unknown command"],
    ["RDATA", "RDATA has four fields"],
    ["RDATA caches master", "RDATA has four fields"],
    ["RDATA caches master 5", "RDATA has four fields"],
    ["RDATA  master 5 1", "RDATA has four fields"],
    ["RDATA caches  5 1", "RDATA has four fields"],
    ["RDATA caches master  1", "RDATA has four fields"],
    ["RDATA caches master 5 ", "the row is not JSON"],
    ["RDATA caches master 5 [1", "the row is not JSON"],
    ["RDATA caches master batch {'a':1}", "the row is not JSON"],
    ["RDATA caches master 1.5 1", '"1.5" is not a token'],
    ["RDATA caches master -1 1", '"-1" is not a token'],
    ["RDATA caches master 1e3 1", '"1e3" is not a token'],
    ["RDATA caches master 0x1 1", '"0x1" is not a token'],
    [
      "RDATA caches master 9007199254740992 1",
      '"9007199254740992" is not a token',
    ],
    ["RDATA caches master Batch 1", '"Batch" is not a token'],
    ["HELD", "HELD has two fields"],
    ["HELD master", "HELD has two fields"],
    ["HELD master 3-0a1b2c3d 4", "HELD has two fields"],
    ["POSITION", "POSITION has four fields"],
    ["POSITION caches", "POSITION has four fields"],
    ["POSITION caches master", "POSITION has four fields"],
    ["POSITION caches master 1 2 3", "POSITION has four fields"],
    ["POSITION caches master 1 batch", '"batch" is not a token'],
    ["POSITION caches master x 2", '"x" is not a token'],
    ["POSITION caches master 1 ", '"" is not a token'],
  ];
  refuses(t, lines);
  t.end();
});

t.test("parseCommand() quotes a bad line on one line, cut at 200 characters", (t) => {
  const line = `NONSENSE ${"x".repeat(500)}`;
  t.throws(() => parseCommand(line), {
    message: `failed to parse line: unknown command ("${line.slice(0, 200)}…")`,
  });
  // A line never holds a newline, but what calls itself one might.
  t.throws(() => parseCommand('A\nB\r\u0000"'), {
    message: 'failed to parse line: unknown command ("A\\nB\\r\\u0000\\"")',
  });
  t.end();
});

function makeCommand(random: Seeded): Command {
  const name = () => random.pick(["caches", "events", "a.b-c_1", "_"]);
  const number = () =>
    token(random.pick([0, 1, 54, 2 ** 32, Number.MAX_SAFE_INTEGER]));
  const text = () => `${random.text(6)}.`;
  switch (random.below(7)) {
    case 0:
      return { kind: "SERVER", name: text() };
    case 1:
      return { kind: "NAME", name: text() };
    case 2:
      return { kind: "PING", text: text() };
    case 3:
      return { kind: "ERROR", text: text() };
    case 4:
      return { kind: "REPLICATE" };
    case 5:
      return {
        kind: "POSITION",
        stream: name(),
        instance: name(),
        previous: number(),
        token: number(),
      };
    default:
      return {
        kind: "RDATA",
        stream: name(),
        instance: name(),
        token: random.below(2) === 0 ? undefined : number(),
        row: encodeJson([random.text(5), [random.text(5), 1, null], {}]),
      };
  }
}
