/**
 * Reading from a replica that lags behind its primary.
 *
 * @module
 */

import type { ReadEngine, Session } from "../database/engine.ts";
import { openForReading } from "../database/open_database.ts";
import {
  ReplicaGate,
  type VisibilityGate,
} from "../replication/replica_gate.ts";
import { environmentOf } from "../runtime/environment.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { hideSecrets } from "../runtime/secrets.ts";
import type { Logger } from "../runtime/logger.ts";
import type { SlavedStoreOptions } from "./slaved_options.ts";

/** A replica, and what tells how far it has got. */
export interface Replica<Database> {
  readonly engine: ReadEngine<Database>;
  readonly gate: ReplicaGate;
  readonly visible: VisibilityGate;
}

/**
 * Refuses a replica that can't be one.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` if it is none of PostgreSQL's.
 */
export function requireReplica({ replica }: SlavedStoreOptions): void {
  if (replica === undefined || /^postgres(?:ql)?:\/\//.test(replica)) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot read from replica ${
      quote(hideSecrets(replica))
    }: only PostgreSQL has replicas; ` +
      "give postgres://USER@HOST/DATABASE, or leave the option out",
  );
}

/** Opens the replica that the options name, if they do. */
export function openReplica<Database>(
  options: SlavedStoreOptions,
  primary: Session,
  logger: Logger,
): Replica<Database> | undefined {
  const { replica } = options;
  if (replica === undefined) return undefined;
  const engine = openForReading<Database>(replica, options);
  const gate = new ReplicaGate({
    primary,
    replica: engine.session,
    clock: environmentOf(options).clock,
    logger,
  });
  return {
    engine,
    gate,
    visible: (...what) => gate.visible(...what),
  };
}
