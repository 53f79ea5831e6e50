/**
 * Lines on standard output, for a reader that may be slow, stuck or gone.
 *
 * @module
 */

import { fstatSync } from "node:fs";
import { Socket } from "node:net";
import process from "node:process";
import type { Writable } from "node:stream";

const STDOUT = 1;
/** How long, in ms, what is written may take to leave once it is closed. */
const CLOSE_GRACE_MS = 300;

/** Standard output, line by line. */
export interface Output {
  /** Writes a value as a line of JSON; waits while the reader is behind. */
  writeLine(value: unknown): void | Promise<void>;
  /** Resolves when whoever read it has had enough. */
  readonly gone: Promise<void>;
  /** Lets go of it, soon: what a stuck reader has not taken is dropped. */
  close(): Promise<void>;
}

/** Opens standard output. It is nobody else's from then on. */
export function openOutput(): Output {
  const stream = openStream();
  const gone = new Promise<void>((resolve) => {
    stream.on("error", () => resolve());
    stream.on("close", () => resolve());
  });
  return {
    gone,
    writeLine(value) {
      if (stream.write(`${JSON.stringify(value)}\n`)) return;
      return Promise.race([
        new Promise<void>((resolve) => stream.once("drain", () => resolve())),
        gone,
      ]);
    },
    async close() {
      let timer;
      await Promise.race([
        new Promise<void>((resolve) => stream.end(() => resolve())),
        gone,
        new Promise<void>((resolve) => {
          timer = setTimeout(resolve, CLOSE_GRACE_MS);
        }),
      ]);
      clearTimeout(timer);
      stream.destroy();
    },
  };
}

/**
 * A pipe is opened as a socket: the runtime's own stream may block the process
 * while nobody reads, and then no signal would be heard.
 */
function openStream(): Writable {
  const stat = fstatSync(STDOUT);
  return stat.isFIFO() || stat.isSocket()
    ? new Socket({ fd: STDOUT, readable: false, writable: true })
    : process.stdout;
}
