// Streams that are in no log, from a writer to its readers.

import t, { type Test } from "tap";
import { z } from "zod";
import {
  type Batch,
  defineStream,
  SlavedStore,
  type SlavedStoreOptions,
  WriterStore,
  type WriterStoreOptions,
} from "../../mod.ts";
import { listenHttp } from "../../src/http/mod.ts";
import { type FaultProxy, openFaultProxy } from "../../src/testing/mod.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { freePort } from "../support/ports.ts";
import { createUsers, type TestDatabase, Users } from "../support/stores.ts";

const row = z.tuple([z.string(), z.array(z.string())]);
const typing = defineStream("typing", row, { durable: false });
const receipts = defineStream("receipts", row);

type Writer = WriterStore<TestDatabase>;
type Slaved = SlavedStore<TestDatabase>;

/** A place where writers come and go under the same addresses. */
interface Scene {
  readonly database: string;
  /** What readers have asked over HTTP: `from_token`s. */
  readonly asked: readonly number[];
  /** Where readers ask. */
  readonly http: string;
  /** What readers are connected through. */
  readonly proxy: FaultProxy;
  /** Whether requests are answered. */
  isReachable: boolean;
  open(options?: Partial<WriterStoreOptions>): Promise<Writer>;
  connect(options?: Partial<SlavedStoreOptions>): Promise<Slaved>;
}

/** Ends every connection; new ones are ended at once. */
function cut(proxy: FaultProxy): void {
  proxy.isRefusing = true;
  proxy.cutAll();
}

async function makeScene(t: Test, stream = typing): Promise<Scene> {
  const database = temporaryDatabase(t);
  const port = await freePort();
  const proxy = await openFaultProxy({ target: `tcp://127.0.0.1:${port}` });
  t.teardown(() => proxy.close());
  const streams = [stream, receipts];
  const asked: number[] = [];
  let writer: Writer | undefined;
  const server = await listenHttp((request) => {
    if (!scene.isReachable || writer === undefined) {
      return new Response("away", { status: 502 });
    }
    asked.push(Number(new URL(request.url).searchParams.get("from_token")));
    return writer.fetch(request);
  }, { url: "http://127.0.0.1:0" });
  t.teardown(() => server.close());
  const scene: Scene = {
    database,
    http: server.url,
    asked,
    proxy,
    isReachable: true,
    async open(options = {}) {
      const opened = await WriterStore.open<TestDatabase>({
        database,
        listen: `tcp://127.0.0.1:${port}`,
        streams,
        ...options,
      });
      t.teardown(() => opened.close());
      writer = opened;
      await createUsers(writer);
      return writer;
    },
    async connect(options = {}) {
      const slaved = await SlavedStore.connect<TestDatabase>({
        database,
        replicate: proxy.url,
        streams,
        minBackoffMs: 1,
        maxBackoffMs: 5,
        http: server.url,
        ...options,
      });
      t.teardown(() => slaved.close());
      return slaved;
    },
  };
  return scene;
}

/** Opens another instance on the scene's database, with an address of its own. */
async function openOther(t: Test, { database }: Scene): Promise<Writer> {
  const writer = await WriterStore.open<TestDatabase>({
    database,
    instance: "other",
    listen: "tcp://127.0.0.1:0",
    http: "http://127.0.0.1:0",
    streams: [typing, receipts],
  });
  t.teardown(() => writer.close());
  return writer;
}

/** What a handler is given, and where it is told that rows are missing. */
function listen(slaved: Slaved, stream = typing): string[] {
  const heard: string[] = [];
  slaved.subscribe(stream, ({ token, rows, instance }: Batch<unknown>) => {
    heard.push(`${instance} ${token} ${JSON.stringify(rows)}`);
  }, { onReset: ({ reason }) => void heard.push(reason) });
  return heard;
}

const followed = (scene: Scene, slaved: Slaved) =>
  until(
    "it is followed",
    () => scene.asked.length > 0 && slaved.stats.ephemeralPending === 0,
  );

const hears = (heard: readonly string[], last: string) =>
  until(`it hears ${last}`, () => heard.at(-1) === last);

const STARTED_OVER = "the writer started over";

t.test("writer.publish()", async (t) => {
  const scene = await makeScene(t);
  const writer = await scene.open({ maxLineBytes: 200, maxEphemeralRows: 3 });
  const code = "INVALID_ARGUMENT";
  t.throws(() => writer.publish(receipts, [["a", []]]), {
    code,
    message: /"receipts": its rows are in the log; write them with txn\.write/,
  });
  t.throws(() => writer.publish(typing, []), { code });
  t.throws(() => writer.publish("typing", [["a"]]), { code: "ROW_INVALID" });
  t.throws(() => writer.publish("none", [["a", []]]), {
    code: "STREAM_UNKNOWN",
  });
  t.throws(() => writer.publish(typing, [["a".repeat(200), []]]), {
    code: "ROW_TOO_LONG",
  });
  t.throws(() => writer.publish(typing, Array(4).fill(["a", []])), {
    code: "TRANSACTION_TOO_LARGE",
  });
  await t.rejects(
    writer.transaction("x", (txn) => {
      txn.write(typing, ["a", []]);
      return Promise.resolve();
    }),
    { code, message: /durable: false; use writer\.publish/ },
  );
  await t.rejects(writer.readRows(typing), { code });
  t.equal(writer.publish(typing, [["a", []]]), 1, "what failed took no token");
  t.equal(writer.publish("typing", [["a", []], ["b", []]]), 2);
  await writer.close();
  t.throws(() => writer.publish(typing, [["a", []]]), { code: "CLOSED" });
});

t.test("A016: what was there before is fetched; later rows come by themselves", async (t) => {
  const scene = await makeScene(t);
  const writer = await scene.open();
  writer.publish(typing, [["early", []]]);
  const slaved = await scene.connect();
  const heard = listen(slaved);
  await hears(heard, 'master 1 [["early",[]]]');
  const asked = scene.asked.length;
  writer.publish(typing, [["a", ["x"]], ["b", ["y"]]]);
  writer.publish(typing, [["c", []]]);
  await hears(heard, 'master 3 [["c",[]]]');
  t.same(heard.slice(1, 2), ['master 2 [["a",["x"]],["b",["y"]]]']);
  t.equal(scene.asked.length, asked, "nobody was asked");
  t.equal(slaved.stats.ephemeralResets, 0);
});

t.test("rows come after what was committed before them", async (t) => {
  const scene = await makeScene(t);
  const writer = await scene.open();
  const slaved = await scene.connect();
  const heard = listen(slaved);
  const receipt = listen(slaved, receipts);
  await followed(scene, slaved);
  for (let index = 0; index < 50; index += 1) {
    const commit = await writer.transaction("receipt", (txn) => {
      txn.write(receipts, [`${index}`, []]);
      return Promise.resolve();
    });
    writer.publish(typing, [[`${index}`, []]]);
    await until("the row is there", () => heard.length > index);
    t.equal(receipt.length, index + 1);
    await slaved.waitFor(commit);
  }
});

t.test("A018 typing.typing: what was missed is asked for from where one stood", async (t) => {
  const scene = await makeScene(t);
  const writer = await scene.open();
  const { proxy } = scene;
  const slaved = await scene.connect();
  const heard = listen(slaved);
  await followed(scene, slaved);
  const reconnect = async (during: () => void) => {
    const before = scene.asked.length;
    cut(proxy);
    during();
    proxy.isRefusing = false;
    await until("the writer is asked", () => scene.asked.length > before);
  };
  writer.publish(typing, [["a", []]]);
  await hears(heard, 'master 1 [["a",[]]]');
  await reconnect(() => writer.publish(typing, [["b", []]]));
  await hears(heard, 'master 2 [["b",[]]]');
  t.equal(scene.asked.at(-1), 1, "from the last token");
  writer.publish(typing, [["c", []]]);
  await hears(heard, 'master 3 [["c",[]]]');
  await reconnect(() => writer.publish(typing, [["d", []], ["e", []]]));
  await hears(heard, 'master 4 [["d",[]],["e",[]]]');
  t.equal(scene.asked.at(-1), 3);
  t.equal(heard.length, 4, "each once");
  t.equal(slaved.stats.ephemeralResets, 0);
});

t.test("more than a page is fetched in pages", async (t) => {
  const scene = await makeScene(t);
  const writer = await scene.open();
  const all = Array.from({ length: 250 }, (_, index) => `master ${index + 1}`);
  all.forEach((name) => writer.publish(typing, [[name, []], [name, []]]));
  const slaved = await scene.connect();
  const heard = listen(slaved);
  await until("all are there", () => heard.length >= 250);
  t.same(heard.map((each) => each.split(" [")[0]), all);
  t.same(scene.asked, [0, 50, 100, 150, 200]);
});

t.test("A019 typing.reset: a writer that starts over is noticed", async (t) => {
  const scene = await makeScene(t);
  const first = await scene.open();
  const slaved = await scene.connect();
  const heard = listen(slaved);
  for (let index = 0; index < 102; index += 1) {
    first.publish(typing, [["room", []]]);
  }
  await hears(heard, 'master 102 [["room",[]]]');
  const users = slaved.attach(Users);
  const kept = users.getUserById("a");
  await kept;
  await first.close();
  const before = scene.asked.length;
  const second = await scene.open();
  await hears(heard, STARTED_OVER);
  t.ok(scene.asked.length > before, "by asking");
  t.ok(users.getUserById("a") !== kept, "caches are cleared");
  second.publish(typing, [["new", []]]);
  await hears(heard, 'master 1 [["new",[]]]');
  t.equal(heard.filter((each) => each === STARTED_OVER).length, 1);
});

t.test("a writer that starts over and is already further is noticed", async (t) => {
  const scene = await makeScene(t);
  const first = await scene.open();
  const slaved = await scene.connect();
  const heard = listen(slaved);
  await followed(scene, slaved);
  for (const name of ["a", "b"]) first.publish(typing, [[name, []]]);
  await hears(heard, 'master 2 [["b",[]]]');
  await first.close();
  scene.isReachable = false;
  const second = await scene.open();
  for (const name of ["1", "2", "3"]) second.publish(typing, [[name, []]]);
  scene.isReachable = true;
  await hears(heard, 'master 3 [["3",[]]]');
  t.same(heard.slice(2), [
    STARTED_OVER,
    'master 1 [["1",[]]]',
    'master 2 [["2",[]]]',
    'master 3 [["3",[]]]',
  ]);
});

t.test("rows that are held no more mean reset", async (t) => {
  for (const touchesCaches of [true, false]) {
    const stream = defineStream("typing", row, {
      durable: false,
      touchesCaches,
    });
    const scene = await makeScene(t, stream);
    const writer = await scene.open({ maxEphemeralRows: 2 });
    const slaved = await scene.connect();
    const heard = listen(slaved, stream);
    await followed(scene, slaved);
    const users = slaved.attach(Users);
    const kept = users.getUserById("a");
    await kept;
    cut(scene.proxy);
    for (const name of ["1", "2", "3", "4", "5"]) {
      writer.publish(stream, [[name, []]]);
    }
    scene.proxy.isRefusing = false;
    await hears(heard, 'master 5 [["5",[]]]');
    t.same(heard, [
      "the writer holds them no more",
      'master 4 [["4",[]]]',
      'master 5 [["5",[]]]',
    ]);
    t.equal(users.getUserById("a") === kept, !touchesCaches);
    await slaved.close();
  }
});

t.test("where nobody can be asked, a new connection means reset", async (t) => {
  const scene = await makeScene(t);
  const writer = await scene.open();
  const slaved = await scene.connect({ http: undefined });
  const heard = listen(slaved);
  t.same(heard, [], "nothing was missed");
  writer.publish(typing, [["a", []]]);
  await hears(heard, 'master 1 [["a",[]]]');
  cut(scene.proxy);
  scene.proxy.isRefusing = false;
  await hears(heard, 'no HTTP address of instance "master" is given');
  writer.publish(typing, [["b", []]]);
  await hears(heard, 'master 2 [["b",[]]]');
  t.equal(slaved.stats.ephemeralResets, 1);
});

t.test("while the writer can't be asked, invalidations go on", async (t) => {
  const scene = await makeScene(t);
  const writer = await scene.open();
  scene.isReachable = false;
  const slaved = await scene.connect();
  const heard = listen(slaved);
  for (let index = 1; index <= 300; index += 1) {
    writer.publish(typing, [["x", []]]);
  }
  const commit = await writer.transaction("x", (txn) => {
    txn.invalidateAll("countUsers");
    return Promise.resolve();
  });
  await slaved.waitFor(commit);
  t.same(heard, [], "the stream is not live yet");
  scene.isReachable = true;
  await until("all are there", () => heard.length >= 300);
  t.equal(heard[0], 'master 1 [["x",[]]]');
  t.equal(heard[299], 'master 300 [["x",[]]]');
});

t.test("handlers come one at a time, and failures are counted", async (t) => {
  const scene = await makeScene(t);
  const writer = await scene.open();
  const other = await openOther(t, scene);
  const slaved = await scene.connect({
    replicate: [scene.proxy.url, String(other.url)],
    http: { master: scene.http, other: String(other.httpUrl) },
  });
  let running = 0;
  let most = 0;
  const seen: string[] = [];
  slaved.subscribe(typing, async ({ instance, token }) => {
    running += 1;
    most = Math.max(most, running);
    // Turns enough for the other connection to bring something.
    for (let turn = 0; turn < 100; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    running -= 1;
    seen.push(`${instance} ${token}`);
    if (token === 3) throw new RangeError("three");
  });
  await followed(scene, slaved);
  for (let index = 0; index < 20; index += 1) {
    writer.publish(typing, [["x", []]]);
    other.publish(typing, [["x", []]]);
  }
  await until("all are seen", () => seen.length === 40);
  for (const instance of ["master", "other"]) {
    t.same(
      seen.filter((each) => each.startsWith(instance)),
      Array.from({ length: 20 }, (_, index) => `${instance} ${index + 1}`),
    );
  }
  t.equal(most, 1, "whoever wrote");
  t.equal(slaved.stats.handlerFailures, 2);
});

t.test("a handler's policy holds: it gets the rows again, in order, until they are missing", async (t) => {
  const scene = await makeScene(t);
  const writer = await scene.open();
  const slaved = await scene.connect();
  const heard: string[] = [];
  const unsubscribe = slaved.subscribe(typing, ({ rows }) => {
    const names = rows.map(([name]) => name).join();
    heard.push(names);
    throw new Error("not now");
  }, {
    retry: { attempts: 3, minBackoffMs: 1 },
    onFailure: ({ attempt, isGivenUp }) =>
      void heard.push(`failed ${attempt}${isGivenUp ? ", given up" : ""}`),
    onReset: ({ reason }) => void heard.push(reason),
  });
  await followed(scene, slaved);
  writer.publish(typing, [["a", []]]);
  await hears(heard, "failed 3, given up");
  t.same(heard.splice(0), [
    "a",
    "failed 1",
    "a",
    "failed 2",
    "a",
    "failed 3, given up",
  ]);
  t.match(slaved.stats, { handlerFailures: 3, queuedBatches: 0 });
  unsubscribe();

  slaved.subscribe(typing, ({ rows }) => {
    heard.push(String(rows[0]?.[0]));
    throw new Error("never");
  }, {
    retry: { minBackoffMs: 100_000, maxBackoffMs: 100_000 },
    onReset: ({ reason }) => void heard.push(reason),
  });
  writer.publish(typing, [["b", []]]);
  await hears(heard, "b");
  writer.publish(typing, [["c", []]]);
  await until("it waits", () => slaved.stats.queuedBatches === 2);
  await writer.close();
  await scene.open();
  await hears(heard, STARTED_OVER);
  t.same(heard, ["b", STARTED_OVER], "what is to be forgotten is not told");
  t.equal(slaved.stats.queuedBatches, 0);
});

t.test("each instance has its own address and its own tokens", async (t) => {
  const scene = await makeScene(t);
  const master = await scene.open();
  const other = await openOther(t, scene);
  master.publish(typing, [["m", []]]);
  other.publish(typing, [["o", []]]);
  const logged: string[] = [];
  const both = { replicate: [scene.proxy.url, String(other.url)] };
  const mistaken = await scene.connect({
    ...both,
    logger: (...message) => void logged.push(JSON.stringify(message)),
    http: String(other.httpUrl),
  });
  const heardOther = listen(mistaken);
  await until(
    "it says so",
    () =>
      /instance .{2}other.{2} answers there, not .{2}master/.test(
        logged.join(),
      ),
  );
  await hears(heardOther, 'other 1 [["o",[]]]');
  await mistaken.close();
  const right = await scene.connect({
    ...both,
    http: { master: "http://127.0.0.1:1", other: String(other.httpUrl) },
  });
  const heard = listen(right);
  await hears(heard, 'other 1 [["o",[]]]');
  other.publish(typing, [["p", []]]);
  await hears(heard, 'other 2 [["p",[]]]');
});

t.test("A017 receipts.receipt: what is in the log comes from there", async (t) => {
  const scene = await makeScene(t);
  const writer = await scene.open();
  const { proxy } = scene;
  const slaved = await scene.connect();
  const heard = listen(slaved, receipts);
  cut(proxy);
  const { token } = await writer.transaction("receipt", (txn) => {
    txn.write(receipts, ["room", ["@u:x"]]);
    return Promise.resolve();
  });
  proxy.isRefusing = false;
  await hears(heard, `master ${token} [["room",["@u:x"]]]`);
  t.equal(heard.length, 1);
});
