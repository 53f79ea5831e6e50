// Keys and prefixes of every shape, from a writer to its readers: as INVALIDATE
// lines, as rows, and read from the log. Each drops what it names, and no more.

import { connect, createServer, type Socket } from "node:net";
import t, { type Test } from "tap";
import {
  cached,
  SlavedStore,
  Store,
  WriterStore,
  type WriterTransaction,
} from "../../mod.ts";
import type { KeyArgument } from "../../src/caches/mod.ts";
import { temporaryDatabase } from "../support/folders.ts";

type NoTables = Record<never, never>;

/** Says what it had to load. */
class Rooms extends Store<NoTables> {
  loaded: string[] = [];

  @cached({ maxEntries: 100, tree: true })
  getMember(room: string, user: string, limit?: number): Promise<string> {
    return this.#load("member", room, user, limit);
  }

  @cached({ maxEntries: 100, tree: true })
  getCount(room: string): Promise<string> {
    return this.#load("count", room);
  }

  @cached({ maxEntries: 100, tree: true, maxBytes: "1MiB", ttlMs: 1e9 })
  getPath(...parts: KeyArgument[]): Promise<string> {
    return this.#load("path", ...parts);
  }

  @cached({ maxEntries: 100 })
  getFlat(...parts: KeyArgument[]): Promise<string> {
    return this.#load("flat", ...parts);
  }

  /** Reads what is read here, and says what of it was loaded. */
  async read(): Promise<string[]> {
    this.loaded = [];
    for (const room of ["r", "s"]) {
      await this.getCount(room);
      for (const user of ["a", "b"]) await this.getMember(room, user);
      await this.getMember(room, "a", 5);
    }
    for (const key of KEYS) {
      await this.getPath(...key);
      await this.getFlat(...key);
    }
    return this.loaded;
  }

  #load(...words: KeyArgument[]): Promise<string> {
    const text = words.map((word) =>
      typeof word === "bigint" ? `${word}n` : JSON.stringify(word) ?? "-"
    ).join(" ").replaceAll('"', "");
    this.loaded.push(text);
    return Promise.resolve(text);
  }
}

const KEYS: readonly (readonly KeyArgument[])[] = [
  [],
  ["x"],
  [7],
  [7n],
  [null],
  [undefined, "x"],
  ["x", 7n, "é"],
  ["x", "7", true],
  ["x", 7, -0],
  ["x", 7, 0.5],
];

type Change = (txn: WriterTransaction<NoTables>, rooms: Rooms) => void;

const CHANGES: readonly (readonly [string, Change, readonly string[]])[] = [
  [
    "a prefix of one part",
    (txn, rooms) => txn.invalidatePrefix(rooms.getMember, ["r"]),
    ["member r a -", "member r b -", "member r a 5"],
  ],
  [
    "a prefix of two parts, which is an entry itself",
    (txn, rooms) => txn.invalidatePrefix(rooms.getMember, ["r", "a"]),
    ["member r a -", "member r a 5"],
  ],
  [
    "a prefix as long as the key",
    (txn, rooms) => txn.invalidatePrefix(rooms.getMember, ["r", "a", 5]),
    ["member r a 5"],
  ],
  [
    "a key of a tree, given with its cache's name",
    (txn) => txn.invalidate("getMember", ["s", "b"]),
    ["member s b -"],
  ],
  [
    "a key longer than any",
    (txn) => txn.invalidate("getMember", ["r", "a", 5, "more"]),
    [],
  ],
  [
    "a prefix of nobody",
    (txn, rooms) => txn.invalidatePrefix(rooms.getMember, ["q"]),
    [],
  ],
  [
    "keys of one part, of a tree",
    (txn, rooms) => txn.invalidatePrefix(rooms.getCount, ["s"]),
    ["count s"],
  ],
  [
    "a shorter key of what is no tree",
    (txn) => {
      txn.invalidate("getFlat", ["x", 7]);
      txn.invalidate("getFlat", ["x", 7, 0, 0]);
    },
    [],
  ],
  [
    "a number is no text, and no bigint",
    (txn, rooms) => {
      txn.invalidate(rooms.getFlat, [7]);
      txn.invalidatePrefix(rooms.getPath, ["x", 7]);
    },
    ["path x 7 0", "path x 7 0.5", "flat 7"],
  ],
  [
    "a bigint",
    (txn, rooms) => {
      txn.invalidate(rooms.getFlat, [7n]);
      txn.invalidatePrefix(rooms.getPath, ["x", 7n]);
    },
    ["path x 7n é", "path x 7 true", "flat 7n"],
  ],
  [
    "-0, a fraction, letters of other alphabets",
    (txn, rooms) => {
      txn.invalidate(rooms.getFlat, ["x", 7, 0]);
      txn.invalidate(rooms.getFlat, ["x", 7, 0.5]);
      txn.invalidatePrefix(rooms.getPath, ["x", 7n, "é"]);
    },
    ["path x 7n é", "flat x 7 0", "flat x 7 0.5"],
  ],
  [
    "null is undefined, where something follows",
    (txn, rooms) => {
      txn.invalidate(rooms.getFlat, [null, "x"]);
      txn.invalidatePrefix(rooms.getPath, [null, "x"]);
    },
    ["path - x", "flat - x"],
  ],
  [
    "undefined at the end was not given",
    (txn, rooms) => {
      txn.invalidate(rooms.getFlat, ["x", undefined]);
      txn.invalidate(rooms.getFlat, [undefined]);
    },
    ["flat", "flat x"],
  ],
  [
    "null alone",
    (txn, rooms) => {
      txn.invalidate(rooms.getFlat, [null]);
      txn.invalidatePrefix(rooms.getPath, [null]);
    },
    ["path null", "flat null", "path - x"],
  ],
  [
    "an empty key is every entry of a tree",
    (txn) => {
      txn.invalidate("getCount", []);
      txn.invalidate("getFlat", []);
    },
    ["count r", "count s", "flat"],
  ],
  [
    "several of one cache and another, in one transaction",
    (txn, rooms) => {
      txn.invalidatePrefix(rooms.getMember, ["r", "b"]);
      txn.invalidatePrefix(rooms.getMember, ["s"]);
      txn.invalidatePrefix(rooms.getCount, ["r"]);
      txn.invalidatePrefix(rooms.getMember, ["r", "b"]);
    },
    [
      "count r",
      "member r b -",
      "member s a -",
      "member s b -",
      "member s a 5",
    ],
  ],
  [
    "the whole cache",
    (txn, rooms) => {
      txn.invalidateAll(rooms.getCount);
      txn.invalidatePrefix(rooms.getCount, ["r"]);
    },
    ["count r", "count s"],
  ],
];

/** A way to the writer on which nobody asks for INVALIDATE lines. */
async function openRowsOnly(t: Test, url: string) {
  const { hostname, port } = new URL(url);
  let lines = "";
  const sockets = new Set<Socket>();
  const server = createServer((reader) => {
    const writer = connect(Number(port), hostname);
    for (const socket of [reader, writer]) {
      sockets.add(socket);
      socket.on("error", () => {});
    }
    reader.on("data", (chunk) => {
      writer.write(String(chunk).replace("REPLICATE INVALIDATE", "REPLICATE"));
    });
    writer.on("data", (chunk) => {
      lines += chunk;
      reader.write(chunk);
    });
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const own = server.address() as { port: number };
  return { url: `tcp://127.0.0.1:${own.port}`, lines: () => lines };
}

t.test("every key and prefix drops what it names, on every way", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await WriterStore.open<NoTables>({
    database,
    listen: "tcp://127.0.0.1:0",
    synchronous: "normal",
  });
  t.teardown(() => writer.close());
  const own = writer.attach(Rooms);
  const live = String(writer.url);
  const rowsOnly = await openRowsOnly(t, live);
  const ways: Record<
    string,
    { replicate: string | []; pollIntervalMs: number }
  > = {
    "INVALIDATE lines": { replicate: live, pollIntervalMs: 0 },
    "rows": { replicate: rowsOnly.url, pollIntervalMs: 0 },
    "the log": { replicate: [], pollIntervalMs: 2 },
  };
  const readers: [string, SlavedStore<NoTables>, Rooms][] = [];
  for (const [way, options] of Object.entries(ways)) {
    const slaved = await SlavedStore.connect<NoTables>({
      database,
      ...options,
    });
    t.teardown(() => slaved.close());
    readers.push([way, slaved, slaved.attach(Rooms)]);
  }
  for (const rooms of [own, ...readers.map(([, , each]) => each)]) {
    await rooms.read();
    t.same(await rooms.read(), [], "all is cached");
  }
  const flushes = () => readers.map(([, { stats }]) => stats.flushes);
  const before = flushes();
  for (const [what, change, expected] of CHANGES) {
    const commit = await writer.transaction("change", (txn) => {
      change(txn, own);
      return Promise.resolve();
    });
    const sorted = expected.toSorted();
    t.same((await own.read()).toSorted(), sorted, `${what}, in the writer`);
    for (const [way, slaved, rooms] of readers) {
      await slaved.waitFor(commit);
      t.same((await rooms.read()).toSorted(), sorted, `${what}, by ${way}`);
    }
  }
  t.same(flushes(), before);
  t.match(rowsOnly.lines(), /^RDATA caches master /m);
  t.notMatch(rowsOnly.lines(), /^INVALIDATE /m);
});
