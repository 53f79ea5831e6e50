// A misspelt option would pass for one that was left out: at every door it is
// refused by name, and nothing is opened. The compiler knows; JavaScript doesn't.

import t, { type Test } from "tap";
import { z } from "zod";
import {
  cached,
  defineAggregate,
  defineStream,
  SlavedStore,
  Store,
  WriterStore,
} from "../../mod.ts";
import { openAdmin } from "../../src/admin/mod.ts";
import {
  cachedFunction,
  cachedList,
  cachedListFunction,
  CacheMemory,
  ChangeCache,
  defineChangeCache,
  DictionaryCache,
  ResponseCache,
  TtlCache,
} from "../../src/caches/mod.ts";
import { listenHttp } from "../../src/http/mod.ts";
import {
  defineProjection,
  ProjectionRunner,
} from "../../src/projections/mod.ts";
import { defineCommand } from "../../src/protocol/mod.ts";
import { requireNames } from "../../src/runtime/option_names.ts";
import { follow, openRelay, redisChannel } from "../../src/slaved/mod.ts";
import { temporaryDatabase } from "../support/folders.ts";
import type { TestDatabase } from "../support/stores.ts";

/** What a door is called with, and what its error says. */
type Door = readonly [
  name: string,
  call: (wrong: never) => unknown,
  wrong: object,
  message: RegExp,
];

const database = "sqlite::memory:";
const replicate = "tcp://127.0.0.1:9";
const kick = defineCommand("KICK", z.string());
const stream = defineStream("orders", z.object({ id: z.string() }));

/** An error, whether it is thrown or rejected with. */
async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    const result: object = Object(await call());
    // What is read is asked for piece by piece.
    if (Symbol.asyncIterator in result) {
      await (result as AsyncIterable<unknown>)[Symbol.asyncIterator]().next();
    }
    return undefined;
  } catch (error) {
    return error;
  }
}

async function refuse(t: Test, doors: readonly Door[]): Promise<void> {
  for (const [name, call, wrong, message] of doors) {
    await t.test(name, async (t) => {
      const error = await errorOf(() => call(wrong as never));
      t.match(error, { code: "INVALID_ARGUMENT", message });
    });
  }
}

t.test("requireNames()", (t) => {
  const known = { maxEntries: true, ttlMs: true, name: true } as const;
  const check = (options: unknown) => () =>
    requireNames("cache", known, options as object);
  t.doesNotThrow(check({}));
  t.doesNotThrow(check({ maxEntries: 1, ttlMs: undefined }));
  for (
    const [options, message] of [
      [
        { maxEntires: 1 },
        'Cannot cache: "maxEntires" is no option; did you mean "maxEntries"?',
      ],
      [
        { maxentries: undefined },
        'Cannot cache: "maxentries" is no option; did you mean "maxEntries"?',
      ],
      [
        { colour: 1 },
        'Cannot cache: "colour" is no option; the options are maxEntries, ttlMs, name',
      ],
      [
        { constructor: 1 },
        'Cannot cache: "constructor" is no option; the options are maxEntries, ttlMs, name',
      ],
      [null, "Cannot cache: the options are null; give an object"],
      [
        "sqlite:a.db",
        'Cannot cache: the options are "sqlite:a.db"; give an object',
      ],
    ] as const
  ) t.throws(check(options), { code: "INVALID_ARGUMENT", message });
  t.end();
});

t.test("what is declared", async (t) => {
  class Users extends Store<TestDatabase> {
    @cached({ maxEntries: 10 })
    getName(id: string): Promise<string> {
      return Promise.resolve(id);
    }
  }
  const writer = await WriterStore.open<TestDatabase>({ database });
  t.teardown(() => writer.close());
  const users = writer.attach(Users);
  const load = (id: string) => Promise.resolve(id);
  const decorate = (decorator: (...args: never[]) => unknown) =>
    decorator(load as never, { name: "getName", addInitializer() {} } as never);
  const declaration = { stream, entities: () => ["a"] };
  const projection = {
    name: "counts",
    tables: ["counts"],
    create: () => Promise.resolve(),
    handle() {},
  };
  await refuse(t, [
    ["defineStream", (o) => defineStream("typing", z.string(), o), {
      durabel: false,
    }, /Cannot define stream "typing": "durabel" .* mean "durable"\?/],
    ["defineAggregate", (o) => defineAggregate("user", { renamed: o }), {
      schema: z.string(),
      verison: 2,
    }, /Cannot define event "renamed" .*: "verison" .* mean "version"\?/],
    ["defineProjection", (o) => defineProjection(o), {
      ...projection,
      type: ["renamed"],
    }, /Cannot define projection counts: "type" .* mean "types"\?/],
    ["defineChangeCache", (o) => defineChangeCache("changed", o), {
      ...declaration,
      maxEntites: 1,
    }, /Cannot define change cache "changed": "maxEntites" is no option/],
    ["cached", (o) => decorate(cached(o) as never), {
      maxEntires: 10,
    }, /Cannot cache method "getName": "maxEntires" .* mean "maxEntries"\?/],
    ["cached, of what is not there", (o) => cachedFunction(o, load), {
      store: writer,
      name: "load",
      maxEntries: 1,
      negative: { ttl: 1 },
    }, /Cannot create cache "load" .*: "ttl" .* mean "ttlMs"\?/],
    ["cachedFunction", (o) => cachedFunction(o, load), {
      store: writer,
      name: "load",
      maxEntires: 1,
    }, /Cannot cache function "load": "maxEntires" is no option/],
    ["cachedList", (o) => decorate(cachedList(o) as never), {
      of: "getName",
      maxKey: 1,
    }, /Cannot cache a list: "maxKey" .* mean "maxKeys"\?/],
    [
      "cachedListFunction",
      (o) =>
        cachedListFunction(
          users.getName,
          (_: readonly string[]) => Promise.resolve(new Map<string, string>()),
          o,
        ),
      { maxKey: 1 },
      /Cannot cache a list: "maxKey" .* mean "maxKeys"\?/,
    ],
    ["CacheMemory", (o) => new CacheMemory("1MiB", o), {
      minshares: 0,
    }, /"minshares" .* mean "minShare"\?/],
    ["TtlCache", (o) => new TtlCache(o), {
      ttl: 1,
    }, /Cannot create a TTL cache: "ttl" .* mean "ttlMs"\?/],
    ["ResponseCache", (o) => new ResponseCache(o), {
      keep: 1,
    }, /Cannot create a response cache: "keep" .* mean "keepMs"\?/],
    [
      "DictionaryCache",
      (o) => new DictionaryCache(o),
      {
        size: 1,
      },
      /Cannot create a dictionary cache: "size" .* the options are store, name, fixedSize, maxEntries, maxInvalidations/,
    ],
    ["ChangeCache", (o) => new ChangeCache(o), {
      earliestKnow: 1,
    }, /Cannot create a change cache: "earliestKnow" is no option/],
    ["redisChannel", (o) => redisChannel((() => {}) as never, o), {
      chanel: "a",
    }, /Cannot use Redis: "chanel" .* mean "channel"\?/],
  ]);
});

t.test("what is opened", async (t) => {
  const onBatch = () => {};
  await refuse(t, [
    ["WriterStore.open", (o) => WriterStore.open(o), {
      databse: database,
    }, /Cannot open a writer store: "databse" .* mean "database"\?/],
    [
      "WriterStore.open without options",
      () => WriterStore.open(undefined as never),
      {},
      /the options are undefined; give an object/,
    ],
    [
      "retention",
      (o) => WriterStore.open({ database, retention: { caches: o } }),
      {
        maxAge: 1,
      },
      /Cannot retain stream "caches": "maxAge" .* mean "maxAgeMs"\?/,
    ],
    [
      "tls",
      (o) =>
        WriterStore.open({ database, listen: "tls://127.0.0.1:0", tls: o }),
      {
        certificate: "c",
        key: "k",
      },
      /Cannot use tls:.*: "certificate" .* mean "cert"\?/,
    ],
    ["SlavedStore.connect", (o) => SlavedStore.connect(o), {
      database: "sqlite:a.db",
      replicat: replicate,
    }, /Cannot connect a slaved store: "replicat" .* mean "replicate"\?/],
    ["openRelay", (o) => openRelay(o), {
      replicate,
      maxLineByte: 1,
    }, /Cannot open a relay: "maxLineByte" is no option/],
    ["follow", (o) => follow(o), {
      replicate,
      onBatch,
      stream: ["a"],
    }, /Cannot follow a writer: "stream" .* mean "streams"\?/],
    ["ProjectionRunner.open", (o) => ProjectionRunner.open(o), {
      database,
      projection: [],
    }, /Cannot run projections: "projection" .* mean "projections"\?/],
    ["openAdmin", (o) => openAdmin("sqlite:a.db", o), {
      tableprefixes: "a_",
    }, /Cannot look after a log: "tableprefixes" .* mean "tablePrefix"\?/],
    ["listenHttp", (o) => listenHttp(() => new Response(), o), {
      ulr: "http://127.0.0.1:0",
    }, /Cannot take requests: "ulr" .* mean "url"\?/],
  ]);
});

t.test("what is called", async (t) => {
  const url = temporaryDatabase(t);
  const writer = await WriterStore.open<TestDatabase>({
    database: url,
    streams: [stream],
    listen: "tcp://127.0.0.1:0",
    http: "http://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  writer.expose("add", z.number(), () => Promise.resolve());
  const slaved = await SlavedStore.connect<TestDatabase>({
    database: url,
    replicate: writer.url ?? "",
    http: writer.httpUrl,
    streams: [stream],
    // A name that is known may have no value.
    tls: undefined,
  });
  t.teardown(() => slaved.close());
  const commit = await writer.transaction("add", async (txn) => {
    await txn.append("user:1", [{ type: "added" }]);
  });
  const run = (work: (txn: never) => unknown) =>
    writer.transaction("fail", async (txn) => void await work(txn as never));
  const sum = (total: number) => total + 1;
  await using admin = await openAdmin(url);
  await refuse(t, [
    [
      "transaction",
      (o) => writer.transaction("add", () => Promise.resolve(), o),
      {
        maxAttemps: 1,
      },
      /Cannot run "add": "maxAttemps" .* mean "maxAttempts"\?/,
    ],
    [
      "append",
      (o) =>
        run((txn: { append(...args: unknown[]): unknown }) =>
          txn.append("user:1", [{ type: "a" }], o)
        ),
      {
        expectedVerson: 0,
      },
      /Cannot append to "user:1": "expectedVerson" is no option/,
    ],
    [
      "closeAggregate",
      (o) =>
        run((txn: { closeAggregate(...args: unknown[]): unknown }) =>
          txn.closeAggregate("user:1", o)
        ),
      {
        expectVersion: 0,
      },
      /Cannot append to "user:1": "expectVersion" is no option/,
    ],
    ["waitFor of a writer", (o) => writer.waitFor(commit, o), {
      timeout: 1,
    }, /Cannot wait: "timeout" .* mean "timeoutMs"\?/],
    ["waitFor", (o) => slaved.waitFor(commit, o), {
      timoutMs: 1,
    }, /Cannot wait: "timoutMs" .* mean "timeoutMs"\?/],
    ["readRows", (o) => writer.readRows(stream, o), {
      limits: 1,
    }, /Cannot read rows: "limits" .* mean "limit"\?/],
    ["readEvents", (o) => slaved.readEvents(o), {
      type: ["a"],
    }, /Cannot read events: "type" .* mean "types"\?/],
    ["readAggregate", (o) => slaved.readAggregate("user:1", o), {
      form: 1,
    }, /Cannot read an aggregate: "form" .* mean "from"\?/],
    ["fold", (o) => slaved.aggregate("user:1").fold(0, sum, o), {
      snapshotsEvery: 1,
    }, /Cannot fold an aggregate: "snapshotsEvery" .* mean "snapshotEvery"\?/],
    ["subscribe", (o) => slaved.subscribe(stream, () => {}, o), {
      onFailures() {},
    }, /Cannot subscribe to orders: "onFailures" .* mean "onFailure"\?/],
    ["retry", (o) => slaved.subscribe(stream, () => {}, { retry: o }), {
      attempt: 1,
    }, /Cannot retry handlers of orders: "attempt" .* mean "attempts"\?/],
    ["call", (o) => slaved.call("add", 1, o), {
      wiat: false,
    }, /Cannot call "add": "wiat" .* mean "wait"\?/],
    ["send", (o) => writer.send(kick, "bob", o), {
      To: "x",
    }, /Cannot send command KICK: "To" .* mean "to"\?/],
    ["audit", (o) => slaved.audit(o), {
      cahces: [],
    }, /Cannot audit: "cahces" .* mean "caches"\?/],
    ["resizeCaches", (o) => slaved.resizeCaches(o), {
      cacheFactr: 1,
    }, /Cannot resize caches: "cacheFactr" .* mean "cacheFactor"\?/],
    ["admin.log", (o) => admin.log(o), {
      upto: 1,
    }, /Cannot read the log: "upto" .* mean "upTo"\?/],
    ["admin.verify", (o) => admin.verify(o), {
      progress: 1,
    }, /Cannot verify the log: "progress" .* mean "onProgress"\?/],
    ["admin.retain", (o) => admin.retain(undefined, o), {
      singal: 1,
    }, /Cannot retain streams: "singal" .* mean "signal"\?/],
  ]);
});
