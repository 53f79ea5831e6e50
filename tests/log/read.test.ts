// Pages of the log, put together, are the log; and no token is ever on two.

import { isDeepStrictEqual } from "node:util";
import t from "tap";
import {
  hasRecord,
  type LogRange,
  readLastToken,
  readLogPage,
} from "../../src/log/read.ts";
import type { LogRecord } from "../../src/log/record.ts";
import { PAGE_RECORDS } from "../../src/runtime/limits.ts";
import { parseToken } from "../../src/tokens/token.ts";
import {
  append,
  openAppender,
  openLog,
  type TestEngine,
} from "../support/logs.ts";
import { seeded } from "../support/seeded.ts";

/** Reads a range to its end; tells what is wrong with the pages. */
async function readAll(
  engine: TestEngine,
  range: LogRange,
): Promise<{ records: LogRecord[]; pages: number; wrong: string[] }> {
  const records: LogRecord[] = [];
  const wrong: string[] = [];
  let after = range.after;
  let pages = 0;
  while (true) {
    const page = await readLogPage(engine.session, { ...range, after });
    pages += 1;
    for (const { token } of page.records) {
      if (token <= after || token > page.upTo) wrong.push(`${token}`);
    }
    records.push(...page.records);
    if (!page.isLimited) {
      if (page.upTo !== range.upTo) wrong.push(`ends at ${page.upTo}`);
      return { records, pages, wrong };
    }
    if (page.upTo <= after) wrong.push(`no progress at ${after}`);
    if (page.upTo > range.upTo) wrong.push(`beyond at ${page.upTo}`);
    after = page.upTo;
  }
}

/** A log of transactions with so many streams each, and what it holds. */
async function fill(
  engine: TestEngine,
  sizes: readonly (readonly [instance: string, streams: number])[],
): Promise<(LogRecord & { instance: string })[]> {
  const appenders = new Map<string, Awaited<ReturnType<typeof openAppender>>>();
  const all: (LogRecord & { instance: string })[] = [];
  for (const [instance, streams] of sizes) {
    const open = appenders.get(instance) ??
      await openAppender(engine, instance);
    appenders.set(instance, open);
    const rows = Object.fromEntries(
      Array.from({ length: streams }, (_, index) => [
        `s${String(index).padStart(4, "0")}`,
        [`[${index}]`, '"é"'],
      ]),
    );
    const token = await append(engine, open.appender, rows);
    for (const [stream, lines] of Object.entries(rows)) {
      all.push({ instance, token, stream, rows: lines });
    }
  }
  return all;
}

function expected(
  all: readonly (LogRecord & { instance: string })[],
  { instance, after, upTo, stream }: LogRange,
): LogRecord[] {
  return all
    .filter((record) => record.instance === instance)
    .filter(({ token }) => token > after && token <= upTo)
    .filter((record) => stream === undefined || record.stream === stream)
    .map(({ token, stream, rows }) => ({ token, stream, rows }));
}

t.test("readLogPage() gives whole tokens, whatever their sizes", async (t) => {
  const near = [-1, 0, 1].map((more) => PAGE_RECORDS + more);
  const layouts: number[][] = [
    [],
    [1],
    [0],
    ...near.map((size) => [size]),
    ...near.map((size) => [1, size, 1]),
    ...near.map((size) => [size, size]),
    ...near.map((size) => Array.from({ length: size }, () => 1)),
    ...near.map((size) => Array.from({ length: size }, () => 0)),
    [2 * PAGE_RECORDS + 1, 3, PAGE_RECORDS],
    [PAGE_RECORDS - 1, 2, 1, 0, PAGE_RECORDS + 1, 0],
    [PAGE_RECORDS - 1, 1, PAGE_RECORDS - 2, 1, 1],
  ];
  for (const layout of layouts) {
    const engine = await openLog(t);
    const all = await fill(engine, layout.map((size) => ["master", size]));
    const range: LogRange = {
      instance: "master",
      after: parseToken(0),
      upTo: parseToken(layout.length),
    };
    const { records, wrong } = await readAll(engine, range);
    const what = layout.slice(0, 6).join() + ` (${layout.length})`;
    t.same(wrong, [], what);
    t.ok(isDeepStrictEqual(records, expected(all, range)), what);
    await engine.close();
  }
});

t.test("readLogPage() gives every range of a log of two instances", async (t) => {
  const random = seeded(11);
  const engine = await openLog(t);
  const sizes = Array.from({ length: 120 }, () =>
    [
      random.pick(["a", "b"]),
      random.pick([0, 1, 1, 2, 3, 40, PAGE_RECORDS]),
    ] as const);
  const all = await fill(engine, sizes);
  const tokens = [0, ...new Set(all.map(({ token }) => token))];
  const wrong: string[] = [];
  let pages = 0;
  for (let round = 0; round < 150; round += 1) {
    const bounds = [random.pick(tokens), random.pick(tokens)];
    const range: LogRange = {
      instance: random.pick(["a", "b", "c"]),
      after: parseToken(Math.min(...bounds)),
      upTo: parseToken(Math.max(...bounds)),
      stream: random.pick([undefined, undefined, "s0000", "s0039", "none"]),
    };
    const read = await readAll(engine, range);
    pages += read.pages;
    if (
      read.wrong.length > 0 ||
      !isDeepStrictEqual(read.records, expected(all, range))
    ) wrong.push(JSON.stringify(range));
  }
  t.same(wrong, []);
  t.ok(pages > 300, `${pages} pages were read`);
});

t.test("readLogPage() asks for a page at a time", async (t) => {
  const engine = await openLog(t);
  await fill(engine, Array.from({ length: 600 }, () => ["master", 1]));
  const range = {
    instance: "master",
    after: parseToken(0),
    upTo: parseToken(600),
  };
  const page = await readLogPage(engine.session, range);
  t.equal(page.records.length, PAGE_RECORDS - 1);
  t.match(page, { isLimited: true, upTo: PAGE_RECORDS - 1 });
});

t.test("readLastToken() and hasRecord() look at one instance", async (t) => {
  const engine = await openLog(t);
  const all = await fill(engine, [["a", 1], ["b", 2], ["a", 0], ["b", 3]]);
  const last = Math.max(...all.map(({ token }) => token));
  const { session } = engine;
  t.equal(await readLastToken(session, "c"), 0);
  t.equal(await readLastToken(session, "b"), last);
  const lastOfA = await readLastToken(session, "a");
  t.ok(lastOfA > 1 && lastOfA < last, "one without rows counts");
  t.ok(await hasRecord(session, "a", lastOfA));
  t.notOk(await hasRecord(session, "b", lastOfA));
  t.notOk(await hasRecord(session, "a", parseToken(last + 1)));
});
