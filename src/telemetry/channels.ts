/**
 * The channels that events are told on, to whoever subscribes to them.
 *
 * @module
 */

import {
  type Channel,
  channel,
  subscribe,
  unsubscribe,
} from "node:diagnostics_channel";
import type { TelemetryEvents } from "./events.ts";

/** A channel's name. */
export type TelemetryEventName = keyof TelemetryEvents;

/** One channel. Ask {@linkcode isHeard} before making what is to be published. */
export class EventChannel<Event> {
  readonly #channel: Channel;

  /** Constructs the channel of that name; all of one name are one. */
  constructor(name: string) {
    this.#channel = channel(name);
  }

  /** Whether anybody listens. */
  get isHeard(): boolean {
    return this.#channel.hasSubscribers;
  }

  /** Tells those who listen, now. What they throw is the process's uncaught exception. */
  publish(event: Event): void {
    this.#channel.publish(event);
  }
}

function open<Name extends TelemetryEventName>(
  name: Name,
): EventChannel<TelemetryEvents[Name]> {
  return new EventChannel(name);
}

/** Where commits are told. */
export const commits: EventChannel<TelemetryEvents["headwater:commit"]> = open(
  "headwater:commit",
);
/** Where it is told that they are applied. */
export const applications: EventChannel<TelemetryEvents["headwater:applied"]> =
  open("headwater:applied");
/** Where catch-ups are told. */
export const catchUps: EventChannel<TelemetryEvents["headwater:catch-up"]> =
  open("headwater:catch-up");
/** Where resets are told. */
export const resets: EventChannel<TelemetryEvents["headwater:reset"]> = open(
  "headwater:reset",
);
/** Where new connections are told. */
export const connections: EventChannel<TelemetryEvents["headwater:connected"]> =
  open("headwater:connected");
/** Where ended connections are told. */
export const disconnections: EventChannel<
  TelemetryEvents["headwater:disconnected"]
> = open("headwater:disconnected");
/** Where readers that can't keep up are told. */
export const laggards: EventChannel<TelemetryEvents["headwater:laggard"]> =
  open("headwater:laggard");

/** Where hits of caches are told. */
export const cacheHits: EventChannel<TelemetryEvents["headwater:cache-hit"]> =
  open("headwater:cache-hit");
/** Where misses of caches are told. */
export const cacheMisses: EventChannel<
  TelemetryEvents["headwater:cache-miss"]
> = open("headwater:cache-miss");
/** Where the ends of loads are told. */
export const cacheLoads: EventChannel<TelemetryEvents["headwater:cache-load"]> =
  open("headwater:cache-load");
/** Where it is told of entries that go for lack of room. */
export const cacheEvictions: EventChannel<
  TelemetryEvents["headwater:cache-evict"]
> = open("headwater:cache-evict");
/** Where it is told of entries that go as wrong. */
export const cacheInvalidations: EventChannel<
  TelemetryEvents["headwater:cache-invalidate"]
> = open("headwater:cache-invalidate");
/** Where loads that are not kept are told. */
export const fencedLoads: EventChannel<
  TelemetryEvents["headwater:cache-fenced"]
> = open("headwater:cache-fenced");
/** Where it is told of entries that differ from the database. */
export const auditDifferences: EventChannel<
  TelemetryEvents["headwater:audit-difference"]
> = open("headwater:audit-difference");

/**
 * Calls a listener with every event of a channel, in the moment it happens: keep
 * it short. What it throws is an uncaught exception of the process.
 *
 * @param name The channel, of `node:diagnostics_channel`.
 * @param listener Is given each event of every store in this process.
 * @returns Ends it.
 *
 * @example Usage
 * ```ts
 * import { onTelemetry } from "headwater/telemetry";
 *
 * const stop = onTelemetry("headwater:disconnected", ({ name, peer, reason }) => {
 *   if (reason === "laggard") console.log(`${peer} lags behind ${name}`);
 * });
 * stop();
 * ```
 */
export function onTelemetry<Name extends TelemetryEventName>(
  name: Name,
  listener: (event: TelemetryEvents[Name]) => void,
): () => void {
  const heard = (message: unknown) => {
    // Only this library publishes under these names.
    listener(message as TelemetryEvents[Name]);
  };
  subscribe(name, heard);
  return () => void unsubscribe(name, heard);
}
