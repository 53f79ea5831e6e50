/**
 * A slaved store's connections, and what each of them feeds.
 *
 * @module
 */

import { ReplicationClient } from "../replication/client.ts";
import { EphemeralFollower } from "../replication/ephemeral_follower.ts";
import type { EphemeralStreams } from "../replication/ephemeral_streams.ts";
import { Follower, type FollowerOptions } from "../replication/follower.ts";
import { MAX_LINE_BYTES } from "../runtime/limits.ts";
import { systemRandom } from "../runtime/random.ts";
import { type Deferred, deferred } from "../runtime/waiting.ts";
import type { WireNames } from "../streams/wire_names.ts";
import { openTransport } from "../transport/open_transport.ts";
import type { SlavedStoreOptions } from "./slaved_options.ts";
import type { WriterCalls } from "./writer_calls.ts";

/** One writer's connection. */
export interface Link {
  readonly url: string;
  /** Resolves once its first position is adopted. */
  readonly live: Deferred<void>;
  readonly follower: Follower;
  readonly client: ReplicationClient;
}

/** What links feed. */
export interface LinkParts {
  readonly following: Omit<FollowerOptions, "live" | "ephemeral">;
  readonly ephemeral: EphemeralStreams;
  readonly calls: WriterCalls;
  readonly wireNames: WireNames;
}

/** Makes the links; none is connected yet. */
export function createLinks(
  options: SlavedStoreOptions,
  { following, ephemeral, calls, wireNames }: LinkParts,
): readonly Link[] {
  const { clock, logger } = following;
  const { maxLineBytes = MAX_LINE_BYTES } = options;
  return [options.replicate].flat().map((url) => {
    const live = deferred<void>();
    const follower = new Follower({
      ...following,
      ephemeral: ephemeral.isEmpty ? undefined : new EphemeralFollower({
        streams: ephemeral,
        canAsk: calls.canAsk,
        fetch: calls.fetchUpdates,
        clock,
        random: systemRandom,
        logger,
      }),
      live: live.resolve,
    });
    const client = new ReplicationClient({
      transport: openTransport(url, clock, { maxLineBytes }),
      receiver: follower,
      name: options.name ?? "slaved",
      wireNames,
      serverName: options.serverName,
      minBackoffMs: options.minBackoffMs,
      maxBackoffMs: options.maxBackoffMs,
      pingIntervalMs: options.pingIntervalMs,
      silenceTimeoutMs: options.silenceTimeoutMs,
      clock,
      random: systemRandom,
      logger,
    });
    return { url, live, follower, client };
  });
}
