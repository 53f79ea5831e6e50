/**
 * What the figures were measured on.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { arch, cpus, release, totalmem, type } from "node:os";
import process from "node:process";

/** The machine and the runtime. */
export interface Machine {
  readonly runtime: string;
  readonly sqlite: string;
  readonly processors: string;
  readonly memoryGiB: number;
  readonly system: string;
}

/** Describes this machine. */
export function describeMachine(): Machine {
  const database = new DatabaseSync(":memory:");
  const [row] = database.prepare("SELECT sqlite_version() AS version").all();
  database.close();
  const processors = cpus();
  const { deno } = process.versions as { deno?: string };
  return {
    runtime: deno === undefined
      ? `Node ${process.versions.node}`
      : `Deno ${deno}`,
    sqlite: String(row?.version),
    processors: `${processors.length} × ${processors[0]?.model ?? arch()}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
  };
}
