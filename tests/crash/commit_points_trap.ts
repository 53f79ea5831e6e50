// What ends a writer: told a point and a number, it kills the process as that
// point is passed for so many times.

import { writeSync } from "node:fs";
import process from "node:process";
import type { PointName, Said } from "./commit_points.ts";

const STDOUT = 1;

/** Says something; it has left the process when this returns. */
export function say(message: Said): void {
  writeSync(STDOUT, `${JSON.stringify(message)}\n`);
}

/** Where and when the process is to die. */
export class Trap {
  #point: PointName | undefined;
  #times = 0;

  /** Makes the process die at a point, as it is passed for that time. */
  set(point: PointName, time: number): void {
    this.#point = point;
    this.#times = time;
  }

  /** Whether the point that is passed now is where it ends. */
  isSprung(point: PointName): boolean {
    if (point !== this.#point) return false;
    this.#times -= 1;
    return this.#times === 0;
  }

  /** Dies, if this is where it ends. */
  pass(point: PointName, write: number): void {
    if (this.isSprung(point)) die(point, write);
  }
}

/** Says so, and is gone. */
export function die(point: PointName, write: number): void {
  say({ dying: { point, write } });
  process.kill(process.pid, "SIGKILL");
}
