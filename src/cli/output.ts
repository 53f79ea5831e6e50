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
  /** Writes a line of text; waits while the reader is behind. */
  writeText(line: string): void | Promise<void>;
  /** Resolves when whoever read it has had enough. */
  readonly gone: Promise<void>;
  /** Lets go of it once the reader has taken everything, or is gone. */
  finish(): Promise<void>;
  /** Lets go of it, soon: what a stuck reader has not taken is dropped. */
  close(): Promise<void>;
}

/** Opens standard output. It is nobody else's from then on. */
export function openOutput(): Output {
  const stream = openStream();
  let isGone = false;
  const gone = new Promise<void>((resolve) => {
    const leave = () => {
      isGone = true;
      resolve();
    };
    stream.on("error", leave);
    stream.on("close", leave);
  });
  const writeText = (line: string) => {
    if (stream.write(`${line}\n`) || isGone) return;
    return nextOf(stream, ["drain", "error", "close"]);
  };
  const end = () => {
    const ended = new Promise<void>((resolve) => stream.end(() => resolve()));
    return Promise.race([ended, gone]);
  };
  return {
    gone,
    writeText,
    writeLine: (value) => writeText(JSON.stringify(value)),
    async finish() {
      await end();
      stream.destroy();
    },
    async close() {
      let timer;
      await Promise.race([
        end(),
        new Promise<void>((resolve) => {
          timer = setTimeout(resolve, CLOSE_GRACE_MS);
        }),
      ]);
      clearTimeout(timer);
      stream.destroy();
    },
  };
}

/** Resolves at the first of the events, and leaves nothing behind. */
function nextOf(stream: Writable, events: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const event of events) stream.off(event, done);
      resolve();
    };
    for (const event of events) stream.on(event, done);
  });
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
