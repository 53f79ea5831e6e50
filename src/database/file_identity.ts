/**
 * Telling a file from another one in its place, as a restore puts it there.
 *
 * @module
 */

import { statSync } from "node:fs";
import type { Clock } from "../runtime/clock.ts";

/** How long, in ms, a file is taken for the one that it was. */
const CHECK_INTERVAL_MS = 100;

/** What tells a file from others on this machine, be they of the same name. */
export function identifyFile(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? "none" : `${stat.dev}:${stat.ino}`;
}

/** Whether a file is still the one it was. */
export class FileIdentity {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #identity: string;
  #checkedMs: number;
  #isReplaced = false;

  /** Takes in what the file is now. */
  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
    this.#identity = identifyFile(path);
    this.#checkedMs = clock.monotonicMs();
  }

  /** Whether another was seen in its place; it is looked at ten times a second at most. */
  get isReplaced(): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (!this.#isReplaced && nowMs - this.#checkedMs >= CHECK_INTERVAL_MS) {
      this.#checkedMs = nowMs;
      this.#isReplaced = identifyFile(this.#path) !== this.#identity;
    }
    return this.#isReplaced;
  }
}
