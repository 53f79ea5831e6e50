// Promise 1, a crash at each point of a commit included. A writer is killed
// there, over and over, and the next one begins on what it left. Before that
// one writes anything: what was acknowledged is in the data and in the log,
// nothing is there by half, and a live reader is told all that it was not told.

import process from "node:process";
import type { Test } from "tap";
import { eventsStream, SlavedStore, WriterStore } from "../../mod.ts";
import { openAdmin } from "../../src/admin/mod.ts";
import { until } from "../support/conditions.ts";
import { freePort } from "../support/ports.ts";
import { startProcess, type TestProcess } from "../support/processes.ts";
import { freshlySeeded } from "../support/seeded.ts";
import { createUsers, type TestDatabase, Users } from "../support/stores.ts";
import {
  type Acknowledged,
  type CommitPoint,
  laneOf,
  type PointName,
  type Said,
  WRITES_A_LIFE,
} from "./commit_points.ts";
import {
  type LoggedWrite,
  readLanes,
  readLog,
  readParts,
  type ReadRows,
  type SeenEvent,
} from "./commit_points_truth.ts";

/** More of them: COMMIT_POINT_KILLS=200. */
const KILLS = Number(process.env.COMMIT_POINT_KILLS ?? 16);
/** A point is passed up to so many times before the kill. */
const MOST_TIMES = 40;
const writerFile = new URL("./commit_points_process.ts", import.meta.url);

/** One writer's end. */
interface Death {
  readonly first: number;
  readonly point: PointName;
  readonly write: number;
  readonly acknowledged: readonly Acknowledged[];
  /** How many events the reader had been told of before the next one opened. */
  readonly heard: number;
}

/** Kills writers at each of the points, in turn. */
export async function killAtPoints(
  t: Test,
  database: string,
  read: ReadRows,
  points: Readonly<Partial<Record<PointName, CommitPoint>>>,
): Promise<void> {
  const { below } = freshlySeeded(t);
  const names = Object.keys(points) as PointName[];
  const hits = new Map<PointName, number>(names.map((name) => [name, 0]));
  const url = `tcp://127.0.0.1:${await freePort()}`;
  const start = () => startProcess(t, writerFile, [database, url]);
  let writer = start();
  await prepare(database);
  await open(writer);
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: url,
    minBackoffMs: 5,
    maxBackoffMs: 20,
    // The writer alone tells it.
    pollIntervalMs: 0,
  });
  t.teardown(() => slaved.close());
  const users = slaved.attach(Users);
  const heard: SeenEvent[] = [];
  slaved.subscribe(eventsStream, ({ token, rows }) => {
    for (const [aggregate, version, part, , data] of rows) {
      const { write } = data as { write: number };
      heard.push([token, aggregate, version, part, write]);
    }
  });

  const [last] = await read("SELECT max(token) AS token FROM headwater_log");
  const begin = Number(last?.token);
  let end = begin;
  const versions = new Map<string, number>();
  const newest = new Map<string, number>();
  const totals = {
    acknowledged: 0,
    committed: 0,
    unanswered: 0,
    parts: 0,
    untold: 0,
  };
  for (let kill = 0; kill < KILLS; kill += 1) {
    // It is there, and waits, so that its start takes no time.
    const next = start();
    const death = await killAt(writer, {
      first: (kill + 1) * WRITES_A_LIFE,
      point: names[kill % names.length] as PointName,
      time: 1 + below(MOST_TIMES),
      heard,
    });
    hits.set(death.point, Number(hits.get(death.point)) + 1);
    await open(next);
    writer = next;

    const log = await readLog(t, read, end);
    const before = heard.slice(0, death.heard);
    judge(t, death, log, before, points[death.point] as CommitPoint);
    const parts = log.flatMap(({ events }) =>
      events.map(([, , , part]) => part)
    );
    const inData = await readParts(read, death.first);
    if (inData.join() !== parts.toSorted().join()) {
      t.fail("data without log, or log without data", { death, parts, inData });
    }
    for (const { token, write, events } of log) {
      end = token;
      for (const [, lane, version] of events) {
        const last = versions.get(lane) ?? 0;
        if (version !== last + 1) t.fail(`${lane}: ${version} after ${last}`);
        versions.set(lane, version);
        newest.set(lane, write);
      }
    }
    t.same(await readLanes(read), [...newest].sort(), "each lane's newest");

    await until(
      `the reader is told of ${end} (${death.point})`,
      () => Number(slaved.position.get("master")) >= end,
    );
    const told = log.flatMap(({ events }) => events);
    const since = heard.splice(0);
    if (JSON.stringify(since) !== JSON.stringify(told)) {
      t.fail("told otherwise than logged", { death, since, told });
    }
    for (const [lane, write] of newest) {
      const user = await users.getUserById(lane);
      if (user?.version !== write) {
        t.fail("stale", { death, lane, user, write });
      }
    }
    totals.acknowledged += death.acknowledged.length;
    totals.committed += log.length;
    totals.unanswered += log.length - death.acknowledged.length;
    totals.parts += told.length;
    totals.untold += told.length - before.length;
  }

  writer.signal("SIGKILL");
  await writer.ended;
  // A transaction of a dead writer that came late would be in neither count.
  const all = await readLog(t, read, begin);
  t.equal(all.length, totals.committed, "nothing came later into the log");
  t.equal((await readParts(read, 0)).length, totals.parts, "nor into the data");
  const admin = await openAdmin(database);
  const { problems, transactions } = await admin.verify();
  await admin.close();
  t.same(problems, [], "the whole log is sound");
  t.ok(transactions > totals.committed, "and all of it was looked at");
  for (const [point, count] of hits) t.ok(count > 0, `${count} × ${point}`);
  t.ok(
    totals.unanswered > 0,
    `committed, not acknowledged: ${totals.unanswered}`,
  );
  t.ok(totals.untold > 0, `told after the restart: ${totals.untold} events`);
  t.ok(
    totals.acknowledged > KILLS,
    `${KILLS} kills, ${totals.acknowledged} acknowledged, ` +
      `${totals.committed} committed`,
  );
}

/** Makes the tables, in a writer's life of its own. */
async function prepare(database: string): Promise<void> {
  const writer = await WriterStore.open<TestDatabase>({ database });
  await createUsers(writer);
  await writer.close();
}

async function open(writer: TestProcess): Promise<void> {
  writer.tell({ open: true });
  await writer.hear<Said>("it is open", ({ open }) => open !== undefined);
}

/** Has a writer write until it dies. */
async function killAt(
  writer: TestProcess,
  { first, point, time, heard }: {
    first: number;
    point: PointName;
    time: number;
    heard: readonly SeenEvent[];
  },
): Promise<Death> {
  writer.tell({ first, point, time });
  const { dying } = await writer.hear<Said>(
    `it comes to "${point}" for the ${time}. time`,
    ({ dying }) => dying !== undefined,
  );
  const signal = await writer.ended;
  if (dying === undefined || signal !== "SIGKILL") {
    throw new Error(`it ended by itself: ${signal} ${writer.errors()}`);
  }
  const said = writer.messages as readonly Said[];
  const acknowledged = said.flatMap(({ acknowledged }) => acknowledged ?? []);
  return { first, ...dying, acknowledged, heard: heard.length };
}

/** What a writer left, against what its end says of its last write. */
function judge(
  t: Test,
  death: Death,
  log: readonly LoggedWrite[],
  before: readonly SeenEvent[],
  point: CommitPoint,
): void {
  const { write, acknowledged } = death;
  const tokens = new Map(log.map(({ write, token }) => [write, token]));
  if (tokens.size !== log.length) t.fail("a write is there twice", { death });
  const lost = acknowledged.filter(({ write, token }) =>
    tokens.get(write) !== token
  );
  if (lost.length > 0) t.fail("acknowledged, and lost", { death, lost });
  const latest = new Map<string, number>();
  for (const { write, token } of acknowledged) {
    const last = latest.get(laneOf(write)) ?? 0;
    if (token <= last) t.fail(`token ${token} after ${last}`, { death });
    latest.set(laneOf(write), token);
  }
  const isCommitted = tokens.has(write);
  if (isOtherwise(isCommitted, point.isCommitted)) {
    t.fail(`${death.point}: committed: ${isCommitted}`, { death });
  }
  const isAcknowledged = acknowledged.some((told) => told.write === write);
  if (isOtherwise(isAcknowledged, point.isAcknowledged)) {
    t.fail(`${death.point}: acknowledged: ${isAcknowledged}`, { death });
  }
  if (before.some(([, , , , of]) => of === write)) {
    t.fail(`${death.point}: announced already`, { death });
  }
}

function isOtherwise(is: boolean, should: boolean | "maybe"): boolean {
  return should !== "maybe" && is !== should;
}
