/**
 * Who this process is, and whether another one is provably gone.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import process from "node:process";

/** A process, told apart from every other one, earlier ones of the same pid included. */
export interface ProcessIdentity {
  /** The machine's host name. */
  readonly host: string;
  /** The process's number there. */
  readonly pid: number;
  /** Boot and start time of the process where the system tells them (Linux), else empty. */
  readonly mark: string;
}

/** Whether this process is run by Deno. */
export const isDeno: boolean = "deno" in process.versions;

/** This process. */
export function thisProcess(): ProcessIdentity {
  return { host: hostname(), pid: process.pid, mark: markOf(process.pid) };
}

/**
 * Whether a process is known to have ended: its machine is this one, and it has
 * been restarted since, or the pid is free, a zombie's, or another process's by now.
 *
 * @param other The process to look for.
 * @returns `false` where it lives, and where nobody here can know.
 */
export function isProvablyGone(other: ProcessIdentity): boolean {
  if (other.host !== hostname()) return false;
  if (!isSignalable(other.pid)) return true;
  return other.mark !== "" && markOf(other.pid) !== other.mark;
}

function isSignalable(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code !== "ESRCH";
  }
}

/** proc(5): field 3 of `stat` is the state, field 22 the start in ticks since boot. */
function markOf(pid: number): string {
  if (pid !== process.pid) return readMark(pid);
  return ownMark ??= readMark(pid);
}

/** As long as it lives, a process's own stays the same. */
let ownMark: string | undefined;

function readMark(pid: number): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command's name stands in parentheses and may itself hold spaces.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const isZombie = fields[0] === "Z" || fields[0] === "X";
    return isZombie ? "gone" : `${boot}/${fields[19]}`;
  } catch {
    return "";
  }
}
