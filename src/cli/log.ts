/**
 * `headwater log`: what stands in a log.
 *
 * @module
 */

import type { Command } from "commander";
import {
  type LoggedRecord,
  openAdmin,
  type ReadLogOptions,
} from "../admin/mod.ts";
import {
  type AdminCommandOptions,
  forLog,
  withLogOptions,
} from "./database_options.ts";
import { requireStream } from "./known_streams.ts";
import { parseCount } from "./numbers.ts";
import { openOutput, type Output } from "./output.ts";
import { stopRequested } from "./signals.ts";
import { formatTime, Table } from "./table.ts";

interface LogCommandOptions extends AdminCommandOptions {
  readonly stream?: string;
  readonly instance?: string;
  readonly after?: number;
  readonly upto?: number;
  readonly follow?: boolean;
}

const COLUMNS = [
  { title: "TOKEN", isNumber: true, width: 8 },
  { title: "INSTANCE", width: 8 },
  { title: "COMMITTED", width: 24 },
  { title: "STREAM", width: 8 },
  { title: "ROW" },
];
/** Characters of a row that people are shown; programs get all. */
const MAX_ROW_LENGTH = 200;

/** The `log` command. */
export function logCommand(): Command {
  const command = forLog("log")
    .description("print the rows of a log, of every instance, by token")
    .option("--stream <name>", "only this stream")
    .option("--instance <name>", "only what this instance wrote")
    .option("--after <token>", "only what comes after", parseCount)
    .option("--upto <token>", "nothing that comes after", parseCount)
    .option("--follow", "go on with what is written from now on")
    .action(print);
  return withLogOptions(command);
}

async function print(url: string, options: LogCommandOptions): Promise<void> {
  // Asked for first, so that a stop while it opens is not lost.
  const stop = stopRequested();
  const { json, upto, tablePrefix, schema, ...range } = options;
  await using admin = await openAdmin(url, { tablePrefix, schema });
  const output = openOutput();
  const stopping = new AbortController();
  const { signal } = stopping;
  void Promise.race([stop, output.gone]).then(() => stopping.abort());
  const wanted: ReadLogOptions = { ...range, upTo: upto, signal };
  const write = json ? writeJson : tableWriter();
  let isEmpty = true;
  try {
    for await (const record of admin.log(wanted)) {
      isEmpty = false;
      const written = write(output, record);
      // Reads no further than the reader has come; a stop doesn't wait for it.
      if (written !== undefined) await unlessAborted(written, signal);
    }
    const { stream } = range;
    if (isEmpty && stream !== undefined) {
      await requireStream("print", admin, stream);
    }
    await unlessAborted(output.finish(), signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await output.close();
  }
}

type Write = (
  output: Output,
  record: LoggedRecord,
) => void | Promise<void>;

const writeJson: Write = (output, record) => output.writeLine(record);

/** A line for each row, under a head that is printed with the first. */
function tableWriter(): Write {
  const table = new Table(COLUMNS);
  let head: readonly string[] = [table.head];
  return (output, { token, instance, committedMs, stream, rows }) => {
    const [first = "", ...others] = rows.map((row) => JSON.stringify(row));
    const common = [token, instance, formatTime(committedMs), stream || "-"];
    const lines = [
      ...head,
      table.line([...common, cut(first)]),
      ...others.map((row) => table.line(["", "", "", "", cut(row)])),
    ];
    head = [];
    return output.writeText(lines.join("\n"));
  };
}

function cut(row: string): string {
  return row.length > MAX_ROW_LENGTH ? `${row.slice(0, MAX_ROW_LENGTH)}…` : row;
}

/** Resolves with the promise, or once the signal is aborted. */
function unlessAborted(
  promise: Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = () => {
      signal.removeEventListener("abort", done);
      resolve();
    };
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", done);
    promise.then(done, reject);
  });
}
