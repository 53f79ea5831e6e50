/**
 * Telling, on `diagnostics_channel`, what becomes of a writer's readers.
 *
 * @module
 */

import {
  connections,
  disconnections,
  laggards,
} from "../telemetry/channels.ts";
import type { ConnectedReader, DisconnectReason } from "./connected_reader.ts";

/** A reader has connected. */
export function tellConnected(instance: string, reader: ConnectedReader): void {
  if (connections.isHeard) connections.publish(toEvent(instance, reader));
}

/** A reader is gone. */
export function tellDisconnected(
  instance: string,
  reader: ConnectedReader,
  reason: DisconnectReason,
): void {
  if (!disconnections.isHeard) return;
  disconnections.publish({ ...toEvent(instance, reader), reason });
}

/** A reader can't keep up. */
export function tellLaggard(instance: string, reader: ConnectedReader): void {
  if (!laggards.isHeard) return;
  const { queuedBytes } = reader;
  laggards.publish({ ...toEvent(instance, reader), queuedBytes });
}

function toEvent(
  instance: string,
  { name }: ConnectedReader,
): { side: "writer"; name: string; peer: string } {
  return { side: "writer", name: instance, peer: name };
}
