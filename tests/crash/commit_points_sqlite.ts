// Sees the statements of a writer go by on their way to SQLite.

import { DatabaseSync } from "node:sqlite";
import { markedWrite, type PointName } from "./commit_points.ts";
import type { Trap } from "./commit_points_trap.ts";

const POINTS: readonly (readonly [RegExp, PointName])[] = [
  [/^insert into "users"/, "before a row of data"],
  [/^INSERT OR IGNORE INTO headwater_log/, "between the data and the log"],
  [/^INSERT INTO headwater_(?:log|appends)/, "amid the log"],
  [/^COMMIT$/, "before COMMIT"],
];

const LOG = /INTO headwater_log/;

/** Passes every point of the statements that are prepared from now on. */
export function watchSqlite(trap: Trap): void {
  let current = 0;
  let isLogged = false;
  const { prepare } = DatabaseSync.prototype;
  DatabaseSync.prototype.prepare = function (sql, ...options) {
    const statement = prepare.call(this, sql, ...options);
    const [, point] = POINTS.find(([pattern]) => pattern.test(sql)) ?? [];
    if (point === undefined) return statement;
    const { run } = statement;
    statement.run = (...parameters: unknown[]) => {
      // A statement that names no write belongs to the last one's transaction.
      current = markedWrite(parameters.join()) ?? current;
      // Others commit, too: the lease's keeper, say.
      if (sql !== "COMMIT" || isLogged) trap.pass(point, current);
      const done = run.apply(statement, parameters as Parameters<typeof run>);
      if (sql === "COMMIT") {
        if (isLogged) trap.pass("after COMMIT", current);
        isLogged = false;
      } else isLogged ||= LOG.test(sql);
      return done;
    };
    return statement;
  };
}
