// Pages of the log, put together, are the log; and no token is ever on two.

import { isDeepStrictEqual } from "node:util";
import t from "tap";
import {
  hasRecord,
  type LogRange,
  readLogPage,
  readLogPages,
} from "../../src/log/read.ts";
import { readLastToken } from "../../src/log/instances.ts";
import type { LogRecord } from "../../src/log/record.ts";
import {
  FIRST_PAGE_RECORDS as PAGE_RECORDS,
  MAX_PAGE_RECORDS,
  PAGE_CHARS,
} from "../../src/runtime/limits.ts";
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
  size = PAGE_RECORDS,
): Promise<{ records: LogRecord[]; pages: number; wrong: string[] }> {
  const records: LogRecord[] = [];
  const wrong: string[] = [];
  let after = range.after;
  let pages = 0;
  while (true) {
    const page = await readLogPage(engine.session, { ...range, after }, size);
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

/** The same, as it is read in one go. */
async function readPages(
  { session }: TestEngine,
  range: LogRange,
): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const page of readLogPages(session, range)) {
    records.push(...page.records);
  }
  return records;
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
      all.push({ instance, token, stream, lines });
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
    .map(({ token, stream, lines }) => ({ token, stream, lines }));
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
    [2 * PAGE_RECORDS - 1, 3, PAGE_RECORDS],
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
    const size = random.pick([1, 2, 39, 40, 41, PAGE_RECORDS]);
    const read = await readAll(engine, range, size);
    pages += read.pages;
    if (
      read.wrong.length > 0 ||
      !isDeepStrictEqual(read.records, expected(all, range)) ||
      !isDeepStrictEqual(await readPages(engine, range), read.records)
    ) wrong.push(JSON.stringify({ range, size }));
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
  const page = await readLogPage(engine.session, range, PAGE_RECORDS);
  t.equal(page.records.length, PAGE_RECORDS - 1);
  t.match(page, { isLimited: true, upTo: PAGE_RECORDS - 1 });
});

t.test("readLogPages() goes by the length of the records", async (t) => {
  const engine = await openLog(t);
  const { appender } = await openAppender(engine, "master");
  const write = async (count: number, length: number) => {
    const text = JSON.stringify("x".repeat(length));
    for (let index = 0; index < count; index += 1) {
      await append(engine, appender, { s: [text] });
    }
  };
  await write(PAGE_RECORDS + 2_000, 10);
  // A hundred of these are a page, their quotes included.
  await write(1_500, Math.floor(PAGE_CHARS / 100) - 2);
  const range = {
    instance: "master",
    after: parseToken(0),
    upTo: await readLastToken(engine.session, "master"),
  };
  const sizes: number[] = [];
  const chars: number[] = [];
  for await (const { records } of readLogPages(engine.session, range)) {
    sizes.push(records.length);
    chars.push(
      records.reduce((sum, { lines }) => sum + String(lines).length, 0),
    );
  }
  t.same(sizes.slice(0, 2), [PAGE_RECORDS - 1, MAX_PAGE_RECORDS - 1]);
  t.ok(
    sizes.includes(99),
    `then a hundred at a time, the last apart: ${sizes}`,
  );
  t.ok(chars.slice(-5).every((count) => count <= PAGE_CHARS), `${chars}`);
});

t.test("readLogPages(): pages behind tokens without rows are of full size", async (t) => {
  const engine = await openLog(t);
  const { appender } = await openAppender(engine, "master");
  const upTo = parseToken(PAGE_RECORDS + MAX_PAGE_RECORDS + 100);
  while (await append(engine, appender) < upTo);
  const range = { instance: "master", after: parseToken(0), upTo };
  const ends: number[] = [];
  for await (const page of readLogPages(engine.session, range)) {
    t.same(page.records, []);
    ends.push(page.upTo);
  }
  const first = PAGE_RECORDS - 1;
  t.same(ends, [first, first + MAX_PAGE_RECORDS - 1, upTo]);
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
