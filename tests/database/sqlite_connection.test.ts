// One connection: values as they go in and come out, and statements kept
// prepared without being kept too long.

import { Buffer } from "node:buffer";
import { join } from "node:path";
import t, { type Test } from "tap";
import { SqliteConnection } from "../../src/database/sqlite_connection.ts";
import { MAX_STATEMENTS } from "../../src/runtime/limits.ts";
import { temporaryFolder } from "../support/folders.ts";

function open(t: Test, path = join(temporaryFolder(t), "test.db")) {
  const connection = new SqliteConnection({
    path,
    readOnly: false,
    busyTimeoutMs: 0,
  });
  t.teardown(() => connection.close());
  return { path, connection };
}

t.test("parameters come back as SQLite has them", (t) => {
  const { connection } = open(t);
  const values: [unknown, unknown][] = [
    ["é👍", "é👍"],
    [1, 1],
    [1.5, 1.5],
    [5n, 5],
    [true, 1],
    [false, 0],
    [null, null],
    [new Uint8Array([1, 2]), new Uint8Array([1, 2])],
    [Buffer.from([3]), new Uint8Array([3])],
  ];
  for (const [value, expected] of values) {
    const { rows } = connection.execute("SELECT ? AS value", [value]);
    const { value: actual } = rows[0] as { value: unknown };
    if (expected instanceof Uint8Array) {
      t.same([...actual as Uint8Array], [...expected]);
    } else t.equal(actual, expected);
  }
  t.end();
});

t.test("parameters that SQLite doesn't know are refused by name", (t) => {
  const { connection } = open(t);
  class Money {}
  const values: [unknown, string][] = [
    [new Date(0), "Date"],
    [undefined, "undefined"],
    [{}, "Object"],
    [[1], "Array"],
    [new Money(), "Money"],
    [Symbol("s"), "symbol"],
    [() => 1, "function"],
  ];
  for (const [value, shown] of values) {
    const error = {
      code: "INVALID_ARGUMENT",
      message: `Cannot bind a ${shown} to an SQLite parameter: ` +
        "give a string, number, bigint, boolean, null or Uint8Array",
    };
    t.throws(() => connection.execute("SELECT ?", [value]), error, shown);
    t.throws(() => [...connection.iterate("SELECT ?", [value])], error, shown);
  }
  t.end();
});

t.test("execute() tells rows, changes and the id of an insert", (t) => {
  const { connection } = open(t);
  connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)", []);
  const insert = "INSERT INTO t (name) VALUES (?)";
  t.match(connection.execute(insert, ["a"]), {
    rows: [],
    changes: 1n,
    insertId: 1n,
  });
  t.equal(connection.execute(insert, ["b"]).insertId, 2n);
  t.equal(connection.execute("UPDATE t SET name = 'c'", []).changes, 2n);
  const returned = connection.execute(`${insert} RETURNING id, name`, ["d"]);
  t.same(returned.rows.map((row) => ({ ...row as object })), [
    { id: 3, name: "d" },
  ]);
  t.equal(returned.changes, 1n);
  t.same(connection.rows("SELECT id, name FROM t ORDER BY id", []), [
    [1, "c"],
    [2, "c"],
    [3, "d"],
  ]);
  t.end();
});

t.test("a kept statement sees columns that came and went", (t) => {
  const { connection, path } = open(t);
  connection.script("PRAGMA journal_mode = WAL; CREATE TABLE t (a, b)");
  connection.execute("INSERT INTO t VALUES ('A', 'B')", []);
  const { connection: reader } = open(t, path);
  const both = () =>
    [connection, reader].flatMap((each) => [
      ...each.execute("SELECT * FROM t", []).rows,
      ...each.iterate("SELECT * FROM t", []),
    ]).map((row) => JSON.stringify(row));
  const changes: [string, string][] = [
    ["SELECT 1", '{"a":"A","b":"B"}'],
    ["ALTER TABLE t ADD COLUMN c DEFAULT 'C'", '{"a":"A","b":"B","c":"C"}'],
    ["ALTER TABLE t DROP COLUMN a", '{"b":"B","c":"C"}'],
    ["ALTER TABLE t RENAME COLUMN b TO d", '{"d":"B","c":"C"}'],
  ];
  for (const [text, row] of changes) {
    connection.execute(text, []);
    t.same(both(), [row, row, row, row], text);
  }
  const { connection: late } = open(t, path);
  connection.execute("ALTER TABLE t DROP COLUMN c", []);
  t.same(
    JSON.stringify(late.execute("SELECT * FROM t", []).rows),
    '[{"d":"B"}]',
    "by one that had not prepared it before",
  );
  t.end();
});

t.test("more statements than are kept can be run", (t) => {
  const { connection } = open(t);
  for (let round = 0; round < 2; round += 1) {
    for (let number = 0; number < MAX_STATEMENTS + 10; number += 1) {
      const text = `SELECT ${number} AS n`;
      const { rows } = connection.execute(text, []);
      if ((rows[0] as { n: number }).n !== number) t.fail(text);
      if (connection.rows(text, [])[0]?.[0] !== number) t.fail(text);
    }
  }
  t.pass("each gave its own");
  t.end();
});

t.test("iterate() gives rows one by one, also twice at a time", (t) => {
  const { connection } = open(t);
  const text = "SELECT value FROM json_each('[1,2,3]')";
  const pairs: unknown[] = [];
  for (const outer of connection.iterate(text, [])) {
    for (const inner of connection.iterate(text, [])) {
      pairs.push([outer, inner].map((row) => (row as { value: number }).value));
    }
  }
  t.same(pairs, [1, 2, 3].flatMap((a) => [1, 2, 3].map((b) => [a, b])));
  t.end();
});

t.test("a closed connection says so", (t) => {
  const { connection } = open(t);
  connection.rows("SELECT 1", []);
  connection.close();
  const error = {
    code: "CLOSED",
    message: "Cannot use this database: the store is closed; open another",
  };
  t.throws(() => connection.rows("SELECT 1", []), error);
  t.throws(() => connection.run("SELECT 1", []), error);
  t.throws(() => connection.execute("SELECT 1", []), error);
  t.throws(() => [...connection.iterate("SELECT 1", [])], error);
  t.throws(() => connection.script("SELECT 1"), error);
  t.end();
});
