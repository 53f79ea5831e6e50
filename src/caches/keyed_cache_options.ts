/**
 * What the cache of one method works with.
 *
 * @module
 */

import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Random } from "../runtime/random.ts";
import type { BoundsOptions } from "./cache_bounds.ts";
import type { LoadLog } from "./load_log.ts";

/** What a cache works with. */
export interface KeyedCacheOptions extends BoundsOptions {
  readonly clock: Clock;
  /** Says by how much background loads are put off. */
  readonly random?: Random | undefined;
  /** Hears of entries whose size can't be known, and of background loads that fail. */
  readonly logger: Logger;
  /** Takes in each load. */
  readonly loads?: LoadLog | undefined;
}
