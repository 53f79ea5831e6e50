/**
 * Waiting for a database that its writer has yet to make.
 *
 * @module
 */

import type { ReadEngine } from "../database/engine.ts";
import {
  readSchemaVersion,
  requireKnownVersion,
} from "../database/migrator.ts";
import { openForReading } from "../database/open_database.ts";
import { LOG_MIGRATIONS } from "../log/log_schema.ts";
import { environmentOf } from "../runtime/environment.ts";
import { HeadwaterError, messageOf, quote } from "../runtime/errors.ts";
import { hideSecrets } from "../runtime/secrets.ts";
import { CONNECT_TIMEOUT_MS, MIN_BACKOFF_MS } from "../runtime/limits.ts";
import { type Deferred, pause } from "../runtime/waiting.ts";
import type { RememberingTransport } from "./last_failure.ts";
import type { SlavedStoreOptions } from "./slaved_options.ts";

/**
 * Opens a database for reading, as soon as a writer has made its tables: a
 * worker may well start first.
 *
 * @param options Which database.
 * @param deadlineMs Until when to try, in monotonic ms.
 * @throws {HeadwaterError} `CONNECT_TIMEOUT`, saying what was missing; else as the engine.
 */
export async function openWhenThere<Database>(
  options: SlavedStoreOptions,
  deadlineMs: number,
): Promise<ReadEngine<Database>> {
  const { database, signal, connectTimeoutMs } = options;
  const { clock } = environmentOf(options);
  while (true) {
    let missing = "its tables are not there yet";
    try {
      const engine = openForReading<Database>(database, options);
      try {
        const version = await readSchemaVersion(engine.session);
        requireKnownVersion(version, LOG_MIGRATIONS);
        if (version > 0) return engine;
      } catch (error) {
        await engine.close();
        throw error;
      }
      await engine.close();
    } catch (error) {
      if (!isPassing(error)) throw error;
      missing = messageOf(error);
    }
    if (clock.monotonicMs() >= deadlineMs) {
      throw connectTimeoutError(
        `database ${
          quote(hideSecrets(database))
        }: ${missing}; open a WriterStore on it`,
        connectTimeoutMs,
      );
    }
    await pause(clock, MIN_BACKOFF_MS, signal);
    signal?.throwIfAborted();
  }
}

/** A connection that is waited for. */
export interface AwaitedLink {
  /** Whose it is, for errors. */
  readonly name: string;
  readonly transport?: RememberingTransport;
  /** Resolves once its first position is adopted. */
  readonly live: Deferred<void>;
}

/**
 * Waits until a connection hears of every write.
 *
 * @throws {HeadwaterError} `CONNECT_TIMEOUT`, saying who does not answer.
 * @throws The signal's reason, if it is aborted.
 */
export async function untilLive(
  { name, transport, live }: AwaitedLink,
  options: SlavedStoreOptions,
  deadlineMs: number,
): Promise<void> {
  const { connectTimeoutMs, signal } = options;
  const { clock } = environmentOf(options);
  const { promise, reject } = live;
  signal?.throwIfAborted();
  const abort = () => reject(signal?.reason);
  signal?.addEventListener("abort", abort);
  const cancel = clock.schedule(
    () => {
      const missing = transport?.describeFailure(name, options.replica) ??
        `nobody answers at ${name}`;
      reject(connectTimeoutError(missing, connectTimeoutMs));
    },
    Math.max(0, deadlineMs - clock.monotonicMs()),
  );
  try {
    await promise;
  } finally {
    cancel();
    signal?.removeEventListener("abort", abort);
  }
}

function isPassing(error: unknown): boolean {
  return error instanceof HeadwaterError &&
    (error.code === "DATABASE_UNAVAILABLE" || error.code === "DATABASE_BUSY");
}

/** The error of a connection that did not come about in time. */
function connectTimeoutError(
  missing: string,
  timeoutMs: number = CONNECT_TIMEOUT_MS,
): HeadwaterError {
  return new HeadwaterError(
    "CONNECT_TIMEOUT",
    `Cannot connect a slaved store within ${timeoutMs} ms: ${missing}`,
  );
}
