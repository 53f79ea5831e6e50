/**
 * What a writer store does before there is one.
 *
 * @module
 */

import type { Engine } from "../database/engine.ts";
import { migrate } from "../database/migrator.ts";
import { openDatabase } from "../database/open_database.ts";
import { recordGroups } from "../log/group_names.ts";
import { type Lease, takeLease } from "../log/lease.ts";
import { LOG_MIGRATIONS } from "../log/log_schema.ts";
import { requirePolicies } from "../log/retention.ts";
import { requireKeepAlive } from "../replication/keep_alive.ts";
import { requireAboveZero, requireBounds } from "../runtime/bounds.ts";
import { environmentOf } from "../runtime/environment.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { LEASE_MS } from "../runtime/limits.ts";
import { requireNames } from "../runtime/option_names.ts";
import { WriterEndpoint } from "./endpoint.ts";
import { Listeners } from "./listeners.ts";
import {
  requireName,
  requireServerName,
  WRITER_OPTIONS,
  type WriterStoreOptions,
} from "./writer_options.ts";

/**
 * Refuses options that can't be.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, naming the option and its value.
 */
export function requireOptions(options: WriterStoreOptions): void {
  requireNames("open a writer store", WRITER_OPTIONS, options);
  requireBounds("open a writer store", options);
  requireKeepAlive("open a writer store", options);
  const { queueTimeoutMs, requestTimeoutMs, presenceTimeoutMs } = options;
  requireAboveZero("open a writer store", {
    queueTimeoutMs,
    requestTimeoutMs,
    presenceTimeoutMs,
  });
  if (options.instance !== undefined) requireName(options.instance, "instance");
  requirePolicies(options.retention ?? {});
  requireServerName(options.serverName ?? "headwater");
  Listeners.check(options);
  WriterEndpoint.check(options);
}

/**
 * Refuses to retain streams that this store doesn't write.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, with those that it does.
 */
export function requireRetained(
  { retention = {} }: WriterStoreOptions,
  streams: readonly string[],
): void {
  for (const stream of Object.keys(retention)) {
    if (streams.includes(stream)) continue;
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot retain stream ${quote(stream)}: the streams of the log are ` +
        `${streams.join(", ")}; declare it in the option "streams"`,
    );
  }
}

/** A database, and the name that this process writes to it under. */
export interface NamedDatabase<Database> {
  readonly engine: Engine<Database>;
  readonly lease: Lease;
}

/**
 * Opens the database, and takes the instance's name.
 *
 * @param groups The cache groups that are declared here.
 */
export async function openNamed<Database>(
  options: WriterStoreOptions,
  groups: readonly string[],
): Promise<NamedDatabase<Database>> {
  const { clock, random } = environmentOf(options);
  const holder = `headwater ${random.id()}`;
  const engine = openDatabase<Database>(
    options.database,
    clock,
    options,
    holder,
  );
  try {
    const lease = await takeName(engine, options, holder, groups);
    return { engine, lease };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** Takes the instance's name, the library's tables made or upgraded first. */
function takeName<Database>(
  engine: Engine<Database>,
  options: WriterStoreOptions,
  holder: string,
  groups: readonly string[],
): Promise<Lease> {
  const { instance = "master", leaseMs = LEASE_MS, schema } = options;
  const { clock } = environmentOf(options);
  const nowMs = Math.round(clock.wallMs());
  return takeLease(
    engine,
    { instance, leaseMs, holder, clock },
    async (session) => {
      await migrate(session, LOG_MIGRATIONS, nowMs, schema);
      await recordGroups(session, groups);
    },
  );
}
