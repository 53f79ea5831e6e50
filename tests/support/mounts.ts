// Disks that are small, or that can't be written.

import { spawnSync } from "node:child_process";
import { chmodSync } from "node:fs";
import process from "node:process";
import type { Test } from "tap";
import { temporaryFolder } from "./folders.ts";

/**
 * A folder on a disk of its own in memory, which goes with the test.
 *
 * @returns `undefined` where this process may not mount one.
 */
export function mountDisk(t: Test, options: string): string | undefined {
  const folder = temporaryFolder(t);
  const { status } = run("mount", [
    "-t",
    "tmpfs",
    "-o",
    options,
    "none",
    folder,
  ]);
  if (status !== 0) return undefined;
  t.teardown(() => void run("umount", ["-l", folder]));
  return folder;
}

/** Makes a folder read-only: root needs a disk for that, anybody else only a mode. */
export function makeReadOnly(t: Test, folder: string): boolean {
  if (process.getuid?.() !== 0) {
    chmodSync(folder, 0o555);
    t.teardown(() => chmodSync(folder, 0o755));
    return true;
  }
  return run("mount", ["-o", "remount,ro", folder]).status === 0;
}

function run(command: string, args: readonly string[]) {
  return spawnSync(command, args, { stdio: "ignore" });
}
