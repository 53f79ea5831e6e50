// Logs without a store around them.

import type { Test } from "tap";
import type { Engine, SyncCommitSession } from "../../src/database/engine.ts";
import { migrate } from "../../src/database/migrator.ts";
import { type Lease, takeLease } from "../../src/log/lease.ts";
import type { LogEntry } from "../../src/log/record.ts";
import { LogAppender } from "../../src/log/sqlite_append.ts";
import { LOG_MIGRATIONS } from "../../src/log/log_schema.ts";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import type { Token } from "../../src/tokens/token.ts";
import { toBodies } from "../../src/writer/record_bodies.ts";
import { openEngine, type ThingDatabase } from "./engines.ts";

/** An engine. */
export type TestEngine = Engine<ThingDatabase>;

/** An engine whose file has the library's tables. */
export async function openLog(t: Test, url?: string): Promise<TestEngine> {
  const engine = openEngine(t, url);
  await engine.transaction(
    "migrate",
    (session) => migrate(session, LOG_MIGRATIONS, 0),
  );
  return engine;
}

/** Takes an instance's name in a transaction of its own. */
export function lease(
  engine: TestEngine,
  instance: string,
  clock: Clock = systemClock,
  leaseMs = 60_000,
): Promise<Lease> {
  const holder = `headwater ${systemRandom.id()}`;
  return takeLease(engine, { instance, leaseMs, holder, clock });
}

/** Records a transaction in the log, as a writer store does. */
export function append(
  engine: TestEngine,
  appender: LogAppender,
  rows: Readonly<Record<string, readonly string[]>> = {},
): Promise<Token> {
  const entry: LogEntry = {
    bodies: toBodies(new Map(Object.entries(rows)), []),
    commitId: "0123456789abcdef",
    committedMs: 5,
  };
  return engine.transaction(
    "append",
    async (session) =>
      await appender.append(session as SyncCommitSession, entry),
  );
}

/** Takes an instance's name, and what writes under it. */
export async function openAppender(
  engine: TestEngine,
  instance = "master",
): Promise<{ lease: Lease; appender: LogAppender }> {
  const taken = await lease(engine, instance);
  return { lease: taken, appender: new LogAppender(taken) };
}
