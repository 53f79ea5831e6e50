/**
 * The benchmarks: ours beside the floor, in one run. See README.md here.
 *
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { benchAppends } from "./appends.ts";
import { benchCachedHit } from "./cached_hit.ts";
import { benchCachedInvalidation } from "./cached_invalidation.ts";
import { benchCachedMemory } from "./cached_memory.ts";
import { benchCachedPrefix } from "./cached_prefix.ts";
import { benchCatchUp } from "./catch_up.ts";
import { benchCommitted } from "./committed.ts";
import { benchConcurrency } from "./concurrency.ts";
import { benchEventLoop } from "./event_loop.ts";
import { benchFanOut } from "./fan_out.ts";
import { benchInvalidations } from "./invalidations.ts";
import { benchLargeLog } from "./large_log.ts";
import { benchLatency } from "./latency.ts";
import { describeMachine } from "./support/machine.ts";
import type { Figure } from "./support/measure.ts";
import { benchManyFollowers } from "./many_followers.ts";
import { benchMissed } from "./missed.ts";
import { benchTransactions } from "./transactions.ts";

/** How much is to be done. */
export interface Size {
  readonly isShort: boolean;
  /** For files; it goes with the run. */
  readonly folder: string;
  /** `large_log`: how long the long log is. */
  readonly rows?: number | undefined;
  /** `large_log`: on PostgreSQL, too. */
  readonly postgres?: boolean | undefined;
}

const BENCHMARKS: Readonly<Record<string, (size: Size) => Promise<Figure[]>>> =
  {
    invalidations: benchInvalidations,
    committed: benchCommitted,
    hit: benchCachedHit,
    drop: benchCachedInvalidation,
    prefix: benchCachedPrefix,
    memory: benchCachedMemory,
    fan_out: benchFanOut,
    transactions: benchTransactions,
    latency: benchLatency,
    concurrency: benchConcurrency,
    appends: benchAppends,
    catch_up: benchCatchUp,
    missed: benchMissed,
    many_followers: benchManyFollowers,
    event_loop: benchEventLoop,
    large_log: benchLargeLog,
  };

/** Those that take so long that they are run only when asked for. */
const ONLY_BY_NAME: readonly string[] = ["large_log"];

const USAGE = `Measures Headwater beside the floor, in one run.

  --only NAME   one of ${Object.keys(BENCHMARKS).join(", ")}
  --short       a tenth of the work, for a first look
  --rows N      large_log: how long the long log is; 10,000,000 by default
  --postgres    large_log: on PostgreSQL, too
  --json        one JSON document on standard output
  --help        this text
`;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let values;
  try {
    values = parse(args);
  } catch (error) {
    console.error(`bench: ${(error as Error).message.split("\n")[0]}`);
    return 2;
  }
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const machine = describeMachine();
  const folder = mkdtempSync(join(tmpdir(), "headwater-bench-"));
  const figures: Figure[] = [];
  let status = 0;
  try {
    if (!values.json) console.log(Object.values(machine).join(", ") + "\n");
    for (const [name, bench] of Object.entries(BENCHMARKS)) {
      if ((values.only ?? name) !== name) continue;
      if (values.only === undefined && ONLY_BY_NAME.includes(name)) continue;
      const { short: isShort, rows, postgres } = values;
      const size = {
        isShort,
        folder,
        rows: rows === undefined ? undefined : Number(rows),
        postgres,
      };
      try {
        for (const figure of await bench(size)) {
          figures.push(figure);
          if (!values.json) console.log(formatFigure(figure));
        }
      } catch (error) {
        // What the others say is worth having.
        console.error(`bench: ${name} failed:`, error);
        status = 1;
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  if (values.json) console.log(JSON.stringify({ machine, figures }, null, 2));
  return status;
}

function parse(args: readonly string[]): {
  only: string | undefined;
  rows: string | undefined;
  postgres: boolean;
  short: boolean;
  json: boolean;
  help: boolean;
} {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string" },
      rows: { type: "string" },
      postgres: { type: "boolean", default: false },
      short: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.only !== undefined && !(values.only in BENCHMARKS)) {
    throw new Error(
      `--only is ${JSON.stringify(values.only)}; give one of ${
        Object.keys(BENCHMARKS).join(", ")
      }`,
    );
  }
  return { ...values, only: values.only, rows: values.rows };
}

function formatFigure(figure: Figure): string {
  const { name, unit, ours, baseline, against } = figure;
  const { ratio, ratioMin, ratioMax, goal } = figure;
  const show = (value: number) =>
    Math.abs(value) < 1_000
      ? value.toPrecision(3)
      : Math.round(value).toLocaleString("en-US");
  return `${name}\n  ours ${show(ours)} ${unit}, baseline ${show(baseline)} ` +
    `(${against})\n  ratio ${ratio.toFixed(2)} ` +
    `(${ratioMin.toFixed(2)}..${ratioMax.toFixed(2)})` +
    `${goal === undefined ? "" : `, goal ${goal}`}\n`;
}
