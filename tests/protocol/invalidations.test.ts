import fc from "fast-check";
import t from "tap";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { keyedCache } from "../support/caches.ts";
import { formatCachesRow } from "../../src/protocol/caches_row.ts";
import { formatCommand, parseCommand } from "../../src/protocol/codec.ts";
import type {
  InvalidateCommand,
  InvalidatedKey,
  InvalidationRun,
} from "../../src/protocol/command.ts";
import {
  countInvalidations,
  formatInvalidateLines,
  toCachesKey,
  toCachesRows,
  toInvalidatedKey,
} from "../../src/protocol/invalidations.ts";
import { formatRdataLines } from "../../src/protocol/rdata.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import type { KeyPart } from "../../src/streams/builtin_streams.ts";
import type { Token } from "../../src/tokens/token.ts";
import { refuses } from "./refused_lines.ts";

const TOKEN = 12 as Token;
const MS = 1_700_000_000_000;
const MAX_LINE_BYTES = 16_384;

const part = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
);
const key = fc.oneof(
  fc.constant(null),
  fc.array(part, { maxLength: 3 }),
  fc.string({ maxLength: 400 }).map((text) => [text]),
);
/** As a transaction is told: names and argument lists. */
const invalidations = fc.array(
  fc.tuple(fc.constantFrom("get_user", "rooms", 'é"'), key),
  { minLength: 1, maxLength: 400 },
);

t.test("one line holds what a transaction invalidates", (t) => {
  const keys: (KeyPart[] | null)[] = [
    ["@é:x"],
    [1],
    [true],
    null,
    [],
    [null],
    ["a", 2],
  ];
  const runs = [
    { name: "get_user", ms: MS, keys: keys.map(toInvalidatedKey) },
    { name: "rooms", ms: MS + 1, keys: ["!r"] },
  ];
  t.equal(
    formatInvalidateLines("w1", TOKEN, runs),
    `INVALIDATE w1 12 ["get_user",${MS},["@\\u00e9:x",1,true,null,[],[null],` +
      `["a",2]],"rooms",${MS + 1},["!r"]]\n`,
  );
  t.equal(
    formatCommand({
      kind: "INVALIDATE",
      instance: "w1",
      token: undefined,
      runs: [{ name: "f", ms: 1, keys: ["k"] }],
    }),
    'INVALIDATE w1 batch ["f",1,["k"]]',
  );
  t.equal(
    formatCommand({ kind: "REPLICATE", takesInvalidate: true }),
    "REPLICATE INVALIDATE",
  );
  t.same(parseCommand("REPLICATE INVALIDATE"), {
    kind: "REPLICATE",
    takesInvalidate: true,
  });
  t.same(parseCommand("REPLICATE events INVALIDATED"), { kind: "REPLICATE" });
  t.end();
});

t.test("lines say the same as rows, in their order, and none is too long", (t) => {
  fc.assert(fc.property(invalidations, (told) => {
    const runs = toRuns(told);
    const lines = formatInvalidateLines("w1", TOKEN, runs).split("\n");
    if (lines.pop() !== "") throw new Error("no newline at the end");
    const parsed = lines.map((line) => parseCommand(line) as InvalidateCommand);
    const rows = parsed.flatMap((command) => toCachesRows(command.runs));
    const expected = told.map(([name, key]) =>
      JSON.parse(formatCachesRow(name, key, MS))
    );
    if (JSON.stringify(rows) !== JSON.stringify(expected)) {
      throw new Error("other rows");
    }
    for (const [index, { token, runs }] of parsed.entries()) {
      const isLast = index === parsed.length - 1;
      if (token !== (isLast ? TOKEN : undefined)) throw new Error("token");
      const { length } = lines[index] as string;
      if (length > MAX_LINE_BYTES && countInvalidations(runs) > 1) {
        throw new Error(`a line of ${length}`);
      }
    }
  }));
  t.end();
});

t.test("a key too long for its line stands alone, no longer than its row would", (t) => {
  const long = "x".repeat(MAX_LINE_BYTES);
  const told: [string, KeyPart[] | null][] = [
    ["f", ["a"]],
    ["f", [long]],
    ["f", [long, null]],
    ["f", null],
  ];
  const lines = formatInvalidateLines("w1", TOKEN, toRuns(told)).trimEnd();
  t.same(
    lines.split("\n").map((line) => line.replace(long, "…")),
    [
      'INVALIDATE w1 batch ["f",1700000000000,["a"]]',
      'INVALIDATE w1 batch ["f",1700000000000,["…"]]',
      'INVALIDATE w1 batch ["f",1700000000000,[["…",null]]]',
      'INVALIDATE w1 12 ["f",1700000000000,[null]]',
    ],
  );
  for (const [name, key] of told) {
    const row = formatCachesRow(name, key, MS);
    const rdata = formatRdataLines("caches", "w1", TOKEN, [row]);
    const line = formatInvalidateLines("w1", TOKEN, toRuns([[name, key]]));
    t.ok(line.length <= rdata.length, line.slice(0, 40));
  }
  t.end();
});

t.test("a hundred thousand keys are cut in order", (t) => {
  const keys = Array.from({ length: 100_000 }, (_, index) => `@user${index}`);
  const runs = [{ name: "f", ms: MS, keys }];
  const lines = formatInvalidateLines("w1", TOKEN, runs).trimEnd().split("\n");
  const parsed = lines.map((line) => parseCommand(line) as InvalidateCommand);
  t.same(parsed.flatMap(({ runs }) => runs.flatMap(({ keys }) => keys)), keys);
  t.same(parsed.filter(({ token }) => token !== undefined).length, 1);
  t.ok(lines.length < 400, `${lines.length} lines`);
  t.end();
});

t.test("what is none is refused", (t) => {
  const problem = "the third field is not a list of names, times and keys";
  const lines: (readonly [string, string])[] = [
    ["INVALIDATE w 1", "INVALIDATE has three fields"],
    ['INVALIDATE  1 ["f",1,["k"]]', "INVALIDATE has three fields"],
    ['INVALIDATE w x ["f",1,["k"]]', '"x" is not a token'],
    ['INVALIDATE w 1 ["f",1,["k"]', "the third field is not JSON"],
    ["INVALIDATE w 1 {}", problem],
    ["INVALIDATE w 1 []", problem],
    ['INVALIDATE w 1 ["f",1]', problem],
    ['INVALIDATE w 1 ["f",1,[]]', problem],
    ['INVALIDATE w 1 ["f",1,"k"]', problem],
    ['INVALIDATE w 1 [1,1,["k"]]', problem],
    ['INVALIDATE w 1 ["f","1",["k"]]', problem],
    ['INVALIDATE w 1 ["f",1,[{}]]', problem],
    ['INVALIDATE w 1 ["f",1,[["a",[]]]]', problem],
    ['INVALIDATE w 1 ["f",1,["k"],"g",1]', problem],
  ];
  refuses(t, lines);
  t.end();
});

t.test("applied together, keys mean what they mean one by one", (t) => {
  fc.assert(fc.property(fc.array(key), fc.boolean(), (keys, isTwice) => {
    const entries = [["a"], [null], [], ["a", 1], [1], [true], ["zz"]];
    const [one, all] = [open(isTwice, entries), open(isTwice, entries)];
    const known: InvalidatedKey[] = [...keys, ...entries.slice(0, 5)]
      .map(toInvalidatedKey);
    for (const key of known) one.apply("f", toCachesKey(key));
    all.applyAll("f", known);
    all.applyAll("unknown", ["a", null, ["a"]]);
    for (const key of ["a", null, ["a"]]) {
      one.apply("unknown", toCachesKey(key));
    }
    const told = (registry: CacheRegistry) =>
      JSON.stringify([registry.stats, registry.cacheStats()]);
    if (told(one) !== told(all)) throw new Error(`${told(one)} ${told(all)}`);
  }));
  t.end();
});

function open(isTwice: boolean, entries: readonly KeyPart[][]): CacheRegistry {
  const registry = new CacheRegistry([], silentLogger);
  for (let count = isTwice ? 2 : 1; count > 0; count -= 1) {
    const cache = keyedCache("f", { maxEntries: 10 });
    registry.register(cache);
    for (const parts of entries) {
      void cache.load(parts, () => Promise.resolve());
    }
  }
  return registry;
}

function toRuns(
  told: readonly (readonly [string, readonly KeyPart[] | null])[],
): InvalidationRun[] {
  const runs: { name: string; ms: number; keys: InvalidatedKey[] }[] = [];
  for (const [name, key] of told) {
    const last = runs.at(-1);
    const kept = toInvalidatedKey(key);
    if (last?.name === name) last.keys.push(kept);
    else runs.push({ name, ms: MS, keys: [kept] });
  }
  return runs;
}
