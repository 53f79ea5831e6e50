/**
 * Subscribing to streams.
 *
 * @module
 */

import type { ResetHandler } from "../replication/ephemeral_streams.ts";
import type { SubscribeOptions } from "../replication/stream_subscription.ts";
import type { OptionNames } from "../runtime/option_names.ts";

/** Options of `slaved.subscribe`. */
export interface SlavedSubscribeOptions<Row = unknown>
  extends SubscribeOptions<Row> {
  /**
   * Streams with `durable: false`: is told that rows are missing, before those
   * that follow. What earlier rows said has to be forgotten.
   *
   * @default {nobody is told}
   */
  readonly onReset?: ResetHandler | undefined;
}

/** The names of {@linkcode SlavedSubscribeOptions}. */
export const SUBSCRIBE_OPTIONS: OptionNames<SlavedSubscribeOptions> = {
  retry: true,
  onFailure: true,
  onReset: true,
};

/** Ends a subscription. */
export type Unsubscribe = () => void;
