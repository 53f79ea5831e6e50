/**
 * Headwater's caches beside others, hits and a stampede. See README.md here.
 *
 * @module
 */

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setImmediate } from "node:timers";
import { parseArgs } from "node:util";
import { load } from "../redis/load.mjs";
import { startRedis } from "../redis/redis_server.mjs";
import { FILLED, LOADING } from "./contestants.mjs";

const options = parse(process.argv.slice(2));
if (!existsSync(new URL("../../../dist/mod.js", import.meta.url))) {
  console.error("bench: build Headwater first: npm run build, at the top");
  process.exit(1);
}
const { median, percentile } = await load("bench/support/measure.js");
const { describeMachine } = await load("bench/support/machine.js");
const { awaitedTimer } = await load("bench/support/loops.js");
const { shuffle, userOf } = await load("bench/support/cached_store.js");

const OURS = "headwater";
const KEYS = 10_000;
const TURN_MS = 20;
const CALLS = 10_000;
/** How many times as long as ours others are to take, at the least. */
const GOALS = {
  "lru-cache.fetch": 1.3,
  "layered-loader get": 1.7,
  dataloader: 7,
  "cache-manager get": 7,
  "cache-manager wrap": 7,
  "async-cache-dedupe": 7,
  "bentocache get": 15,
  "bentocache getOrSet": 15,
  "cacheable get": 15,
  "cacheable getOrSet": 15,
  keyv: 15,
  "keyv without serialising": 15,
  "node-redis client-side caching": 15,
};

const machine = describeMachine();
if (!options.json) console.log(Object.values(machine).join(", ") + "\n");
const folder = mkdtempSync(join(tmpdir(), "headwater-caches-"));
const redis = await startRedis(folder);
const document = { machine, hits: [], stampedes: [] };
try {
  document.hits = await raceHits();
  document.stampedes = await raceStampedes();
  if (options.json) console.log(JSON.stringify(document, null, 2));
} finally {
  redis.close();
  rmSync(folder, { recursive: true, force: true });
}

/** ns an awaited hit. */
async function raceHits() {
  let loads = 0;
  const keys = Array.from({ length: KEYS }, (_, key) => userOf(key));
  // Others' strings than those stored, as they come with requests.
  const asked = shuffle(keys.map((_, key) => userOf(key)));
  const shared = awaitedTimer((_key) => undefined);
  const sides = [];
  for (const [name, open] of Object.entries({ ...LOADING, ...FILLED })) {
    const cache = await open(
      name in FILLED ? redis : (key) => {
        loads += 1;
        return Promise.resolve(rowOf(key));
      },
    );
    for (const key of keys) await cache.set?.(key, rowOf(key));
    for (const key of keys) {
      const { id } = await cache.get(key);
      if (id !== key) throw new Error(`${name}: ${id} is not ${key}`);
    }
    const { get } = cache;
    const time = options.shared ? shared : awaitedTimer(get);
    // As many hits as take a turn's time, once warm.
    await time(2_000, [asked], get);
    const ns = await time(2_000, [asked], get);
    const hits = Math.max(1_000, Math.round(TURN_MS * 1e6 / ns));
    sides.push({ name, run: () => time(hits, [asked], get), ...cache });
  }
  const loaded = loads;
  const pairs = await interleave(sides, options.rounds);
  if (loads !== loaded) throw new Error(`${loads - loaded} hits were misses`);
  for (const { close } of sides) await close?.();
  return report("awaited hit", "ns", sides, pairs, GOALS);
}

/** What a cache of users would hold; strings, as Redis has nothing else. */
function rowOf(id) {
  return { id, name: `User ${id}`, email: `${id.slice(1)}@mail.example` };
}

/** ms from the first of many calls for one cold key to the last answer. */
async function raceStampedes() {
  const sides = [];
  for (const [name, open] of Object.entries(LOADING)) {
    let loads = 0;
    let round = 0;
    const cache = await open((key) => {
      loads += 1;
      return new Promise((resolve) => setImmediate(() => resolve(rowOf(key))));
    });
    const run = async () => {
      const key = userOf(round += 1);
      const began = performance.now();
      const calls = [];
      for (let call = 0; call < CALLS; call += 1) calls.push(cache.get(key));
      const values = await Promise.all(calls);
      const ms = performance.now() - began;
      if (values.some(({ id }) => id !== key)) throw new Error(name);
      return ms;
    };
    sides.push({ name, run, loads: () => loads / round, ...cache });
  }
  const pairs = await interleave(sides, options.rounds);
  for (const { close } of sides) await close?.();
  return report(
    `${CALLS.toLocaleString("en-US")} calls for one cold key`,
    "ms",
    sides,
    pairs,
    {},
  );
}

/**
 * All in turn, the first of a round another each time, and ours before each of
 * them: a neighbour on the machine slows both. One round to warm up.
 */
async function interleave(sides, count) {
  const ours = sides.find(({ name }) => name === OURS);
  const others = sides.filter((side) => side !== ours);
  const pairs = new Map(others.map((side) => [side, []]));
  for (let round = -1; round < count; round += 1) {
    for (let turn = 0; turn < others.length; turn += 1) {
      const side = others[(turn + round + 1) % others.length];
      const pair = [await ours.run(), await side.run()];
      if (round >= 0) pairs.get(side).push(pair);
    }
  }
  return pairs;
}

function report(what, unit, sides, pairs, goals) {
  const ours = sides.find(({ name }) => name === OURS);
  const found = [{
    name: OURS,
    unit,
    taken: median([...pairs.values()].flat().map(([own]) => own)),
    loads: ours.loads?.(),
  }];
  for (const [{ name, loads }, taken] of pairs) {
    const ratios = taken.map(([own, other]) => other / own);
    found.push({
      name,
      unit,
      taken: median(taken.map(([, other]) => other)),
      ratio: median(ratios),
      quarters: [percentile(ratios, 0.25), percentile(ratios, 0.75)],
      goal: goals[name],
      loads: loads?.(),
    });
  }
  if (!options.json) print(what, found);
  return found;
}

function print(what, found) {
  console.log(`${what}; times ours: median (middle half of the rounds)`);
  for (const { name, unit, taken, ratio, quarters, goal, loads } of found) {
    const words = [`${name}: ${taken.toPrecision(3)} ${unit}`];
    if (ratio !== undefined) {
      const [from, to] = quarters.map((quarter) => quarter.toFixed(2));
      words.push(`${ratio.toFixed(2)} (${from}..${to})`);
    }
    if (goal !== undefined) words.push(`goal ≥ ${goal}`);
    if (loads !== undefined) words.push(`loads of a key ${loads}`);
    console.log(`  ${words.join(", ")}`);
  }
  console.log();
}

function parse(args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: "string", default: "31" },
      shared: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  return { ...values, rounds: Number(values.rounds) };
}
