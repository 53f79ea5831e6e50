/**
 * What node:sqlite's statements take and give, over the versions of it.
 *
 * @module
 */

import type { StatementSync } from "node:sqlite";
import { HeadwaterError } from "../runtime/errors.ts";
import { MAX_STATEMENTS } from "../runtime/limits.ts";
import type { SqlValue } from "./engine.ts";

/** What a statement did. */
export interface SqliteOutcome {
  /** The rows it gave, as objects; empty where it gives none. */
  readonly rows: unknown[];
  /** The number of rows it changed. */
  readonly changes: bigint;
  /** The rowid of the last insert, where it was one. */
  readonly insertId: bigint | undefined;
}

const READS = /^\s*(?:select|with|values|pragma|explain)\b|\breturning\b/i;

/** Came with Node 22.16; before that rows are objects, their columns in order. */
export function returnArrays(statement: StatementSync): void {
  const { setReturnArrays } = statement as {
    setReturnArrays?: (enabled: boolean) => void;
  };
  setReturnArrays?.call(statement, true);
}

/** A row as an array, its columns in order. */
export function toArray(row: unknown): SqlValue[] {
  return Array.isArray(row) ? row : Object.values(row as object);
}

/** `columns()` came with Node 22.16; before that the text must tell. */
export function givesRows(statement: StatementSync, sql: string): boolean {
  const { columns } = statement as { columns?: () => unknown[] };
  return columns === undefined
    ? READS.test(sql)
    : columns.call(statement).length > 0;
}

/** A user's parameter as SQLite takes it. */
export function bindable(value: unknown): SqlValue {
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
      return value;
    case "boolean":
      return value ? 1 : 0;
    case "object":
      if (value === null || value instanceof Uint8Array) {
        return value as SqlValue;
      }
  }
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot bind a ${describeType(value)} to an SQLite parameter: ` +
      "give a string, number, bigint, boolean, null or Uint8Array",
  );
}

function describeType(value: unknown): string {
  if (typeof value !== "object" || value === null) return typeof value;
  return value.constructor?.name ?? "object";
}

/** Keeps a statement by its text; of too many, the oldest goes. */
export function remember<Value>(
  kept: Map<string, Value>,
  sql: string,
  value: Value,
): Value {
  if (kept.size >= MAX_STATEMENTS) {
    const oldest = kept.keys().next();
    if (!oldest.done) kept.delete(oldest.value);
  }
  kept.set(sql, value);
  return value;
}
