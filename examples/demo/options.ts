/**
 * What the demo can be told.
 *
 * @module
 */

import { parseArgs } from "node:util";

export const USAGE =
  `The demo: a writer, workers that read as fast as they can, and a check of every read.

  --seconds N             how long it runs (default 10)
  --workers N             worker processes (default 2)
  --readers-per-worker N  readers in each, all at once (default 4)
  --database URL          sqlite:FILE (default: a temporary file)
  --break                 one worker ignores invalidations, to show that the
                          check works: the demo must then fail
  --help                  this text
`;

export interface DemoOptions {
  readonly seconds: number;
  readonly workers: number;
  readonly readersPerWorker: number;
  /** `undefined` stands for a temporary file. */
  readonly database: string | undefined;
  readonly breaks: boolean;
  readonly help: boolean;
}

/** Reads the command line; throws an `Error` that says what is wrong with it. */
export function parseOptions(args: readonly string[]): DemoOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: "string", default: "10" },
      workers: { type: "string", default: "2" },
      "readers-per-worker": { type: "string", default: "4" },
      database: { type: "string" },
      break: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.database !== undefined && !/^sqlite:[^:]/.test(values.database)) {
    throw new Error(
      `--database is ${JSON.stringify(values.database)}; give sqlite:FILE, ` +
        "which the workers can reach",
    );
  }
  return {
    seconds: parseCount("--seconds", values.seconds, 3_600),
    workers: parseCount("--workers", values.workers, 64),
    readersPerWorker: parseCount(
      "--readers-per-worker",
      values["readers-per-worker"],
      1_000,
    ),
    database: values.database,
    breaks: values.break,
    help: values.help,
  };
}

function parseCount(option: string, text: string, most: number): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= most) return count;
  throw new Error(
    `${option} is ${
      JSON.stringify(text)
    }; give a whole number from 1 to ${most}`,
  );
}
