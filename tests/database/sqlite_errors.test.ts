// SQLite's messages become codes; the user's own mistakes stay what they are.

import t from "tap";
import { describeSqliteError } from "../../src/database/sqlite_errors.ts";

function sqliteError(message: string): Error {
  return Object.assign(new RangeError(message), { code: "ERR_SQLITE_ERROR" });
}

t.test("describeSqliteError() knows the kinds of failure", (t) => {
  const kinds: [string, string][] = [
    ["file is not a database", "DATABASE_INVALID"],
    ["database disk image is malformed", "DATABASE_INVALID"],
    ["attempt to write a readonly database", "DATABASE_READ_ONLY"],
    ["unable to open database file", "DATABASE_UNAVAILABLE"],
    ["unable to open database file: /x", "DATABASE_UNAVAILABLE"],
    ["database or disk is full", "DATABASE_FULL"],
    ["disk I/O error", "DATABASE_UNAVAILABLE"],
    ["database is locked", "DATABASE_BUSY"],
    ["database table is locked", "DATABASE_BUSY"],
  ];
  for (const [message, code] of kinds) {
    const cause = sqliteError(message);
    const error = describeSqliteError('open database "app.db"', cause);
    t.match(error, { name: "HeadwaterError", code, cause }, message);
    t.ok(
      String(error).startsWith(
        `HeadwaterError: Cannot open database "app.db": ${message}; `,
      ),
    );
  }
  t.end();
});

t.test("describeSqliteError() leaves every other error alone", (t) => {
  const errors = [
    sqliteError("UNIQUE constraint failed: users.id"),
    sqliteError('near "SELEC": syntax error'),
    new RangeError("database is locked"),
    "database is locked",
    undefined,
    null,
  ];
  for (const error of errors) {
    t.equal(describeSqliteError("x", error), error, String(error));
  }
  t.end();
});
