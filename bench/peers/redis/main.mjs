/**
 * Headwater beside what invalidates caches over Redis. See README.md here.
 *
 * @module
 */

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { load } from "./load.mjs";
import { startRedis } from "./redis_server.mjs";

const { options, isJson } = parse(process.argv.slice(2));
if (!existsSync(new URL("../../../dist/mod.js", import.meta.url))) {
  console.error("bench: build Headwater first: npm run build, at the top");
  process.exit(1);
}
const { alternate, percentile, perSecond, summarize } = await load(
  "bench/support/measure.js",
);
const { describeMachine } = await load("bench/support/machine.js");
const { offsetOf, ping } = await load("bench/support/clock_offset.js");
const { timeWriters } = await load("bench/support/load.js");
const { startPeerAt } = await load("bench/support/peer.js");
const { listenBare } = await load("bench/support/server.js");
const { keyOf } = await load("bench/support/store.js");

const OURS = "headwater";
const PEERS = {
  ioredis: "ioredis pub/sub by hand",
  redis: "node-redis pub/sub by hand",
  client_side: "node-redis' client-side caching",
  bentocache: "bentocache: memory and bus",
  layered_loader: "layered-loader with notifications",
};
const LOADS = [
  { what: "one by one", batch: 1, atATime: 1, rows: 2_000 },
  { what: "one a call, 256 at a time", batch: 1, atATime: 256, rows: 20_000 },
  {
    what: "batches of 100, 4 at a time",
    batch: 100,
    atATime: 4,
    rows: 100_000,
  },
];
/** Ours has no handler elsewhere, so that its code would be new here. */
const WARM_UP = { batch: 1, atATime: 1, rows: 10_000, isTimed: true };
const PACED = 150;
const PACE_MS = 3;

const folder = mkdtempSync(join(tmpdir(), "headwater-redis-"));
const redis = await startRedis(folder);
const figures = [];
try {
  const machine = describeMachine();
  if (!isJson) console.log(Object.values(machine).join(", ") + "\n");
  const ours = await openSide(OURS);
  for (const [mechanism, against] of Object.entries(PEERS)) {
    if ((options.only ?? mechanism) !== mechanism) continue;
    const peer = await openSide(mechanism);
    await measure(ours, peer, against);
    await peer.close();
  }
  await ours.close();
  if (isJson) console.log(JSON.stringify({ machine, figures }, null, 2));
} finally {
  redis.close();
  rmSync(folder, { recursive: true, force: true });
}

/** A writer here, and a reader in a process of its own. */
async function openSide(mechanism) {
  const where = {
    port: redis.port,
    database: `sqlite:${join(folder, "ours.db")}`,
  };
  const { openWriter } = await import(`./mechanisms/${mechanism}.mjs`);
  const writer = await openWriter(where);
  const echo = await listenBare();
  const reader = startPeerAt(new URL("./reader.mjs", import.meta.url));
  await reader.ask({
    kind: "open",
    mechanism,
    ...where,
    url: writer.url,
    echoPort: echo.port,
  });
  return {
    writer,
    reader,
    echo,
    async close() {
      reader.close();
      echo.close();
      await writer.close();
    },
  };
}

async function measure(ours, peer, against) {
  const rounds = options.rounds === undefined ? 5 : Number(options.rounds);
  for (const { what, ...load } of LOADS) {
    const goal = against.startsWith("layered") && load.batch > 1
      ? "≥ 0.9"
      : "≥ 1";
    const subject = { name: `invalidations, ${what}`, unit: "rows/s", against };
    print(
      { ...subject, goal },
      await alternate(rounds, () => run(ours, load), () => run(peer, load)),
    );
  }
  for (const side of [ours, peer]) await run(side, WARM_UP);
  const delays = await alternate(rounds, () => pace(ours), () => pace(peer));
  for (const share of [0.5, 0.99]) {
    const name = `call to dropped, p${share * 100}`;
    print(
      { name, unit: "µs", against, goal: "≤ 1" },
      delays.map((pair) => pair.map((values) => percentile(values, share))),
    );
  }
}

function print(subject, pairs) {
  const figure = summarize(subject, pairs);
  figures.push(figure);
  if (isJson) return;
  const show = (value) => Math.round(value).toLocaleString("en-US");
  const { name, unit, ours, baseline, against, goal } = figure;
  const { ratio, ratioMin, ratioMax } = figure;
  console.log(
    `${name}\n  ours ${show(ours)} ${unit}, ${against} ${show(baseline)}\n` +
      `  ratio ${ratio.toFixed(2)} (${ratioMin.toFixed(2)}..${
        ratioMax.toFixed(2)
      }), goal ${goal}\n`,
  );
}

/** Rows a second, every key present in the reader. */
async function run({ writer, reader }, { batch, atATime, rows, isTimed }) {
  const keys = Array.from({ length: rows }, (_, key) => keyOf(key));
  await reader.ask({ kind: "fill", keys, isTimed });
  let row = 0;
  const began = performance.now();
  await timeWriters(atATime, rows / batch, async () => {
    const from = row;
    row += batch;
    await writer.invalidate(keys.slice(from, row));
  });
  await dropped(writer, reader);
  return perSecond(rows, performance.now() - began);
}

/** µs from each call to the reader's having dropped the key. */
async function pace({ writer, reader, echo }) {
  const keys = Array.from({ length: PACED }, (_, key) => keyOf(key));
  await reader.ask({ kind: "fill", keys, isTimed: true });
  const pings = [];
  const called = [];
  for (const key of keys) {
    pings.push(await ping(echo.socket()));
    await pause();
    called.push(performance.now());
    await writer.invalidate([key]);
    await pause();
  }
  const times = await dropped(writer, reader);
  const offsetMs = offsetOf(pings);
  return times.map((ms, index) => (ms - offsetMs - called[index]) * 1_000);
}

async function dropped(writer, reader) {
  const token = writer.token?.();
  const { left, times } = await reader.ask({ kind: "wait", token });
  if (left !== 0) throw new Error(`${left} keys were left in the cache`);
  return times;
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve, PACE_MS));
}

function parse(args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: "string" },
      only: { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  return { options: values, isJson: values.json };
}
