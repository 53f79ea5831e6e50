// Every command of the table: its bytes as the reference gives them, there and
// back for all that it can say, and what it refuses.

import fc from "fast-check";
import t from "tap";
import { COMMANDS } from "../../src/protocol/command_table.ts";
import { formatCustom } from "../../src/protocol/custom_command.ts";
import {
  type Command,
  type CommandKind,
  type Dialect,
  formatCommand,
  maySend,
  parseCommand,
} from "../../src/protocol/mod.ts";
import { encodeJson } from "../../src/runtime/json.ts";
import { parseToken, type Token } from "../../src/tokens/token.ts";
import { shown } from "../support/seeded.ts";
import { refuses } from "./refused_lines.ts";

const user = "@bob:hs1";

/** One of each kind, as a line of the older dialect; the current one beside it where it differs. */
const EXACT: readonly (readonly [Command, string, string?])[] = [
  [{ kind: "SERVER", name: "localhost:8823" }, "SERVER localhost:8823"],
  [
    {
      kind: "RDATA",
      stream: "typing",
      instance: "master",
      token: 7 as Token,
      row: '["!r",[]]',
    },
    'RDATA typing master 7 ["!r",[]]',
  ],
  [
    {
      kind: "POSITION",
      stream: "typing",
      instance: "w1",
      previous: 3 as Token,
      token: 7 as Token,
    },
    "POSITION typing w1 3 7",
  ],
  [{ kind: "ERROR", text: "Failed to keep up" }, "ERROR Failed to keep up"],
  [{ kind: "PING", text: "1700000000000" }, "PING 1700000000000"],
  [{ kind: "NAME", name: "worker1" }, "NAME worker1"],
  [{ kind: "REPLICATE" }, "REPLICATE "],
  [
    {
      kind: "INVALIDATE",
      instance: "w1",
      token: 12 as Token,
      runs: [
        {
          name: "get_user",
          ms: 1700000000000,
          keys: ["@é:x", 1, true, null, [], [null], ["a", 2]],
        },
        { name: "rooms", ms: 1700000000001, keys: ["!r"] },
      ],
    },
    'INVALIDATE w1 12 ["get_user",1700000000000,' +
    '["@\\u00e9:x",1,true,null,[],[null],["a",2]],' +
    '"rooms",1700000000001,["!r"]]',
  ],
  [
    {
      kind: "USER_SYNC",
      instanceId: "abcde",
      userId: user,
      deviceId: null,
      isSyncing: true,
      lastSyncMs: 1700000000000,
    },
    "USER_SYNC abcde @bob:hs1 start 1700000000000",
    "USER_SYNC abcde @bob:hs1 None start 1700000000000",
  ],
  [
    { kind: "CLEAR_USER_SYNC", instanceId: "abcde" },
    "CLEAR_USER_SYNC abcde",
  ],
  [
    { kind: "FEDERATION_ACK", instance: "sender1", token: 12 as Token },
    "FEDERATION_ACK sender1 12",
  ],
  [
    { kind: "REMOTE_SERVER_UP", serverName: "matrix.org:443" },
    "REMOTE_SERVER_UP matrix.org:443",
  ],
  [
    {
      kind: "USER_IP",
      userId: user,
      accessToken: "syt_x",
      ip: "::1",
      userAgent: "Élan 1.0",
      deviceId: null,
      lastSeenMs: 17,
    },
    'USER_IP @bob:hs1 ["syt_x","::1","\\u00c9lan 1.0",null,17]',
  ],
  [
    {
      kind: "LOCK_RELEASED",
      instance: "w1",
      lockName: "new_event",
      lockKey: "!r 👍",
    },
    'LOCK_RELEASED ["w1","new_event","!r \\ud83d\\udc4d"]',
  ],
  [{ kind: "NEW_ACTIVE_TASK", taskId: "t 1" }, "NEW_ACTIVE_TASK t 1"],
  [{ kind: "CANCEL_TASK", taskId: "t1" }, "CANCEL_TASK t1"],
  [
    { kind: "COMMANDS", instanceId: "abcde", names: ["KICK"] },
    'COMMANDS abcde ["KICK"]',
  ],
  [{ kind: "SHARED" }, "SHARED "],
  [
    { kind: "HELD", instance: "master", holder: "3-0a1b2c3d" },
    "HELD master 3-0a1b2c3d",
  ],
];

t.test("every command has its bytes, in both dialects", (t) => {
  for (const [command, tcp, current = tcp] of EXACT) {
    t.equal(formatCommand(command), tcp);
    t.equal(formatCommand(command, "current"), current);
    t.same(parseCommand(tcp), command);
    t.same(parseCommand(`${current}\r`), command);
  }
  t.same(
    EXACT.map(([{ kind }]) => kind).sort(),
    Object.keys(COMMANDS).sort(),
    "none was left out",
  );
  t.end();
});

t.test("a device is told in the current dialect only, and taken from both", (t) => {
  const command: Command = {
    kind: "USER_SYNC",
    instanceId: "abcde",
    userId: user,
    deviceId: "D",
    isSyncing: false,
    lastSyncMs: -1,
  };
  t.equal(formatCommand(command), "USER_SYNC abcde @bob:hs1 end -1");
  const line = "USER_SYNC abcde @bob:hs1 D end -1";
  t.equal(formatCommand(command, "current"), line);
  t.same(parseCommand(line), command);
  t.end();
});

t.test("what was formatted is parsed again, whatever it says", (t) => {
  const field = fc.stringMatching(/^[^ \r\n]{1,12}$/);
  const text = fc.string({ unit: "binary" }).map((text) =>
    `${text.replaceAll(/[\r\n]/g, "")}.`
  );
  const ms = fc.maxSafeInteger();
  const token = fc.maxSafeNat().map((value) => parseToken(value));
  const device = fc.option(
    field.filter((id) => id !== "None"),
    { nil: null },
  );
  const part = fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null));
  const key = fc.oneof(part, fc.array(part));
  const make = <Kind extends CommandKind>(
    kind: Kind,
    fields: Record<string, fc.Arbitrary<unknown>>,
  ) => fc.record({ kind: fc.constant(kind), ...fields });
  const command = fc.oneof(
    make("SERVER", { name: text }),
    make("NAME", { name: text }),
    make("ERROR", { text }),
    make("PING", { text }),
    make("REPLICATE", {}),
    make("REPLICATE", { takesInvalidate: fc.constant(true) }),
    make("REPLICATE", { logId: field }),
    make("REPLICATE", { takesInvalidate: fc.constant(true), logId: field }),
    make("INVALIDATE", {
      instance: field,
      token: fc.option(token, { nil: undefined }),
      runs: fc.array(
        fc.record({ name: text, ms, keys: fc.array(key, { minLength: 1 }) }),
        { minLength: 1 },
      ),
    }),
    make("RDATA", {
      stream: field,
      instance: field,
      token: fc.option(token, { nil: undefined }),
      row: fc.jsonValue().map(encodeJson),
    }),
    make("POSITION", {
      stream: field,
      instance: field,
      previous: token,
      token,
    }),
    make("USER_SYNC", {
      instanceId: field,
      userId: field,
      deviceId: device,
      isSyncing: fc.boolean(),
      lastSyncMs: ms,
    }),
    make("CLEAR_USER_SYNC", { instanceId: field }),
    make("FEDERATION_ACK", { instance: field, token }),
    make("REMOTE_SERVER_UP", { serverName: field }),
    make("USER_IP", {
      userId: field,
      accessToken: text,
      ip: text,
      userAgent: text,
      deviceId: fc.option(text, { nil: null }),
      lastSeenMs: ms,
    }),
    make("LOCK_RELEASED", { instance: text, lockName: text, lockKey: text }),
    make("NEW_ACTIVE_TASK", { taskId: text }),
    make("CANCEL_TASK", { taskId: text }),
    make("COMMANDS", { instanceId: field, names: fc.array(text) }),
    make("SHARED", {}),
  ) as fc.Arbitrary<Command>;
  const dialect = fc.constantFrom<Dialect>("tcp", "current");
  const wrong: string[] = [];
  fc.assert(
    fc.property(command, dialect, (command, dialect) => {
      const line = formatCommand(command, dialect);
      if (line.includes("\n")) wrong.push(shown(line));
      const expected = command.kind === "USER_SYNC" && dialect === "tcp"
        ? { ...command, deviceId: null }
        : command;
      const parsed = parseCommand(line);
      // As JSON, which has no -0: neither has the wire.
      if (JSON.stringify(sorted(parsed)) !== JSON.stringify(sorted(expected))) {
        wrong.push(shown(line));
      }
    }),
    { numRuns: 1_000 },
  );
  t.same(wrong, []);
  t.end();
});

t.test("any line at all is a command, blank, or refused with an error that quotes it", (t) => {
  const names = fc.constantFrom(...Object.keys(COMMANDS), "X_KICK", "HELLO");
  const parts = fc.array(
    fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("batch", "1", "start", "None", "[]", '["a"]', ""),
    ),
  );
  const wrong: string[] = [];
  fc.assert(
    fc.property(names, parts, (name, parts) => {
      const line = [name, ...parts].join(" ").replaceAll("\n", "");
      try {
        parseCommand(line);
      } catch (error) {
        const { message } = error as Error;
        const start = JSON.stringify(line.slice(0, 5)).slice(1, -1);
        const isRight = message.startsWith("failed to parse line: ") &&
          message.includes(start) && !message.includes("\n");
        if (!isRight) wrong.push(shown(message));
      }
    }),
    { numRuns: 1_000 },
  );
  t.same(wrong, []);
  t.end();
});

t.test("whatever is taken can be sent on, and is taken again", (t) => {
  const names = fc.constantFrom(...Object.keys(COMMANDS), "X_KICK");
  const odd = ["\r", "\t", "\u2028", "\ufeff", "\ud800", "1e999", " "];
  const field = fc.string({
    unit: fc.constantFrom(..."a*-1.", ...odd),
    maxLength: 4,
  });
  const json = fc.constantFrom(
    '["a",1e999,["b"]]',
    '["a",1,["b"]]',
    '["a","b","c",null,1e999]',
    '["a","\\n\\r","c",null,1]',
    "[]",
    "1e999",
  );
  const parts = fc.array(
    fc.oneof(field, json, fc.constantFrom("batch", "1", "start", "a")),
    { minLength: 1, maxLength: 5 },
  );
  const taken = new Set<string>();
  const wrong: string[] = [];
  const pass = (line: string, dialect: Dialect) => {
    const command = parseOrRefuse(line);
    if (command === undefined) return;
    taken.add(command.kind);
    try {
      const sent = command.kind === "CUSTOM"
        ? formatCustom(command)
        : formatCommand(command, dialect);
      if (parseCommand(sent)?.kind !== command.kind) throw new Error("lost");
    } catch (error) {
      wrong.push(`${shown(line)}: ${shown(String(error))}`);
    }
  };
  fc.assert(
    fc.property(
      names,
      parts,
      fc.constantFrom<Dialect>("tcp", "current"),
      (name, parts, dialect) => pass([name, ...parts].join(" "), dialect),
    ),
    { numRuns: 20_000 },
  );
  // Every line that is right, with what is odd at every place.
  for (const [, ...lines] of EXACT) {
    for (const line of [...lines, "X_KICK a * {}"]) {
      if (line === undefined) continue;
      for (let at = 0; at <= line.length; at += 1) {
        for (const text of odd) {
          const spoilt = line.slice(0, at) + text + line.slice(at);
          pass(spoilt, "tcp");
          pass(spoilt, "current");
        }
      }
    }
  }
  t.same(wrong.slice(0, 5), []);
  t.same([...taken].sort(), ["CUSTOM", ...Object.keys(COMMANDS)].sort());
  t.end();
});

t.test("malformed commands are refused, and say why", (t) => {
  const lines: readonly (readonly [string, string])[] = [
    ["USER_SYNC", "USER_SYNC has four or five fields"],
    ["USER_SYNC a @b start", "USER_SYNC has four or five fields"],
    ["USER_SYNC a @b D start 1 2", "USER_SYNC has four or five fields"],
    ["USER_SYNC a  start 1", "USER_SYNC has four or five fields"],
    ["USER_SYNC a @b begin 1", "a state is start or end"],
    ["USER_SYNC a @b D begin 1", "a state is start or end"],
    ["USER_SYNC a @b start soon", '"soon" is not a number of ms'],
    ["USER_SYNC a @b start 1.5", '"1.5" is not a number of ms'],
    ["CLEAR_USER_SYNC", "CLEAR_USER_SYNC has one field"],
    ["CLEAR_USER_SYNC a b", "CLEAR_USER_SYNC has one field"],
    ["FEDERATION_ACK 5", "FEDERATION_ACK has two fields"],
    ["FEDERATION_ACK a 5 6", "FEDERATION_ACK has two fields"],
    ["FEDERATION_ACK a b", '"b" is not a token'],
    ["REMOTE_SERVER_UP", "REMOTE_SERVER_UP has one field"],
    ["REMOTE_SERVER_UP a\rb", "REMOTE_SERVER_UP has one field"],
    ["USER_IP @b", "USER_IP has two fields"],
    ["USER_IP @b x,y", "the second field is not JSON"],
    ["USER_IP @b NaN", "the second field is not JSON"],
    [
      'USER_IP @b ["t","ip","agent",null]',
      "the second field is not [access token, ip, user agent, device, ms]",
    ],
    [
      'USER_IP @b {"0":"t"}',
      "the second field is not [access token, ip, user agent, device, ms]",
    ],
    ["LOCK_RELEASED", "what follows LOCK_RELEASED is not JSON"],
    [
      'LOCK_RELEASED ["a","b"]',
      "what follows LOCK_RELEASED is not [instance, lock name, lock key]",
    ],
    ["COMMANDS a", "COMMANDS has two fields"],
    ["COMMANDS a [1]", "the second field is not a list of names"],
    ["X_KICK a *", "X_KICK has three fields"],
    ["X_KICK  * {}", "X_KICK has three fields"],
    ["X_kick a * {}", "unknown command"],
    ["INVALIDATE_CACHE f []", "unknown command"],
    ["constructor", "unknown command"],
    ["__proto__ x", "unknown command"],
  ];
  refuses(t, lines);
  t.end();
});

t.test("fields that would fall apart on the wire are refused", (t) => {
  const sync = {
    kind: "USER_SYNC",
    instanceId: "a",
    userId: "@b",
    deviceId: null,
    isSyncing: true,
    lastSyncMs: 1,
  } as const;
  const commands: Command[] = [
    { ...sync, userId: "@b c" },
    { ...sync, userId: "" },
    { ...sync, deviceId: "D\n" },
    { ...sync, instanceId: "a\r" },
    { kind: "CLEAR_USER_SYNC", instanceId: "a b" },
    { kind: "REMOTE_SERVER_UP", serverName: "" },
    { kind: "NEW_ACTIVE_TASK", taskId: "a\nPING" },
  ];
  for (const command of commands) {
    t.throws(() => formatCommand(command, "current"), { code: "LINE_INVALID" });
  }
  t.end();
});

t.test("who may send what", (t) => {
  const sent = (side: "server" | "client") =>
    (Object.keys(COMMANDS) as CommandKind[])
      .filter((kind) => maySend(kind, side)).sort();
  t.same(sent("server"), [
    "ERROR",
    "INVALIDATE",
    "LOCK_RELEASED",
    "PING",
    "POSITION",
    "RDATA",
    "REMOTE_SERVER_UP",
    "SERVER",
    "SHARED",
  ]);
  t.same(sent("client"), [
    "CLEAR_USER_SYNC",
    "COMMANDS",
    "ERROR",
    "FEDERATION_ACK",
    "LOCK_RELEASED",
    "NAME",
    "PING",
    "REMOTE_SERVER_UP",
    "REPLICATE",
    "USER_IP",
    "USER_SYNC",
  ]);
  t.end();
});

function parseOrRefuse(line: string): ReturnType<typeof parseCommand> {
  try {
    return parseCommand(line);
  } catch {
    return undefined;
  }
}

function sorted(value: object | undefined): unknown {
  return Object.entries(value ?? {}).sort(([a], [b]) => a < b ? -1 : 1);
}
