/**
 * The `headwater` command, from its arguments to its exit status.
 *
 * @module
 */

import process from "node:process";
import { Command, CommanderError } from "commander";

const VERSION = "0.1.0";
const WRONG_USAGE = 2;

/** Each is loaded when it is wanted: most need half of the library at most. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import("./serve.ts")).serveCommand(),
  follow: async () => (await import("./follow.ts")).followCommand(),
  positions: async () => (await import("./positions.ts")).positionsCommand(),
  lag: async () => (await import("./lag.ts")).lagCommand(),
  log: async () => (await import("./log.ts")).logCommand(),
  verify: async () => (await import("./verify.ts")).verifyCommand(),
  retain: async () => (await import("./retain.ts")).retainCommand(),
  projections: async () =>
    (await import("./projections.ts")).projectionsCommand(),
};

/**
 * Runs the command to its end, and resolves with its exit status: 2 for wrong usage,
 * 1 for what fails otherwise. A command that has done its work and found something
 * wrong sets `process.exitCode`.
 */
export async function runCommand(args: readonly string[]): Promise<number> {
  const program = new Command("headwater")
    .description("A log of every write, and caches that follow it")
    .version(VERSION);
  const [name = ""] = args;
  const wanted = Object.hasOwn(COMMANDS, name) ? [name] : Object.keys(COMMANDS);
  for (const each of wanted) {
    const command = await COMMANDS[each]?.();
    if (command !== undefined) program.addCommand(command);
  }
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
    return 0;
  } catch (error) {
    return report(error);
  }
}

/** One line for what went wrong; what commander says, it has said by now. */
function report(error: unknown): number {
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? 0 : WRONG_USAGE;
  }
  const text = error instanceof Error ? error.message : String(error);
  process.stderr.write(`headwater: ${text.replaceAll("\n", " ")}\n`);
  // By its code: importing its class would load all there is.
  const { code } = Object(error) as { readonly code?: unknown };
  return code === "INVALID_ARGUMENT" ? WRONG_USAGE : 1;
}
