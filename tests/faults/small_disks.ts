// PostgreSQL on a disk that is small, and full when the test says so.

import { execFileSync } from "node:child_process";
import {
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { basename, join } from "node:path";
import postgres from "postgres";
import type { Test } from "tap";
import { mountDisk } from "../support/mounts.ts";
import type { PostgresServer } from "../support/postgres.ts";

const PAGE = new Uint8Array(4_096);

/** A disk of the server's user, in memory. */
export interface SmallDisk {
  readonly folder: string;
  /** Leaves so many bytes on it, or none, to the server. */
  fill(freeBytes?: number): void;
  /** Takes back what `fill` has put there. */
  free(): void;
}

/** Mounts one; `undefined` where this process may not. */
export function mountSmallDisk(
  t: Test,
  server: PostgresServer,
  size: string,
): SmallDisk | undefined {
  const disk = mountDisk(t, `size=${size}`);
  if (disk === undefined) return undefined;
  const { uid, gid } = statSync(server.folder);
  const folder = join(disk, "postgres");
  mkdirSync(folder, { mode: 0o700 });
  chownSync(folder, uid, gid);
  const ballast = join(disk, "ballast");
  const spare = join(disk, "spare");
  return {
    folder,
    fill(freeBytes = 0) {
      // What is to stay free is taken first, and given back.
      fillFile(spare, freeBytes);
      fillFile(ballast, Infinity);
      rmSync(spare);
    },
    free: () => rmSync(ballast),
  };
}

/** Makes a database whose tables, all of them, are on a disk; it goes with the test. */
export async function createDatabaseOn(
  t: Test,
  server: PostgresServer,
  disk: SmallDisk,
): Promise<string> {
  const name = `small_${basename(join(disk.folder, "..")).toLowerCase()}`
    .replace(/\W/g, "_");
  await server.run(`CREATE TABLESPACE ${name} LOCATION '${disk.folder}'`);
  await server.run(`CREATE DATABASE ${name} TABLESPACE ${name}`);
  // Before the disk does: what is yet to be written to it would keep PostgreSQL
  // 13 and 14 from making other databases.
  t.teardown(() => server.run(`DROP DATABASE ${name} WITH (FORCE)`));
  return new URL(name, server.url).href;
}

/** Moves the server's write-ahead log to a disk; it is restarted for that. */
export async function moveLogTo(
  server: PostgresServer,
  disk: SmallDisk,
): Promise<void> {
  await server.stop();
  const from = join(server.folder, "pg_wal");
  const to = join(disk.folder, "pg_wal");
  // Not cpSync(): the owner must stay the server's.
  execFileSync("cp", ["-a", from, to]);
  rmSync(from, { recursive: true });
  symlinkSync(to, from);
  await server.start();
}

/** Has the server take one file after another for its log, until it has no room. */
export function useUpLog(t: Test, server: PostgresServer): void {
  const sql = postgres(server.url, { max: 1, onnotice: () => {} });
  t.teardown(() => sql.end({ timeout: 0 }).catch(() => {}));
  // Its connection is lost on the way.
  sql.unsafe(`DO $$ BEGIN FOR file IN 1..1000 LOOP
    PERFORM pg_logical_emit_message(false, 'some', 'thing');
    PERFORM pg_switch_wal();
  END LOOP; END $$`).catch(() => {});
}

/** What the server has said so far. */
export function readLog({ folder }: PostgresServer): string {
  return readFileSync(join(folder, "../log"), "utf8");
}

function fillFile(path: string, bytes: number): void {
  const file = openSync(path, "w");
  try {
    for (let size = 0; size < bytes; size += PAGE.length) writeSync(file, PAGE);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  } finally {
    closeSync(file);
  }
}
