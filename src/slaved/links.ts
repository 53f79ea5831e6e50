/**
 * A slaved store's connections, and what each of them feeds.
 *
 * @module
 */

import { isNotify } from "../database/notify_address.ts";
import { ReplicationClient } from "../replication/client.ts";
import { EphemeralFollower } from "../replication/ephemeral_follower.ts";
import type { EphemeralStreams } from "../replication/ephemeral_streams.ts";
import { Follower, type FollowerOptions } from "../replication/follower.ts";
import { environmentOf } from "../runtime/environment.ts";
import { MAX_LINE_BYTES } from "../runtime/limits.ts";
import { deferred } from "../runtime/waiting.ts";
import type { WireNames } from "../streams/wire_names.ts";
import {
  nameOfAddress,
  openTransport,
  requireAddress,
} from "../transport/open_transport.ts";
import type { Address } from "../transport/transport.ts";
import { rememberFailure } from "./last_failure.ts";
import type { AwaitedLink } from "./open_when_there.ts";
import type { SlavedVoice } from "./slaved_commands.ts";
import type { SlavedStoreOptions } from "./slaved_options.ts";
import type { WriterCalls } from "./writer_calls.ts";

/** One writer's connection. */
export interface Link extends AwaitedLink {
  readonly follower: Follower;
  readonly client: ReplicationClient;
}

/** What links feed. */
export interface LinkParts {
  readonly following: Omit<FollowerOptions, "live" | "ephemeral">;
  readonly ephemeral: EphemeralStreams;
  readonly calls: WriterCalls;
  readonly voice: SlavedVoice;
  readonly wireNames: WireNames;
}

/** The addresses that are `notify:`, or all others. */
export function sourcesOf(
  { replicate, database }: SlavedStoreOptions,
  areNotify: boolean,
): readonly Address[] {
  return [replicate].flat()
    .filter((address) => isNotify(address, database) === areNotify);
}

/**
 * Refuses addresses that can't be, before anything is opened.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT`.
 */
export function requireSources(options: SlavedStoreOptions): void {
  for (const address of sourcesOf(options, false)) requireAddress(address);
}

/** Makes the links; none is connected yet. */
export function createLinks(
  options: SlavedStoreOptions,
  { following, ephemeral, calls, voice, wireNames }: LinkParts,
): readonly Link[] {
  const { clock, logger } = following;
  const { random } = environmentOf(options);
  const { maxLineBytes = MAX_LINE_BYTES, tls, serverName } = options;
  const { redisPingIntervalMs } = options;
  return sourcesOf(options, false).map((address) => {
    const transport = rememberFailure(
      openTransport(address, clock, {
        maxLineBytes,
        tls,
        serverName,
        redisPingIntervalMs,
        logger,
      }),
    );
    const live = deferred<void>();
    const follower = new Follower({
      ...following,
      ephemeral: ephemeral.isEmpty ? undefined : new EphemeralFollower({
        streams: ephemeral,
        canAsk: calls.canAsk,
        fetch: calls.fetchUpdates,
        clock,
        random,
        logger,
      }),
      live: live.resolve,
    });
    const client = new ReplicationClient({
      ...voice.clientOptions,
      transport,
      receiver: follower,
      name: options.name ?? "slaved",
      wireNames,
      serverName: options.serverName,
      minBackoffMs: options.minBackoffMs,
      maxBackoffMs: options.maxBackoffMs,
      pingIntervalMs: options.pingIntervalMs,
      silenceTimeoutMs: options.silenceTimeoutMs,
      clock,
      random,
      logger,
    });
    const name = nameOfAddress(address);
    return { name, transport, live, follower, client: voice.add(client) };
  });
}
