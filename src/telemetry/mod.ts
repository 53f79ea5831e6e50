/**
 * What happens in the stores of this process, told on `node:diagnostics_channel`.
 * Metrics and spans need no import: they go to OpenTelemetry's global providers.
 *
 * @module
 */

export { onTelemetry } from "./channels.ts";
export type { TelemetryEventName } from "./channels.ts";
export type {
  AppliedEvent,
  AuditDifferenceEvent,
  CacheEntryEvent,
  CacheInvalidateEvent,
  CacheKeyPart,
  CacheLoadEvent,
  CatchUpEvent,
  CommitEvent,
  ConnectedEvent,
  DisconnectedEvent,
  EndReason,
  LaggardEvent,
  ResetEvent,
  Side,
  TelemetryEvents,
} from "./events.ts";
