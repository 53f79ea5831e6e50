/**
 * `headwater positions`: how far a log has got, and who writes it.
 *
 * @module
 */

import type { Command } from "commander";
import { type InstancePosition, openAdmin } from "../admin/mod.ts";
import {
  type AdminCommandOptions,
  forLog,
  withLogOptions,
} from "./database_options.ts";
import { openOutput } from "./output.ts";
import { formatTable, formatTime } from "./table.ts";

const COLUMNS = [
  { title: "INSTANCE" },
  { title: "POSITION", isNumber: true },
  { title: "LEASE" },
  { title: "FENCE", isNumber: true },
  { title: "HOST" },
  { title: "PID", isNumber: true },
];

/** The `positions` command. */
export function positionsCommand(): Command {
  const command = forLog("positions")
    .description("tell how far each instance of a log has got, and who it is")
    .action(print);
  return withLogOptions(command);
}

async function print(
  url: string,
  { json, ...options }: AdminCommandOptions,
): Promise<void> {
  await using admin = await openAdmin(url, options);
  const positions = await admin.positions();
  const output = openOutput();
  if (json) await output.writeLine(positions);
  else {
    const { instances, horizon } = positions;
    for (const line of formatTable(COLUMNS, instances.map(toCells))) {
      await output.writeText(line);
    }
    await output.writeText("");
    await output.writeText(`The log is complete up to token ${horizon}.`);
  }
  await output.finish();
}

function toCells(
  { name, position, lease, leaseEndsMs, fence, host, pid }: InstancePosition,
): (string | number)[] {
  const until = formatTime(leaseEndsMs);
  const state = {
    held: `held until ${until}`,
    expired: `expired at ${until}`,
    released: "released",
  }[lease];
  return [name, position, state, fence, host, pid];
}
