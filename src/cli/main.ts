#!/usr/bin/env node
/**
 * The `headwater` command.
 *
 * @module
 */

import process from "node:process";
import { Command, CommanderError } from "commander";
import { HeadwaterError } from "../../mod.ts";
import { followCommand } from "./follow.ts";
import { lagCommand } from "./lag.ts";
import { logCommand } from "./log.ts";
import { positionsCommand } from "./positions.ts";
import { projectionsCommand } from "./projections.ts";
import { retainCommand } from "./retain.ts";
import { serveCommand } from "./serve.ts";
import { verifyCommand } from "./verify.ts";

const VERSION = "0.1.0";
const WRONG_USAGE = 2;

/** Runs the command with the process's arguments; ends the process if it fails. */
export async function main(args: readonly string[]): Promise<void> {
  const program = new Command("headwater")
    .description("A log of every write, and caches that follow it")
    .version(VERSION)
    .addCommand(serveCommand())
    .addCommand(followCommand())
    .addCommand(positionsCommand())
    .addCommand(lagCommand())
    .addCommand(logCommand())
    .addCommand(verifyCommand())
    .addCommand(retainCommand())
    .addCommand(projectionsCommand());
  for (const command of [program, ...program.commands]) {
    command.exitOverride().showSuggestionAfterError(false)
      .configureOutput({
        outputError: (text, write) => write(text.trim() + "\n"),
      });
  }
  try {
    if (args.length === 0) {
      const names = program.commands.map((command) => command.name());
      program.error(
        `error: missing command: give ${names.join(", ")} or --help`,
      );
    }
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    process.exitCode = report(error);
  }
}

/** One line for what went wrong; what commander says, it has said by now. */
function report(error: unknown): number {
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? 0 : WRONG_USAGE;
  }
  const text = error instanceof Error ? error.message : String(error);
  process.stderr.write(`headwater: ${text.replaceAll("\n", " ")}\n`);
  const isUsage = error instanceof HeadwaterError &&
    error.code === "INVALID_ARGUMENT";
  return isUsage ? WRONG_USAGE : 1;
}

await main(process.argv.slice(2));
