/**
 * `headwater projections`: how far they have got, and what is asked of them.
 *
 * @module
 */

import { Argument, type Command } from "commander";
import { HeadwaterError } from "../../mod.ts";
import {
  type Admin,
  openAdmin,
  type ProjectionFigures,
  type ProjectionReport,
} from "../admin/mod.ts";
import {
  type AdminCommandOptions,
  forLog,
  withLogOptions,
} from "./database_options.ts";
import { openOutput, type Output } from "./output.ts";
import { type Cells, formatTable, formatTime } from "./table.ts";

type Action = "list" | "parked" | "rebuild" | "retry";

const ACTIONS = ["list", "parked", "rebuild", "retry"] as const;

const COLUMNS = [
  { title: "PROJECTION" },
  { title: "VERSION", isNumber: true },
  { title: "POSITION", isNumber: true },
  { title: "DONE", isNumber: true },
  { title: "TOTAL", isNumber: true },
  { title: "ROWS/S", isNumber: true },
  { title: "LEFT", isNumber: true },
  { title: "PARKED", isNumber: true },
  { title: "HELD UNTIL" },
  { title: "UPDATED" },
];

const PARKED_COLUMNS = [
  { title: "TOKEN", isNumber: true },
  { title: "ORDINAL", isNumber: true },
  { title: "ATTEMPTS", isNumber: true },
  { title: "TABLES" },
  { title: "PARKED" },
  { title: "ERROR" },
];

/** The `projections` command. */
export function projectionsCommand(): Command {
  const command = forLog("projections")
    .description(
      "list a log's projections or one's parked events, have one rebuilt, or " +
        "its parked events retried",
    )
    .addArgument(
      new Argument("[action]", "what to do")
        .choices(ACTIONS).default("list"),
    )
    .argument("[name]", "the projection, unless all are listed")
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
    : action === "parked"
    ? await listParked(admin, name, json)
    : await ask(admin, action, name, json);
  const output = openOutput();
  await write(output);
  await output.finish();
}

type Write = (output: Output) => Promise<void>;

async function list(admin: Admin, json: boolean): Promise<Write> {
  const reports = await admin.progress();
  return async (output) => {
    if (json) {
      for (const { position, rebuild, ...others } of reports) {
        await output.writeLine({
          ...others,
          position: position ?? null,
          rebuild: rebuild ?? null,
        });
      }
      return;
    }
    for (const line of formatTable(COLUMNS, reports.flatMap(toRows))) {
      await output.writeText(line);
    }
  };
}

async function listParked(
  admin: Admin,
  name: string,
  json: boolean,
): Promise<Write> {
  const events = await admin.parked(name);
  return async (output) => {
    if (json) {
      for (const event of events) await output.writeLine({ ...event });
      return;
    }
    const rows = events.map((
      { token, ordinal, attempts, isRebuild, parkedMs, error },
    ) => [
      token,
      ordinal,
      attempts === 0 ? "to retry" : attempts,
      isRebuild ? "rebuild" : "serving",
      formatTime(parkedMs),
      error,
    ]);
    for (const line of formatTable(PARKED_COLUMNS, rows)) {
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

/** A projection's row, and one below it for the tables that are being built. */
function toRows(report: ProjectionReport): Cells[] {
  const { name, version, position, rebuild, expiresMs, updatedMs } = report;
  const rows: Cells[] = [[
    name,
    version,
    position ?? "inline",
    ...(position === undefined ? ["-", "-", "-", "-", "-"] : toCells(report)),
    formatTime(expiresMs),
    formatTime(updatedMs),
  ]];
  if (rebuild !== undefined) {
    rows.push(["  rebuild", "", "", ...toCells(rebuild), "", ""]);
  }
  return rows;
}

function toCells(
  { done, total, rowsPerSecond, secondsLeft, parked }: ProjectionFigures,
): (string | number)[] {
  const isKnown = rowsPerSecond > 0;
  return [
    done,
    total,
    isKnown ? Math.round(rowsPerSecond) : "-",
    isKnown || done >= total ? `${Math.ceil(secondsLeft)} s` : "-",
    parked,
  ];
}

const ACTS: Readonly<Record<Action, string>> = {
  list: "list",
  parked: "list the parked events of",
  rebuild: "rebuild",
  retry: "retry",
};

function requireName(action: Action, name: string | undefined): void {
  const isNamed = name !== undefined;
  if (isNamed === (action !== "list")) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    isNamed
      ? `Cannot list projection ${JSON.stringify(name)}: list takes no name`
      : `Cannot ${
        ACTS[action]
      } a projection: none is named; give its name, which ` +
        "headwater projections URL lists",
  );
}
