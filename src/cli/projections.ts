/**
 * `headwater projections`: how far they have got, and what is asked of them.
 *
 * @module
 */

import { Argument, type Command } from "commander";
import { HeadwaterError } from "../../mod.ts";
import { type Admin, openAdmin, type ProjectionRecord } from "../admin/mod.ts";
import {
  type AdminCommandOptions,
  forLog,
  withLogOptions,
} from "./database_options.ts";
import { openOutput, type Output } from "./output.ts";
import { formatTable, formatTime } from "./table.ts";

type Action = "list" | "rebuild" | "retry";

const COLUMNS = [
  { title: "PROJECTION" },
  { title: "VERSION", isNumber: true },
  { title: "POSITION", isNumber: true },
  { title: "DONE", isNumber: true },
  { title: "PARKED", isNumber: true },
  { title: "REBUILD", isNumber: true },
  { title: "HELD UNTIL" },
  { title: "UPDATED" },
];

/** The `projections` command. */
export function projectionsCommand(): Command {
  const command = forLog("projections")
    .description(
      "list a log's projections, have one rebuilt, or its parked events retried",
    )
    .addArgument(
      new Argument("[action]", "what to do")
        .choices(["list", "rebuild", "retry"]).default("list"),
    )
    .argument("[name]", "the projection to rebuild, or to retry")
    .action(run);
  return withLogOptions(command);
}

async function run(
  url: string,
  action: Action,
  name: string | undefined,
  { json = false, ...options }: AdminCommandOptions,
): Promise<void> {
  requireName(action, name);
  await using admin = await openAdmin(url, options);
  const write = name === undefined
    ? await list(admin, json)
    : await ask(admin, action, name, json);
  const output = openOutput();
  await write(output);
  await output.finish();
}

type Write = (output: Output) => Promise<void>;

async function list(admin: Admin, json: boolean): Promise<Write> {
  const projections = await admin.projections();
  return async (output) => {
    if (json) {
      for (const { position, rebuild, ...others } of projections) {
        await output.writeLine({
          ...others,
          position: position ?? null,
          rebuild: rebuild ?? null,
        });
      }
      return;
    }
    for (const line of formatTable(COLUMNS, projections.map(toCells))) {
      await output.writeText(line);
    }
  };
}

async function ask(
  admin: Admin,
  action: Action,
  name: string,
  json: boolean,
): Promise<Write> {
  let parked: number | undefined;
  if (action === "retry") parked = await admin.retryProjection(name);
  else await admin.rebuildProjection(name);
  return async (output) => {
    if (json) return await output.writeLine({ name, action, parked });
    const what = parked === undefined
      ? "to be rebuilt"
      : `to retry ${parked} parked event${parked === 1 ? "" : "s"}`;
    await output.writeText(
      `Projection ${JSON.stringify(name)} is asked ${what}.`,
    );
  };
}

function toCells(
  { name, version, position, done, parked, rebuild, expiresMs, updatedMs }:
    ProjectionRecord,
): (string | number)[] {
  return [
    name,
    version,
    position ?? "inline",
    done,
    parked,
    rebuild ?? "-",
    formatTime(expiresMs),
    formatTime(updatedMs),
  ];
}

function requireName(action: Action, name: string | undefined): void {
  const isNamed = name !== undefined;
  if (isNamed === (action !== "list")) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    isNamed
      ? `Cannot list projection ${JSON.stringify(name)}: list takes no name`
      : `Cannot ${action} a projection: none is named; give its name, which ` +
        "headwater projections URL lists",
  );
}
