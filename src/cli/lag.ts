/**
 * `headwater lag`: how far everybody is behind, again and again.
 *
 * @module
 */

import process from "node:process";
import { Command, InvalidArgumentError, Option } from "commander";
import {
  type AdminCommandOptions,
  withLogOptions,
} from "./database_options.ts";
import type {
  InstanceLagReport,
  LagReport,
  LagSource,
  ProjectionLagReport,
} from "./lag_report.ts";
import { openLagSource } from "./lag_source.ts";
import { openOutput, type Output } from "./output.ts";
import { stopRequested } from "./signals.ts";
import { formatTable, formatTime } from "./table.ts";
import {
  readTls,
  type TlsCommandOptions,
  withClientTls,
} from "./tls_options.ts";

interface LagCommandOptions extends AdminCommandOptions, TlsCommandOptions {
  readonly replicate?: readonly string[];
  readonly once?: boolean;
  readonly interval: number;
}

const INSTANCES = [
  { title: "INSTANCE" },
  { title: "POSITION", isNumber: true },
  { title: "TO END", isNumber: true },
  { title: "LEASE" },
  { title: "ANNOUNCED", isNumber: true },
  { title: "REACHED", isNumber: true },
  { title: "TOKENS", isNumber: true },
  { title: "SECONDS", isNumber: true },
];

const PROJECTIONS = [
  { title: "PROJECTION" },
  { title: "POSITION", isNumber: true },
  { title: "TOKENS", isNumber: true },
  { title: "PARKED", isNumber: true },
];

/** The cursor's home, and nothing below it. */
const CLEAR = "\x1b[H\x1b[2J\x1b[3J";

const DEFAULT_INTERVAL_MS = 1_000;

/** The `lag` command. */
export function lagCommand(): Command {
  const command = new Command("lag")
    .argument(
      "<url>",
      "sqlite:FILE or postgres://USER@HOST/DATABASE; or where a writer listens",
    )
    .description(
      "tell, again and again, how far instances, readers and projections are",
    )
    .option(
      "--replicate <address>",
      "follow the writer there, and tell how far that is behind; may be repeated",
      (address, others: readonly string[] | undefined) => [
        ...others ?? [],
        address,
      ],
    )
    .addOption(
      new Option("--interval <seconds>", "how often")
        .argParser(parseInterval).default(DEFAULT_INTERVAL_MS, "1"),
    )
    .option("--once", "tell it once")
    .action(run);
  return withLogOptions(withClientTls(command));
}

async function run(url: string, options: LagCommandOptions): Promise<void> {
  const { replicate, once = false, interval, json = false } = options;
  const tls = readTls(options);
  const source = await openLagSource(url, { ...options, replicate, tls });
  const output = openOutput();
  const ended = Promise.race([stopRequested(), output.gone]).then(() => true);
  try {
    while (true) {
      const write = json ? writeJson : writeTables;
      await write(output, await source.read(), once);
      if (once || await pauseUnless(ended, interval)) break;
    }
  } finally {
    await close(source, output, once);
  }
}

async function close(
  source: LagSource,
  output: Output,
  isRead: boolean,
): Promise<void> {
  await source.close();
  await (isRead ? output.finish() : output.close());
}

/** Whether it ended meanwhile. */
async function pauseUnless(
  ended: Promise<boolean>,
  ms: number,
): Promise<boolean> {
  let timer;
  const paused = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([ended, paused]);
  } finally {
    clearTimeout(timer);
  }
}

async function writeJson(output: Output, report: LagReport): Promise<void> {
  await output.writeLine(report);
}

async function writeTables(
  output: Output,
  report: LagReport,
  isOnly: boolean,
): Promise<void> {
  const { horizon, end, instances, projections, connections } = report;
  const lines = formatTable(INSTANCES, instances.map(instanceCells));
  if (projections.length > 0) {
    lines.push("", ...formatTable(PROJECTIONS, projections.map(cellsOf)));
  }
  const facts = [
    formatTime(report.atMs),
    ...end === null ? [] : [`the log ends at token ${end}`],
    ...horizon === null ? [] : [`it is complete up to ${horizon}`],
    ...connections === null ? [] : [`connections so far: ${connections}`],
  ];
  lines.push("", facts.join("; "));
  const isLive = process.stdout.isTTY && !isOnly;
  if (!isLive && !isOnly) lines.push("");
  for (const [index, line] of lines.entries()) {
    await output.writeText(isLive && index === 0 ? CLEAR + line : line);
  }
}

function instanceCells(
  { name, position, toEnd, lease, announced, reached, tokens, seconds }:
    InstanceLagReport,
): (string | number)[] {
  return [
    name,
    position ?? "-",
    toEnd ?? "-",
    lease ?? "-",
    announced ?? "-",
    reached ?? "-",
    tokens ?? "-",
    seconds === null ? "-" : seconds.toFixed(1),
  ];
}

function cellsOf(
  { name, position, tokens, parked }: ProjectionLagReport,
): (string | number)[] {
  return [name, position ?? "inline", tokens, parked];
}

function parseInterval(text: string): number {
  const seconds = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && seconds >= 0.01 && seconds <= 86_400) {
    return seconds * 1_000;
  }
  throw new InvalidArgumentError("Give seconds from 0.01 to 86400.");
}
