/**
 * What the commands that open a database have in common.
 *
 * @module
 */

import { Command } from "commander";

/** Where the library's tables stand. */
export interface DatabaseCommandOptions {
  readonly tablePrefix?: string;
  readonly schema?: string;
}

/** What a command that looks after a log is asked for. */
export interface AdminCommandOptions extends DatabaseCommandOptions {
  readonly json?: boolean;
}

/** Lets a command be told where the library's tables stand. */
export function withTableNames(command: Command): Command {
  return command
    .option("--table-prefix <text>", "what its tables' names begin with")
    .option("--schema <name>", "PostgreSQL: the schema of its tables");
}

/** A command that looks after a log. */
export function forLog(name: string): Command {
  return new Command(name)
    .argument("<url>", "sqlite:FILE or postgres://USER@HOST/DATABASE");
}

/** Gives such a command its last options. */
export function withLogOptions(command: Command): Command {
  return withTableNames(command)
    .option("--json", "print JSON, a value a line, for programs");
}
