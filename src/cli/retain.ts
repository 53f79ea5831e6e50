/**
 * `headwater retain`: deleting what a log need not keep.
 *
 * @module
 */

import type { Command } from "commander";
import { HeadwaterError } from "../../mod.ts";
import { openAdmin, type RetentionPolicies } from "../admin/mod.ts";
import {
  type AdminCommandOptions,
  forLog,
  withLogOptions,
} from "./database_options.ts";
import { requireStream } from "./known_streams.ts";
import { parseAge, parseCount } from "./numbers.ts";
import { openOutput } from "./output.ts";
import { formatTable } from "./table.ts";

interface RetainCommandOptions extends AdminCommandOptions {
  readonly stream?: string;
  readonly maxAge?: number;
  readonly maxRows?: number;
}

const COLUMNS = [
  { title: "STREAM" },
  { title: "DELETED", isNumber: true },
  { title: "FLOOR", isNumber: true },
];

/** The `retain` command. */
export function retainCommand(): Command {
  const command = forLog("retain")
    .description(
      "delete what a log need not keep: invalidations of more than 7 days, " +
        "or rows of the stream that is named",
    )
    .option("--stream <name>", "of this stream")
    .option(
      "--max-age <age>",
      "rows older than 90s, 15m, 12h, 7d, 2w",
      parseAge,
    )
    .option("--max-rows <count>", "the oldest of more rows", parseCount)
    .action(retain);
  return withLogOptions(command);
}

async function retain(
  url: string,
  { json, stream, maxAge, maxRows, ...options }: RetainCommandOptions,
): Promise<void> {
  const policies = toPolicies(stream, maxAge, maxRows);
  await using admin = await openAdmin(url, options);
  const retained = await admin.retain(policies);
  // It may as well be that all of it is to be kept.
  const isNothing = retained.every(({ deleted, floor }) =>
    deleted + floor === 0
  );
  if (stream !== undefined && isNothing) {
    await requireStream("retain", admin, stream);
  }
  const output = openOutput();
  if (json) { for (const each of retained) await output.writeLine(each); }
  else {
    const rows = retained.map((each) => [
      each.stream,
      each.deleted,
      each.floor,
    ]);
    for (const line of formatTable(COLUMNS, rows)) {
      await output.writeText(line);
    }
  }
  await output.finish();
}

function toPolicies(
  stream: string | undefined,
  maxAgeMs: number | undefined,
  maxRows: number | undefined,
): RetentionPolicies | undefined {
  const isBounded = maxAgeMs !== undefined || maxRows !== undefined;
  if (stream !== undefined && isBounded) {
    return { [stream]: { maxAgeMs, maxRows } };
  }
  if (stream === undefined && !isBounded) return undefined;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    isBounded
      ? "Cannot retain: no stream is named; give --stream beside --max-age or --max-rows"
      : `Cannot retain stream ${
        JSON.stringify(stream)
      }: give --max-age or --max-rows`,
  );
}
