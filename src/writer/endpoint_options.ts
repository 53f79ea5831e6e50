/**
 * What a writer store does besides writing the log: requests, and rows that
 * are in no log.
 *
 * @module
 */

import type { OptionNames } from "../runtime/option_names.ts";

/** Options of `WriterStore.open` for its HTTP endpoint and ephemeral streams. */
export interface EndpointOptions {
  /**
   * Where readers ask for what they missed, and workers call: `http://HOST:PORT`
   * or `https://HOST:PORT`, port 0 for any that is free. An `http:` address that
   * other machines can reach needs {@linkcode httpSecret}, or `allowPlaintext`.
   *
   * @default {nowhere}
   */
  readonly http?: string | undefined;

  /**
   * What requests must carry, as `Authorization: Bearer`.
   *
   * @default {they need not}
   */
  readonly httpSecret?: string | undefined;

  /**
   * Bytes of a request's body.
   *
   * @default {16777216}
   */
  readonly maxBodyBytes?: number | undefined;

  /**
   * How long a request may take to arrive whole, in ms: above 0.
   *
   * @default {30000}
   */
  readonly requestTimeoutMs?: number | undefined;

  /**
   * Calls of workers that run at a time; one more is told to come again.
   *
   * @default {1000}
   */
  readonly maxRunningCalls?: number | undefined;

  /**
   * Rows of an ephemeral stream that are held for readers that were away.
   *
   * @default {10000}
   */
  readonly maxEphemeralRows?: number | undefined;

  /**
   * Bytes of these rows.
   *
   * @default {16777216}
   */
  readonly maxEphemeralBytes?: number | undefined;

  /**
   * How long such a row is held, in ms.
   *
   * @default {300000}
   */
  readonly ephemeralAgeMs?: number | undefined;
}

/** The names of {@linkcode EndpointOptions}. */
export const ENDPOINT_OPTIONS: OptionNames<EndpointOptions> = {
  http: true,
  httpSecret: true,
  maxBodyBytes: true,
  requestTimeoutMs: true,
  maxRunningCalls: true,
  maxEphemeralRows: true,
  maxEphemeralBytes: true,
  ephemeralAgeMs: true,
};
