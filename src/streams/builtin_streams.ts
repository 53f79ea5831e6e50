/**
 * The streams that every log has.
 *
 * @module
 */

import { z } from "zod";
import type { JsonValue } from "../runtime/json.ts";
import { defineStream, type Stream } from "./stream.ts";

const json: z.ZodType<JsonValue> = z.json();

/** A part of a cache's key: what JSON can carry and compare. */
export type KeyPart = string | number | boolean | null;

/**
 * `[cache or group, key, ms]`: what was invalidated, and when. The key is the
 * argument list; `[]` is that of a method without arguments, `null` the whole
 * cache.
 */
export type CachesRow = [string, KeyPart[] | null, number];

/** `[aggregate, version, type, event id, data, metadata]`. */
export type EventsRow = [
  string,
  number,
  string,
  string,
  JsonValue,
  JsonValue,
];

const keyPart = z.union([z.string(), z.number(), z.boolean(), z.null()]);

/** Invalidations. Read it to watch them; write it through `txn.invalidate`. */
export const cachesStream: Stream<CachesRow> = defineStream(
  "caches",
  z.tuple([z.string(), z.array(keyPart).nullable(), z.number()]),
);

/**
 * Events, as they stand in the log: a handler gets older ones in their old
 * versions, `$version` in their metadata. To have them upcast, have the handler
 * poke and read with `readEvents({ after, aggregates })`, or use a projection.
 * Write it through `txn.append`.
 */
export const eventsStream: Stream<EventsRow> = defineStream(
  "events",
  z.tuple([z.string(), z.int(), z.string(), z.string(), json, json]),
);
