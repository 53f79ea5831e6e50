/**
 * A writer that tells its readers through the database.
 *
 * @module
 */

import { isNotify } from "../database/notify_address.ts";
import { openNotify } from "../database/postgres_notify.ts";
import { NotifyPoker } from "../replication/notify_poker.ts";
import { environmentOf } from "../runtime/environment.ts";
import { silentLogger } from "../runtime/logger.ts";
import type { WriterStoreOptions } from "./writer_options.ts";

/**
 * Makes what says after commits, by NOTIFY, how far an instance has come;
 * `undefined` if the store's options don't ask for it.
 *
 * @param options The store's.
 * @param instance Who writes.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` if the database has no NOTIFY.
 */
export function notifyReaders(
  options: WriterStoreOptions,
  instance: string,
): NotifyPoker | undefined {
  const addresses = [options.listen].flat();
  if (!addresses.some((one) => isNotify(one, options.database))) {
    return undefined;
  }
  return new NotifyPoker({
    client: openNotify({ ...options, url: options.database }),
    instance,
    clock: environmentOf(options).clock,
    logger: options.logger ?? silentLogger,
  });
}
