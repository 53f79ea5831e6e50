/**
 * A reader that is told through the database when to look there.
 *
 * @module
 */

import { openListen } from "../database/postgres_notify.ts";
import type { DatabaseWatcher } from "../replication/database_watcher.ts";
import { NotifyListener } from "../replication/notify_listener.ts";
import type { ReaderPosition } from "../replication/reader_position.ts";
import { environmentOf } from "../runtime/environment.ts";
import { silentLogger } from "../runtime/logger.ts";
import type { SlavedStoreOptions } from "./slaved_options.ts";

/**
 * Has a watcher look whenever a writer says that there is something new, and
 * whenever that may have gone unheard.
 *
 * @param options The store's.
 * @param watcher Looks.
 * @param position What needs no look.
 * @param listening Called whenever it begins to listen.
 */
export function listenForPokes(
  options: SlavedStoreOptions,
  watcher: DatabaseWatcher,
  position: ReaderPosition,
  listening: () => void,
): NotifyListener {
  return new NotifyListener({
    open: (notified, disconnected) =>
      openListen(
        { ...options, url: options.database },
        notified,
        disconnected,
      ),
    poked: (instance, token) => {
      if (!position.contains(instance, token)) watcher.poke();
    },
    listening: () => {
      listening();
      watcher.poke();
    },
    ...environmentOf(options),
    logger: options.logger ?? silentLogger,
  });
}
