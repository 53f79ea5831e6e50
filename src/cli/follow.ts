/**
 * `headwater follow`: what a writer sends, line by line.
 *
 * @module
 */

import process from "node:process";
import { Command } from "commander";
import { stderrLogger } from "../../mod.ts";
import {
  follow,
  type FollowedBatch,
  type StreamPosition,
} from "../slaved/mod.ts";
import { openOutput } from "./output.ts";
import { stopRequested } from "./signals.ts";
import {
  readTls,
  type TlsCommandOptions,
  withClientTls,
} from "./tls_options.ts";

interface FollowCommandOptions extends TlsCommandOptions {
  readonly stream?: readonly string[];
  readonly verbose?: boolean;
}

/** The `follow` command. */
export function followCommand(): Command {
  const command = new Command("follow")
    .description("print each token's rows as a line of JSON")
    .argument(
      "<url>",
      "where the writer listens: tcp://HOST:PORT, tls://HOST:PORT, unix:PATH or redis://HOST:PORT",
    )
    .option(
      "--stream <name>",
      "print only this stream; may be repeated",
      (name, names: readonly string[] | undefined) => [...names ?? [], name],
    )
    .option("--verbose", "print positions on standard error")
    .action(print);
  return withClientTls(command);
}

async function print(
  url: string,
  options: FollowCommandOptions,
): Promise<void> {
  const { stream, verbose } = options;
  const stop = stopRequested();
  const output = openOutput();
  const following = follow({
    replicate: url,
    tls: readTls(options),
    streams: stream,
    name: "headwater follow",
    logger: stderrLogger(verbose ? "debug" : "warn"),
    // Holds the writer up rather than keep lines that nobody has read.
    onBatch: (batch) => output.writeText(format(batch)),
    ...(verbose ? { onPosition: printPosition } : {}),
  });
  await Promise.race([stop, output.gone]);
  await following.close();
  await output.close();
}

/** Rows stay as they came: written anew, numbers beyond JavaScript's would be others. */
function format({ stream, instance, token, texts }: FollowedBatch): string {
  const start = JSON.stringify({ stream, instance, token }).slice(0, -1);
  return `${start},"rows":[${texts.join(",")}]}`;
}

function printPosition(position: StreamPosition): void {
  process.stderr.write(`${JSON.stringify(position)}\n`);
}
