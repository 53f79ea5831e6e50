// Random faults on every wire while a writer writes: each reader, in a process
// of its own, behind a proxy of its own. FAULTS=500 makes more of them, and
// SEED=123 the same ones again: `FAULTS=500 node dist/tests/support/run_tests.js
// random_faults`.

import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import t, { type Test } from "tap";
import {
  type FaultProxy,
  openFaultProxy,
  type SeededRandom,
  seededRandom,
} from "../../src/testing/mod.ts";
import { makeCertificates } from "../support/certificates.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase, temporaryFolder } from "../support/folders.ts";
import { startProcess, type TestProcess } from "../support/processes.ts";
import { noRedis, startRedis } from "../support/redis.ts";
import type {
  ReaderHears,
  ReaderTask,
  Verdict,
  WriterSays,
  WriterTask,
} from "./random_faults.ts";

const FAULTS = Number(process.env.FAULTS ?? 40);
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
const READERS = 3;
/** Commits that a fault lasts, and those until the next, at most. */
const MAX_LENGTH = 40;
const BYTES_PER_SECOND = [50_000, 500_000] as const;
const DEADLINE_MS = 120_000;

const writerFile = new URL("./random_faults_writer.ts", import.meta.url);
const readerFile = new URL("./random_faults_reader.ts", import.meta.url);

/** What befalls a wire; what it returns ends it. */
type Fault = (proxy: FaultProxy, random: SeededRandom) => () => void;

const heal = (proxy: FaultProxy) => () => void (proxy.faults = {});

const FAULTS_BY_NAME: Readonly<Record<string, Fault>> = {
  "cut": (proxy) => {
    proxy.cutAll();
    return () => {};
  },
  "cut on the reader's side": (proxy) => {
    proxy.halfOpenAll("client");
    return () => {};
  },
  "cut on the far side": (proxy) => {
    proxy.halfOpenAll("target");
    return () => {};
  },
  "cut in the middle": (proxy) => {
    proxy.faults = { cut: 0.2 };
    return heal(proxy);
  },
  "refused": (proxy) => {
    proxy.isRefusing = true;
    proxy.cutAll();
    return () => void (proxy.isRefusing = false);
  },
  "stalled": (proxy) => {
    proxy.stall();
    return () => proxy.resume();
  },
  "stalled, then cut": (proxy) => {
    proxy.stall();
    return () => {
      proxy.cutAll();
      proxy.resume();
    };
  },
  "delayed": (proxy) => {
    proxy.faults = { delay: 0.5, delayMs: [1, 30] };
    return heal(proxy);
  },
  "split": (proxy) => {
    proxy.faults = { split: 1 };
    return heal(proxy);
  },
  "split, then cut": (proxy) => {
    proxy.faults = { split: 1, cut: 0.1 };
    return heal(proxy);
  },
  "throttled": (proxy, random) => {
    proxy.throttle(random.within(BYTES_PER_SECOND));
    return () => proxy.throttle(undefined);
  },
  "doubled": (proxy) => {
    proxy.faults = { duplicate: 1 };
    proxy.cutAll();
    return heal(proxy);
  },
};

const LOSING = [
  "cut",
  "cut on the far side",
  "cut in the middle",
  "refused",
  "stalled, then cut",
  "split, then cut",
];

/** A proxy, and what may befall it. */
interface Wire {
  readonly name: string;
  readonly proxy: FaultProxy;
  readonly faults: readonly string[];
}

/** The writer's process, and how much it has written. */
interface Load {
  readonly writer: TestProcess;
  readonly urls: readonly string[];
  commits: number;
  /** Calls with everything it says from now on. */
  onSays: (says: WriterSays) => void;
  /** Resolves once so many more commits are there. */
  goOn(count: number): Promise<void>;
}

t.comment(`SEED=${SEED} FAULTS=${FAULTS}`);

t.test("random faults on every wire", async (t) => {
  const random = seededRandom(SEED);
  const folder = temporaryFolder(t);
  const database = temporaryDatabase(t);
  const { ca, server } = makeCertificates();
  const open = async (name: string, target: string) => {
    const proxy = await openFaultProxy({
      target,
      seed: random.below(2 ** 31),
      listen: name === "unix"
        ? `unix:${join(folder, `${random.id()}`)}`
        : undefined,
    });
    t.teardown(() => proxy.close());
    return proxy;
  };

  const redis = noRedis ? undefined : await startRedis(t);
  await redis?.start();
  const ahead = redis && await open("redis", redis.url);
  const load = await startLoad(t, {
    database,
    listen: [
      "tcp://127.0.0.1:0",
      "tls://127.0.0.1:0",
      `unix:${join(folder, "w")}`,
      ...(ahead ? [urlOf("redis", ahead)] : []),
    ],
    tls: server,
  });

  const all = Object.keys(FAULTS_BY_NAME);
  const wires: Wire[] = [];
  const readers: TestProcess[] = [];
  for (let reader = 0; reader < READERS; reader += 1) {
    const task: Record<string, string> = {};
    for (const url of load.urls) {
      const name = schemeOf(url);
      const target = name === "redis" ? String(redis?.url) : url;
      const proxy = await open(name, target);
      wires.push({ name, proxy, faults: all });
      task[name] = urlOf(name, proxy);
    }
    const readerTask: ReaderTask = { database, wires: task, tls: { ca } };
    readers.push(startProcess(t, readerFile, [JSON.stringify(readerTask)]));
  }
  // What is lost on the way to Redis, no reader's connection shows.
  if (ahead) wires.push({ name: "redis", proxy: ahead, faults: LOSING });
  await Promise.all(readers.map((reader) => reader.hear("ready", () => true)));
  const tell = (heard: ReaderHears) =>
    readers.forEach((reader) => reader.tell(heard));
  load.onSays = ({ commit, last }) => tell(last ? { last } : { commit });
  load.writer.tell("begin");

  const befallen = await Promise.all(wires.map(async (wire) => {
    const shared = wires.filter(({ name }) => name === wire.name).length;
    await befall(wire, Math.ceil(FAULTS / shared), load, random.fork());
    return { name: wire.name, count: Math.ceil(FAULTS / shared) };
  }));
  load.writer.tell("enough");

  const verdicts = await Promise.all(readers.map(async (reader) => {
    const said = await reader.hear<{ verdicts: Verdict[] }>(
      "it has judged",
      (said) => said.verdicts !== undefined,
      DEADLINE_MS,
    );
    return said.verdicts;
  }));
  load.writer.child.stdin?.end();
  for (const name of load.urls.map(schemeOf)) {
    await t.test(name, (t) => {
      const count = befallen.filter((each) => each.name === name)
        .reduce((sum, each) => sum + each.count, 0);
      t.ok(count >= FAULTS, `${count} faults, ${load.commits} commits`);
      for (const verdict of verdicts.flat()) {
        if (verdict.wire !== name) continue;
        t.same(verdict.problems, [], JSON.stringify(verdict));
        t.equal(verdict.flushes, 1, "cleared only as it began");
        t.ok(verdict.waits > 0);
      }
      t.end();
    });
  }
});

/** Has faults befall a wire one after the other. */
async function befall(
  { proxy, faults }: Wire,
  count: number,
  load: Load,
  random: SeededRandom,
): Promise<void> {
  for (let done = 0; done < count; done += 1) {
    const fault = FAULTS_BY_NAME[random.pick(faults)] as Fault;
    const end = fault(proxy, random);
    await load.goOn(random.below(MAX_LENGTH));
    end();
    await load.goOn(random.below(MAX_LENGTH));
  }
}

async function startLoad(t: Test, task: WriterTask): Promise<Load> {
  const writer = startProcess(t, writerFile, [JSON.stringify(task)]);
  const { urls } = await writer.hear<Required<WriterSays>>(
    "it listens",
    (says) => says.urls !== undefined,
  );
  const load: Load = {
    writer,
    urls,
    commits: 0,
    onSays: () => {},
    async goOn(count) {
      const goal = load.commits + count;
      await until("the load goes on", () => load.commits >= goal, DEADLINE_MS);
    },
  };
  createInterface({ input: writer.child.stdout as NodeJS.ReadableStream })
    .on("line", (line) => {
      load.commits += 1;
      load.onSays(JSON.parse(line));
    });
  return load;
}

const schemeOf = (url: string) => url.slice(0, url.indexOf(":"));

/** Where a reader finds what it takes for the writer. */
function urlOf(wire: string, proxy: FaultProxy): string {
  return wire === "unix" ? proxy.url : `${wire}://127.0.0.1:${proxy.port}`;
}
