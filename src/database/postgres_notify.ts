/**
 * PostgreSQL's NOTIFY and LISTEN, each on a connection of its own.
 *
 * @module
 */

import { openClient, type PostgresOptions } from "./postgres_client.ts";

/**
 * One channel for every log of a database, whatever its tables are called: a
 * look for nothing is cheap, and there is no name to get wrong.
 */
const CHANNEL = "headwater";
const NOTIFY = "SELECT pg_notify($1, $2)";
const LISTENS =
  "SELECT 1 FROM pg_listening_channels() AS channel WHERE channel = $1";

/** How to connect. */
export interface NotifyOptions extends PostgresOptions {
  /** `postgres://USER@HOST/DATABASE`. */
  readonly url: string;
}

/** Tells everybody who listens. Connects with the first call, and anew after one that failed. */
export interface NotifyClient {
  /** Resolves once the server has it; it runs in no transaction of anybody's. */
  notify(payload: string): Promise<void>;
  /** Ends the connection. */
  close(): Promise<void>;
}

/** Hears what is told, for as long as its one connection lasts. */
export interface ListenClient {
  /** Resolves once everything that is told from now on will be heard. */
  listen(): Promise<void>;
  /** Whether the server knows that it listens. */
  isListening(): Promise<boolean>;
  /** Ends the connection. */
  close(): Promise<void>;
}

/** Opens a {@linkcode NotifyClient}. */
export function openNotify(options: NotifyOptions): NotifyClient {
  const open = () =>
    openClient({
      ...options,
      readOnly: false,
      applicationName: "headwater notify",
    });
  let client = open();
  return {
    async notify(payload) {
      const used = client;
      try {
        await used.unsafe(NOTIFY, [CHANNEL, payload]);
      } catch (error) {
        if (used === client) client = open();
        used.end({ timeout: 0 }).catch(() => {});
        throw error;
      }
    },
    close: () => client.end({ timeout: 0 }),
  };
}

/**
 * Opens a {@linkcode ListenClient}.
 *
 * @param options How to connect.
 * @param notified Called with each payload.
 * @param disconnected Called when the connection is lost: it is of no use then.
 */
export function openListen(
  options: NotifyOptions,
  notified: (payload: string) => void,
  disconnected: () => void,
): ListenClient {
  const client = openClient({
    ...options,
    readOnly: true,
    applicationName: "headwater listen",
    notified,
    closed: disconnected,
  });
  return {
    listen: async () => void await client.unsafe(`LISTEN ${CHANNEL}`),
    isListening: async () =>
      (await client.unsafe(LISTENS, [CHANNEL])).length > 0,
    close: () => client.end({ timeout: 0 }),
  };
}
