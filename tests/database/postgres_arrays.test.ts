// PostgreSQL's arrays as text, against the server itself.

import postgres from "postgres";
import t from "tap";
import {
  arrayTypes,
  formatArray,
  parseArray,
} from "../../src/database/postgres_arrays.ts";
import { postgresDatabase } from "../support/postgres.ts";

t.test("arrays of every type come back as they went", async (t) => {
  const sql = postgres(await postgresDatabase(t), {
    fetch_types: false,
    types: arrayTypes(),
  });
  t.teardown(() => sql.end());
  const cases: [string, unknown[]][] = [
    ["text", ["", "a", 'say "x"', "back\\slash", "{,}", "NULL", null, " "]],
    ["text", []],
    ["int", [1, -2, null]],
    ["bigint", [1, Number.MAX_SAFE_INTEGER, 2n ** 62n]],
    ["float8", [0.5, -1e300]],
    ["bool", [true, false, null]],
    ["numeric", ["1.50", "2"]],
    ["jsonb", [{ a: [1, "x"] }, [2]]],
    ["timestamptz", [new Date(0), new Date(1e12)]],
    ["uuid", ["3b241101-e2bb-4255-8caf-4136c566a962"]],
    ["int", [[1, 2], [3, 4]]],
  ];
  for (const [type, values] of cases) {
    const [row] = await sql.unsafe(`SELECT $1::${type}[] AS value`, [
      // Of the first item's type postgres.js makes the parameter's own.
      (typeof values[0] === "boolean" || values[0] instanceof Date
        ? formatArray(values)
        : values) as never,
    ], { prepare: true });
    t.same(row?.value, values, `${type} ${formatArray(values)}`);
  }
});

t.test("a text that isn't closed is read as far as it goes", (t) => {
  t.same(parseArray("{1,2", Number), [1, 2]);
  t.same(parseArray("{}", Number), []);
  t.end();
});
