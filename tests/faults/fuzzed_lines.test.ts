// Each end of the wire gets lines that are right and lines that are not: nothing
// crashes, memory stays as it is, and whenever a connection is closed it is
// said why. FUZZED_LINES=10000000 sends more of them, and SEED=123 the same ones
// again: `FUZZED_LINES=10000000 node dist/tests/support/run_tests.js fuzzed_lines`.

import { connect, createServer, type Socket } from "node:net";
import process from "node:process";
import t, { type Test } from "tap";
import { seededRandom } from "../../src/testing/mod.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { startProcess, type TestProcess } from "../support/processes.ts";
import { type FuzzedSays, type FuzzedTask, Fuzzer } from "./fuzzed_lines.ts";

const LINES = Number(process.env.FUZZED_LINES ?? 20_000);
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
const MEBIBYTE = 1024 * 1024;
const MAX_GROWTH_BYTES = 32 * MEBIBYTE;
/** Lines after which memory is what it is. */
const WARM = 0.25;
const MAX_ERROR_CHARS = 1_000;
const ERROR = /^ERROR (.{8,})$/m;

const processFile = new URL("./fuzzed_process.ts", import.meta.url);

/** What has become of a fuzzed end. */
interface Tally {
  closes: number;
  /** Closed without a word. */
  silent: string[];
  /** What was said, without what was quoted, and how often. */
  readonly errors: Map<string, number>;
}

t.comment(`SEED=${SEED} FUZZED_LINES=${LINES}`);

/** Connections that were ended here, not by whom they are to. */
const ended = new WeakSet<Socket>();

function end(sockets: Iterable<Socket>): void {
  for (const socket of sockets) {
    ended.add(socket);
    socket.destroy();
  }
}

/** Sends bursts over one connection, until it is closed or all were sent. */
async function fuzz(
  socket: Socket,
  fuzzer: Fuzzer,
  goal: number,
  tally: Tally,
): Promise<void> {
  let heard = "";
  let isClosed = socket.destroyed;
  let wake = () => {};
  const onData = (chunk: string) => {
    heard += chunk;
    wake();
  };
  socket.setEncoding("utf8");
  socket.on("data", onData);
  socket.on("close", () => {
    isClosed = true;
    wake();
  });
  while (fuzzer.lines < goal && !isClosed) {
    const { bytes, answer } = fuzzer.burst();
    heard = "";
    socket.write(bytes);
    while (!isClosed && !isAnswered(heard, answer)) {
      await new Promise<void>((resolve) => wake = resolve);
    }
    if (!isClosed) continue;
    if (ended.has(socket)) break;
    tally.closes += 1;
    const said = ERROR.exec(heard)?.[1];
    if (said === undefined || said.length > MAX_ERROR_CHARS) {
      tally.silent.push(JSON.stringify(heard.slice(-200)));
      continue;
    }
    const kind = said.replace(/\(.*|".*|: .*/s, "").replace(/\d+/g, "N").trim();
    tally.errors.set(kind, (tally.errors.get(kind) ?? 0) + 1);
  }
  socket.off("data", onData);
}

function isAnswered(heard: string, answer: string): boolean {
  return heard.includes("X_MARK ") && heard.includes(answer);
}

async function memoryOf(child: TestProcess): Promise<number[]> {
  child.tell("memory");
  const { heapBytes, rssBytes } = await child.hear<Required<FuzzedSays>>(
    "memory",
    (says) => says.heapBytes !== undefined,
  );
  return [heapBytes, rssBytes];
}

function start(t: Test, task: FuzzedTask): TestProcess {
  return startProcess(t, processFile, [JSON.stringify(task)]);
}

async function judge(
  t: Test,
  child: TestProcess,
  tally: Tally,
  [before, after]: readonly (readonly number[])[],
): Promise<void> {
  const shown = [before, after].map((bytes) =>
    bytes?.map((each) => `${Math.round(each / MEBIBYTE)} MiB`).join(" of ")
  );
  t.comment(`memory ${shown.join(", then ")}; ${tally.closes} closes`);
  t.comment(JSON.stringify([...tally.errors]));
  t.ok(tally.closes > 0, `${tally.closes} connections were closed`);
  t.same(tally.silent.slice(0, 3), [], "each said why");
  const grown = Number(after?.[0]) - Number(before?.[0]);
  t.ok(grown < MAX_GROWTH_BYTES, `${grown} bytes more`);
  child.tell("finish");
  const { isRight } = await child.hear<FuzzedSays>(
    "it has read its own write",
    (says) => says.isRight !== undefined,
  );
  t.ok(isRight, "it works as before");
  t.equal(child.child.exitCode, null);
  t.equal(child.errors(), "");
}

t.test("a follower", async (t) => {
  const fuzzer = new Fuzzer("follower", seededRandom(SEED));
  const tally: Tally = { closes: 0, silent: [], errors: new Map() };
  let goal = LINES * WARM;
  let isWarm = false;
  /** Where the real one listens, once it is to be reached. */
  let writerPort = 0;
  const sockets = new Set<Socket>();
  // A writer that talks nonsense; in the end, the real one.
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    if (writerPort > 0) {
      const real = connect(writerPort, "127.0.0.1");
      real.on("error", () => {});
      socket.pipe(real).pipe(socket);
      return;
    }
    socket.write("SERVER fuzz\nPOSITION caches master 1 1\n");
    void open.then(() => fuzz(socket, fuzzer, goal, tally)).then(() => {
      isWarm = fuzzer.lines >= goal;
    });
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  t.teardown(() => {
    end(sockets);
    server.close();
  });
  const { port } = server.address() as { port: number };
  const child = start(t, {
    end: "follower",
    database: temporaryDatabase(t),
    replicate: `tcp://127.0.0.1:${port}`,
  });
  const open = child.hear<Required<FuzzedSays>>(
    "it is open",
    (says) => says.url !== undefined,
  );
  const { url } = await open;
  const all = async () => {
    isWarm = false;
    end(sockets);
    await until("all is read", () => isWarm, LINES);
    return await memoryOf(child);
  };
  const before = await all();
  goal = LINES;
  const after = await all();
  writerPort = Number(new URL(url).port);
  end(sockets);
  await judge(t, child, tally, [before, after]);
});

t.test("a writer", async (t) => {
  const fuzzer = new Fuzzer("writer", seededRandom(SEED));
  const tally: Tally = { closes: 0, silent: [], errors: new Map() };
  const child = start(t, { end: "writer", database: temporaryDatabase(t) });
  const { url } = await child.hear<Required<FuzzedSays>>(
    "it is open",
    (says) => says.url !== undefined,
  );
  const port = Number(new URL(url).port);
  const all = async (goal: number) => {
    while (fuzzer.lines < goal) {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true });
      socket.on("error", () => {});
      await fuzz(socket, fuzzer, goal, tally);
      socket.destroy();
    }
    return await memoryOf(child);
  };
  await judge(t, child, tally, [await all(LINES * WARM), await all(LINES)]);
});
