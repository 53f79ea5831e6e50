// Every way to spoil the log of small_log.ts that is to be found out, and what
// is to be said of it.

import type { LogCheck } from "../../src/admin/mod.ts";
import { change, type Dialect, editRows } from "./small_log.ts";

/** A check that fails, the token where, and what is said. */
export type Finding = readonly [LogCheck, number | undefined, RegExp];

/** A fault. */
export interface Fault {
  readonly name: string;
  /** What spoils the log: statements, or something to be done. */
  readonly spoil:
    | readonly string[]
    | ((database: string, dialect: Dialect) => Promise<void>);
  /** All that is wrong then. */
  readonly found:
    | readonly Finding[]
    | ((dialect: Dialect) => readonly Finding[]);
}

const LOG = "headwater_log";
const COLUMNS = "instance, commit_id, committed_ms, row_count, body";
const SET_EVENTS = "UPDATE headwater_appends SET";

/** The text of an event's row. */
const row = (aggregate: string, version: number) =>
  `["${aggregate}",${version},"named","id-${aggregate}-${version}",null,null]`;

/** Gives a transaction of one record another token. */
const moveToken =
  (from: number, to: number) => (database: string, dialect: Dialect) =>
    change(database, [
      dialect === "sqlite"
        ? `UPDATE ${LOG} SET id = (${to} << 9) + (id & 511) WHERE token = ${from}`
        : `UPDATE ${LOG} SET token = ${to} WHERE token = ${from}`,
    ]);

export const TOKEN_FAULTS: readonly Fault[] = [
  ...[0, -3].map((token): Fault => ({
    name: `a token of ${token}`,
    spoil: moveToken(4, token),
    found: [["tokens", token, /^token -?\d: tokens are positive integers$/]],
  })),
  {
    name: "a token that was never given",
    spoil: moveToken(7, 5000),
    found: (dialect) => [[
      "tokens",
      5000,
      dialect === "sqlite"
        ? /^token 5000: instance "second" has reserved tokens up to 7 only$/
        : /^token 5000: the sequence has come to 7 only$/,
    ]],
  },
  {
    name: "an instance that never held its name",
    spoil: [`UPDATE ${LOG} SET instance = 'ghost' WHERE token = 4`],
    found: [[
      "tokens",
      4,
      /^token 4: instance "ghost" has never held its name$/,
    ]],
  },
  {
    name: "a record that is there twice",
    spoil: (database, dialect) =>
      change(database, [
        ...(dialect === "sqlite"
          ? [
            `INSERT INTO ${LOG} (id, stream, ${COLUMNS})
            SELECT id + 1, stream, ${COLUMNS} FROM ${LOG} WHERE token = 4`,
          ]
          : [
            `ALTER TABLE ${LOG} DROP CONSTRAINT ${LOG}_pkey`,
            `INSERT INTO ${LOG} SELECT * FROM ${LOG} WHERE token = 4`,
          ]),
      ]),
    found: [["tokens", 4, /^token 4: stream "orders" has two records$/]],
  },
];

export const TRANSACTION_FAULTS: readonly Fault[] = [
  ...[
    ["instance", "'second'", /^token 1: .*"orders" has instance "second", and/],
    ["commit_id", "'other'", /^token 1: .*"orders" has commit id "other", and/],
    ["committed_ms", "5", /^token 1: stream "orders" has time "5", and/],
  ].map(([column, value, message]): Fault => ({
    name: `records of a token that differ in ${column}`,
    spoil: [
      `UPDATE ${LOG} SET ${column} = ${value} WHERE token = 1 AND stream = 'orders'`,
    ],
    found: [["transactions", 1, message as RegExp]],
  })),
  {
    name: "an empty commit id",
    spoil: [`UPDATE ${LOG} SET commit_id = '' WHERE token = 4`],
    found: [["transactions", 4, /^token 4: its commit id is empty$/]],
  },
  {
    name: "one transaction under two tokens",
    spoil: [
      `UPDATE ${LOG} SET commit_id =
        (SELECT commit_id FROM ${LOG} WHERE token = 3) WHERE token = 4`,
    ],
    found: [["torn", 4, /^token 4: .* one transaction has two tokens$/]],
  },
  {
    name: "rows of a transaction without rows",
    spoil: [`UPDATE ${LOG} SET body = '1', row_count = 1 WHERE stream = ''`],
    found: [["torn", 3, /^token 3: it is one without rows, and has some$/]],
  },
  {
    name: "rows beside a transaction without rows",
    spoil: (database, dialect) =>
      change(database, [
        `INSERT INTO ${LOG} (${
          dialect === "sqlite" ? "id" : "token"
        }, stream, ${COLUMNS})
        SELECT ${dialect === "sqlite" ? "id + 1" : "token"}, 'orders',
          instance, commit_id, committed_ms, 1, '7'
        FROM ${LOG} WHERE token = 3`,
      ]),
    found: [["torn", 3, /^token 3: it is one without .* of stream "orders"$/]],
  },
];

/** A fault of the rows of token 4, which has three, of one stream. */
function rowFault(
  name: string,
  edit: (rows: string[]) => readonly string[],
  message: RegExp,
): Fault {
  return {
    name,
    spoil: (database) => editRows(database, 4, "orders", edit),
    found: [["rows", 4, message]],
  };
}

export const ROW_FAULTS: readonly Fault[] = [
  {
    name: "a row too few",
    spoil: [`UPDATE ${LOG} SET row_count = 4 WHERE token = 4`],
    found: [["rows", 4, /^token 4: stream "orders" should have 4 .* has 3$/]],
  },
  {
    name: "a row too many",
    spoil: [`UPDATE ${LOG} SET row_count = 2 WHERE token = 4`],
    found: [["rows", 4, /^token 4: stream "orders" should have 2 .* has 3$/]],
  },
  rowFault(
    "a row that was cut",
    ([a = "", b = "", c = ""]) => [a, b.slice(0, -1), c],
    /^token 4: row 2 of stream "orders" is no JSON: /,
  ),
  rowFault(
    "a row that is empty",
    ([a = "", , c = ""]) => [a, "", c],
    /^token 4: row 2 of stream "orders" is no JSON: /,
  ),
  rowFault(
    "a row that is not ASCII",
    ([a = "", b = ""]) => [a, b, '"é"'],
    /^token 4: row 3 of stream "orders" is not one line of ASCII$/,
  ),
  rowFault(
    "a row with a line's end of another kind",
    ([a = "", b = "", c = ""]) => [`${a}\r`, b, c],
    /^token 4: row 1 of stream "orders" is not one line of ASCII$/,
  ),
  {
    name: "an event that is no JSON, of which nothing more is said",
    spoil: (database) =>
      editRows(database, 1, "events", ([a = "", b = ""]) => [a, `${b}]`]),
    found: [["rows", 1, /^token 1: row 2 of stream "events" is no JSON: /]],
  },
];

export const EVENT_FAULTS: readonly Fault[] = [
  {
    name: "an event whose append is gone",
    spoil: [
      "DELETE FROM headwater_appends WHERE aggregate = 'user:2' AND is_last = 1",
    ],
    found: [["appends", 5, /^token 5: no append has version 2 of "user:2"$/]],
  },
  {
    name: "an append under another token",
    spoil: [
      `${SET_EVENTS} token = 4 WHERE aggregate = 'user:2' AND is_last = 1`,
    ],
    found: [
      ["events", 4, /^token 4: version 2 of "user:2" should stand there/],
      ["appends", 5, /^token 5: the append of version 2 .* has token 4$/],
    ],
  },
  {
    name: "an event that is gone from its append",
    spoil: (database) => editRows(database, 1, "events", ([a = ""]) => [a]),
    found: [[
      "events",
      1,
      /^token 1: it has version 1 of "user:1", and .* versions 1 to 2$/,
    ]],
  },
  {
    name: "an event too many",
    spoil: (database) =>
      editRows(database, 6, "events", ([a = ""]) => [a, row("user:1", 5)]),
    found: [["events", 6, /^token 6: it has versions 4 to 5 .* version 4$/]],
  },
  {
    name: "an event of another aggregate",
    spoil: (database) =>
      editRows(database, 6, "events", () => [row("user:9", 4)]),
    found: [
      ["appends", 6, /^token 6: no append has version 4 of "user:9"$/],
      ["events", 6, /^token 6: version 4 of "user:1" should stand there/],
    ],
  },
  {
    name: "events out of order",
    spoil: (database) =>
      editRows(database, 1, "events", (rows) => rows.reverse()),
    found: [[
      "events",
      1,
      /^token 1: version 1 of "user:1" .* where 3 should$/,
    ]],
  },
  ...['{"a":1}', "[]", '["user:1",0.5,"named","x",null,null]'].map((
    text,
  ): Fault => ({
    name: `an event that is ${text}`,
    spoil: (database) => editRows(database, 6, "events", () => [text]),
    found: [
      ["events", 6, /^token 6: event 1 is none: \[aggregate, version, /],
      ["events", 6, /^token 6: version 4 of "user:1" should stand there/],
    ],
  })),
  {
    name: "a record of events that is gone",
    spoil: [`DELETE FROM ${LOG} WHERE token = 2 AND stream = 'events'`],
    found: [
      ["events", 2, /^token 2: version 3 of "user:1" should stand there/],
      ["events", 2, /^token 2: version 1 of "user:2" should stand there/],
      ["events", 2, /^token 2: version 1 of "user:5" should stand there/],
      ["event ids", 2, /^id "given" is given to version 3 of "user:1" /],
    ],
  },
  {
    name: "an append of events that never were, beside some that are",
    spoil: ["INSERT INTO headwater_appends VALUES ('user:3', 1, 1, 2, 0)"],
    found: [[
      "events",
      2,
      /^token 2: version 1 of "user:3" should stand there/,
    ]],
  },
];

export const VERSION_FAULTS: readonly Fault[] = [
  {
    name: "a gap in an aggregate's versions",
    spoil: async (database) => {
      await change(database, [
        "DELETE FROM headwater_appends WHERE aggregate = 'user:1' AND token = 2",
        "DELETE FROM headwater_event_ids",
      ]);
      await editRows(database, 2, "events", ([, ...others]) => others);
    },
    found: [["versions", 6, /^"user:1": version 4 come.* versions 1 to 2$/]],
  },
  {
    name: "an aggregate that doesn't begin with version 1",
    spoil: async (database) => {
      await change(database, [
        `${SET_EVENTS} first_version = 2, last_version = 2
        WHERE aggregate = 'user:5'`,
      ]);
      await editRows(database, 2, "events", ([a = "", b = ""]) => [
        a,
        b,
        row("user:5", 2),
      ]);
    },
    found: [["versions", 2, /^"user:5": its first append has version 2$/]],
  },
  {
    name: "a version that stands under an earlier token than the one before",
    spoil: async (database) => {
      await change(database, [
        "INSERT INTO headwater_appends VALUES ('user:6', 1, 1, 2, 0)",
        "INSERT INTO headwater_appends VALUES ('user:6', 2, 2, 1, 0)",
      ]);
      for (const [token, version] of [[1, 2], [2, 1]] as const) {
        await editRows(
          database,
          token,
          "events",
          (rows) => [...rows, row("user:6", version)],
        );
      }
    },
    found: [[
      "versions",
      1,
      /^"user:6": version 2 ha.* token 1, and version 1/,
    ]],
  },
  {
    name: "an event after the one that closed its aggregate",
    spoil: [
      `${SET_EVENTS} is_last = 1 WHERE aggregate = 'user:1' AND token = 1`,
    ],
    found: [[
      "versions",
      2,
      /^"user:1": version 3 .* 1 to 2, which closed it$/,
    ]],
  },
  {
    name: "an append whose versions are none",
    spoil: ["INSERT INTO headwater_appends VALUES ('user:7', 1, 0, 4, 0)"],
    found: [
      ["versions", 4, /^"user:7": an append has versions 1 to 0$/],
      ["events", 4, /^token 4: versions 1 to 0 of "user:7" should stand there/],
    ],
  },
];

export const ID_FAULTS: readonly Fault[] = [
  {
    name: "an id of another version",
    spoil: ["UPDATE headwater_event_ids SET version = 2"],
    found: [["event ids", 2, /^id "given" is given to version 2 of "user:1" /]],
  },
  {
    name: "an id of another aggregate",
    spoil: ["UPDATE headwater_event_ids SET aggregate = 'user:2'"],
    found: [["event ids", 2, /^id "given" is given to version 3 of "user:2" /]],
  },
  {
    name: "an id of no event, beside those of some",
    spoil: ["INSERT INTO headwater_event_ids VALUES ('x', 'user:1', 1, 1)"],
    found: [["event ids", 1, /^id "x" is given to .* there is no such event$/]],
  },
  {
    name: "an id under a token without events",
    spoil: ["UPDATE headwater_event_ids SET token = 4"],
    found: [["event ids", 4, /^id "given" .* under token 4, and/]],
  },
];

const SET_CHECKPOINT = "UPDATE headwater_projections SET";

const NOTE_TIMES = "INSERT INTO headwater_time_ranges VALUES";

export const TIME_FAULTS: readonly Fault[] = [
  {
    name: "events later than what is noted, of which the first is told",
    spoil: [`${NOTE_TIMES} (2, 0, 1, 2)`, `${NOTE_TIMES} (5, 2, 1, 2)`],
    found: [
      ["times", 1, /^token 1: it .* after 0 up to 2 1 to 2 is noted: reading/],
      ["times", 5, /^token 5: .* after 2 up to 5 /],
    ],
  },
  {
    name: "an event earlier than what two writers have noted",
    spoil: [
      `UPDATE ${LOG} SET committed_ms = 7 WHERE token = 6`,
      ...[5, 6].map((upTo) => `${NOTE_TIMES} (${upTo}, 0, 8, 9999999999999)`),
    ],
    found: [["times", 6, /^token 6: it was committed at 7, /]],
  },
  {
    name: "times beyond the log's end",
    spoil: [`${NOTE_TIMES} (8000, 0, 0, 9999999999999)`],
    found: [["ahead", 8000, /^it is noted up to token 8000 .* is 7$/]],
  },
];

export const AHEAD_FAULTS: readonly Fault[] = [
  {
    name: "a position that the log hasn't come to",
    spoil: [
      "UPDATE headwater_instances SET position = 6 WHERE name = 'master'",
    ],
    found: [["ahead", 6, /^instance "master" has told position 6.* log is 5$/]],
  },
  {
    name: "an end of the log that is gone",
    spoil: [
      `DELETE FROM ${LOG} WHERE token = 7`,
      `${SET_CHECKPOINT} position = 7 WHERE name = 'even'`,
    ],
    // PostgreSQL's may be at a token that was taken and never committed.
    found: (dialect) => [
      ["ahead", 7, /^instance "second" has told position 7.* log is 6$/],
      ...(dialect === "sqlite"
        ? [["ahead", 7, /^projection "even" has come to token 7.* 6$/]] as const
        : []),
    ],
  },
  ...["position", "rebuild_position"].map((column): Fault => ({
    name: `a ${column} of a projection that the log hasn't come to`,
    spoil: [`${SET_CHECKPOINT} ${column} = 8 WHERE name = 'even'`],
    found: [["ahead", 8, /^projection "even" has come to token 8, .* to 7$/]],
  })),
  {
    name: "a snapshot of a version that isn't there",
    spoil: ["UPDATE headwater_snapshots SET version = 5"],
    found: [[
      "ahead",
      undefined,
      /^the snapshot of "user:1" by "count" has version 5.* aggregate 4$/,
    ]],
  },
  {
    name: "a snapshot of an aggregate that isn't there",
    spoil: ["UPDATE headwater_snapshots SET aggregate = 'user:9'"],
    found: [["ahead", undefined, /^the snapshot of "user:9".* aggregate 0$/]],
  },
  {
    name: "a floor that was never reached, which excuses nothing",
    spoil: [
      "INSERT INTO headwater_retained VALUES ('orders', 5000)",
      "UPDATE headwater_instances SET position = 4000 WHERE name = 'master'",
    ],
    found: [
      ["ahead", 4000, /^instance "master" has told position 4000/],
      ["ahead", 5000, /^rows of stream "orders" were deleted up to token 5000/],
    ],
  },
];
