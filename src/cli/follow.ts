/**
 * `headwater follow`: what a writer sends, line by line.
 *
 * @module
 */

import process from "node:process";
import type { Writable } from "node:stream";
import { Command } from "commander";
import { stderrLogger } from "../../mod.ts";
import { follow } from "../slaved/mod.ts";
import { stopRequested } from "./signals.ts";

interface FollowCommandOptions {
  readonly stream?: readonly string[];
  readonly verbose?: boolean;
}

/** The `follow` command. */
export function followCommand(): Command {
  return new Command("follow")
    .description("print each token's rows as a line of JSON")
    .argument("<url>", "where the writer listens: tcp://HOST:PORT")
    .option(
      "--stream <name>",
      "print only this stream; may be repeated",
      (name, names: readonly string[] | undefined) => [...names ?? [], name],
    )
    .option("--verbose", "print positions on standard error")
    .action(print);
}

async function print(
  url: string,
  { stream, verbose }: FollowCommandOptions,
): Promise<void> {
  const stop = stopRequested();
  const isGone = new Promise<void>((resolve) =>
    // Whoever read our output has had enough.
    process.stdout.on("error", () => resolve())
  );
  const following = follow({
    replicate: url,
    streams: stream,
    name: "headwater follow",
    logger: stderrLogger(verbose ? "debug" : "warn"),
    onBatch: ({ stream, instance, token, rows }) =>
      writeLine(process.stdout, { stream, instance, token, rows }),
    ...(verbose
      ? { onPosition: (position) => writeLine(process.stderr, position) }
      : {}),
  });
  await Promise.race([stop, isGone]);
  await following.close();
}

/** Holds the writer up rather than keep lines that nobody has read. */
function writeLine(output: Writable, value: unknown): void | Promise<void> {
  if (output.write(`${JSON.stringify(value)}\n`)) return;
  return new Promise((resolve) => {
    const done = () => {
      output.off("drain", done);
      output.off("error", done);
      resolve();
    };
    output.on("drain", done);
    output.on("error", done);
  });
}
