/**
 * `headwater verify`: whether a log is sound.
 *
 * @module
 */

import process from "node:process";
import type { Command } from "commander";
import {
  openAdmin,
  type Verification,
  type VerifyProgress,
} from "../admin/mod.ts";
import {
  type AdminCommandOptions,
  forLog,
  withLogOptions,
} from "./database_options.ts";
import { openOutput, type Output } from "./output.ts";
import { formatTable } from "./table.ts";

interface VerifyCommandOptions extends AdminCommandOptions {
  readonly verbose?: boolean;
}

const PROBLEM_COLUMNS = [
  { title: "TOKEN", isNumber: true },
  { title: "CHECK" },
  { title: "PROBLEM" },
];
const COUNT_COLUMNS = [
  { title: "RECORDS", isNumber: true },
  { title: "TRANSACTIONS", isNumber: true },
  { title: "EVENTS", isNumber: true },
  { title: "AGGREGATES", isNumber: true },
  { title: "PROBLEMS", isNumber: true },
];

/** The `verify` command. */
export function verifyCommand(): Command {
  const command = forLog("verify")
    .description("check a whole log; exits with 1 if anything is wrong")
    .option("--verbose", "tell on standard error how far it has got")
    .action(print);
  return withLogOptions(command);
}

async function print(
  url: string,
  { json, verbose, ...options }: VerifyCommandOptions,
): Promise<void> {
  await using admin = await openAdmin(url, options);
  const found = await admin.verify(
    verbose ? { onProgress: printProgress } : {},
  );
  const output = openOutput();
  if (json) await writeJson(output, found);
  else await writeTables(output, found);
  await output.finish();
  if (found.problemCount > 0) process.exitCode = 1;
}

async function writeJson(
  output: Output,
  { problems, ...counts }: Verification,
): Promise<void> {
  for (const problem of problems) await output.writeLine(problem);
  await output.writeLine(counts);
}

async function writeTables(
  output: Output,
  found: Verification,
): Promise<void> {
  const { records, transactions, events, aggregates } = found;
  const { problems, problemCount } = found;
  const lines: string[] = [];
  if (problemCount > 0) {
    const rows = problems.map(({ token, check, message }) => [
      token ?? "-",
      check,
      message,
    ]);
    lines.push(...formatTable(PROBLEM_COLUMNS, rows));
    const more = problemCount - problems.length;
    if (more > 0) lines.push(`… and ${more} more`);
    lines.push("");
  }
  const counts = [records, transactions, events, aggregates, problemCount];
  lines.push(...formatTable(COUNT_COLUMNS, [counts]));
  for (const line of lines) await output.writeText(line);
}

function printProgress(progress: VerifyProgress): void {
  process.stderr.write(`${JSON.stringify(progress)}\n`);
}
