/**
 * PostgreSQL's arrays, as text.
 *
 * postgres.js asks each server for its array types, on each connection; if that
 * connection is lost meanwhile, nobody catches the error (3.4.9). So it is told
 * of the built-in ones instead.
 *
 * @module
 */

import type { PostgresType } from "postgres";

/** [the array's type, what an item's text stands for] */
const ARRAYS: readonly (readonly [
  oid: number,
  parse: (text: string) => unknown,
  format?: (items: readonly unknown[]) => string,
])[] = [
  [1000, (text) => text === "t"], // bool
  [1005, Number], // int2
  [1007, Number], // int4
  [1016, toInteger], // int8
  [1021, Number], // float4
  [1022, Number], // float8
  [1231, String], // numeric
  [1009, String], // text
  [1015, String], // varchar
  [1014, String], // char
  [1003, String], // name
  [2951, String], // uuid
  [1041, String], // inet
  [1182, (text) => new Date(text)], // date
  [1115, (text) => new Date(text)], // timestamp
  [1185, (text) => new Date(text)], // timestamptz
  [199, (text) => JSON.parse(text), formatJsonArray], // json
  [3807, (text) => JSON.parse(text), formatJsonArray], // jsonb
];

/** What postgres.js takes as `types`. */
export function arrayTypes(): Record<string, PostgresType> {
  return Object.fromEntries(
    ARRAYS.map(([oid, parse, format = formatArray]) => [`array${oid}`, {
      to: oid,
      from: [oid],
      serialize: (value: unknown) =>
        Array.isArray(value) ? format(value) : String(value),
      parse: (text: string) => parseArray(text, parse),
    }]),
  );
}

/** A number, or a bigint where a number can't hold it. */
export function toInteger(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

/** Writes an array as PostgreSQL reads it: `{1,"a \"b\"",NULL,{2}}`. */
export function formatArray(items: readonly unknown[]): string {
  return `{${items.map(formatItem).join(",")}}`;
}

/** As `formatArray`, of JSON: an array in it is an item, not a dimension. */
export function formatJsonArray(items: readonly unknown[]): string {
  return `{${
    items.map((item) => quoteItem(JSON.stringify(item ?? null))).join(",")
  }}`;
}

function formatItem(item: unknown): string {
  if (item === null || item === undefined) return "NULL";
  if (Array.isArray(item)) return formatArray(item);
  if (typeof item === "number" || typeof item === "bigint") return `${item}`;
  if (typeof item === "boolean") return item ? "t" : "f";
  const text = item instanceof Date
    ? item.toISOString()
    : typeof item === "string"
    ? item
    : JSON.stringify(item);
  return quoteItem(text);
}

function quoteItem(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** Reads an array that PostgreSQL wrote. */
export function parseArray(
  text: string,
  parse: (text: string) => unknown,
): unknown[] {
  let at = text.indexOf("{") + 1;
  const readItems = (): unknown[] => {
    const items: unknown[] = [];
    while (at < text.length) {
      const char = text[at];
      if (char === "}") {
        at += 1;
        return items;
      }
      if (char === ",") at += 1;
      else if (char === "{") {
        at += 1;
        items.push(readItems());
      } else items.push(char === '"' ? readQuoted() : readPlain());
    }
    return items;
  };
  const readPlain = (): unknown => {
    const start = at;
    while (at < text.length && text[at] !== "," && text[at] !== "}") at += 1;
    const item = text.slice(start, at);
    return item === "NULL" ? null : parse(item);
  };
  const readQuoted = (): unknown => {
    let item = "";
    for (at += 1; text[at] !== '"'; at += 1) {
      if (text[at] === "\\") at += 1;
      item += text[at];
    }
    at += 1;
    return parse(item);
  };
  return readItems();
}
