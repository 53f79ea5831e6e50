/**
 * Memory by entry, beside `lru-cache` holding promises, each in a process of
 * its own.
 *
 * @module
 */

import { execFile } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { MAX_ENTRIES } from "./support/cached_store.ts";
import { alternate, type Figure, summarize } from "./support/measure.ts";
import type { Size } from "./main.ts";

/** Bytes an entry of a full cache: its key, its promise and all beside them. */
export async function benchCachedMemory(size: Size): Promise<Figure[]> {
  const pairs = await alternate(
    size.isShort ? 1 : 3,
    () => measure("ours"),
    () => measure("lru-cache"),
  );
  const entries = MAX_ENTRIES.toLocaleString("en-US");
  return [
    summarize({
      name: `memory of an entry, of ${entries}`,
      unit: "bytes",
      against: "lru-cache holding promises",
      goal: "≤ 1.3",
    }, pairs),
  ];
}

async function measure(kind: "ours" | "lru-cache"): Promise<number> {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const file = fileURLToPath(
    new URL(`peers/heap.${extension}`, import.meta.url),
  );
  const flags = process.versions["deno"] === undefined
    ? ["--expose-gc"]
    : ["run", "-A", "--v8-flags=--expose-gc"];
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...flags,
    file,
    kind,
    String(MAX_ENTRIES),
  ]);
  const { bytes, entries } = JSON.parse(stdout) as {
    bytes: number;
    entries: number;
  };
  if (entries !== MAX_ENTRIES) throw new Error(`${entries} entries were kept`);
  return bytes;
}
