// The command, run to its end.

import { execFile } from "node:child_process";
import { commandFor } from "../support/processes.ts";

/** The file that is the command. */
export const command = new URL("../../src/cli/main.ts", import.meta.url);

/** What came of a run. */
export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output's lines. */
  readonly lines: readonly string[];
  /** The same, each as JSON. */
  json(): unknown[];
}

/** Runs the command with some arguments. */
export function run(...args: readonly string[]): Promise<Outcome> {
  const [program, first] = commandFor(command);
  return new Promise((resolve) => {
    execFile(program, [...first, ...args], (error, stdout, stderr) => {
      const lines = stdout.split("\n").slice(0, -1);
      resolve({
        status: error === null ? 0 : Number(error.code ?? -1),
        stdout,
        stderr,
        lines,
        json: () => lines.map((line): unknown => JSON.parse(line)),
      });
    });
  });
}
