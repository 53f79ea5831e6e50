/**
 * A slaved store's connections, and what each of them feeds.
 *
 * @module
 */

import { isNotify } from "../database/notify_address.ts";
import { ReplicationClient } from "../replication/client.ts";
import { EphemeralFollower } from "../replication/ephemeral_follower.ts";
import type { EphemeralStreams } from "../replication/ephemeral_streams.ts";
import { Follower } from "../replication/follower.ts";
import type { FollowerOptions } from "../replication/follower_options.ts";
import type { LogIdentity } from "../replication/log_identity.ts";
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
import { rememberFailure, type RememberingTransport } from "./last_failure.ts";
import type { AwaitedLink } from "./open_when_there.ts";
import type { SlavedVoice } from "./slaved_commands.ts";
import type { SlavedStoreOptions } from "./slaved_options.ts";
import { connectingOf, transportOptionsOf } from "./upstream_options.ts";
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
  readonly identity: LogIdentity;
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

/** Where a writer is, and what carries its lines. */
export interface Source {
  readonly name: string;
  readonly transport: RememberingTransport;
}

/**
 * Makes what carries writers' lines; nothing is connected yet.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for keys that can't be used.
 */
export function openSources(options: SlavedStoreOptions): readonly Source[] {
  const { clock } = environmentOf(options);
  const transport = transportOptionsOf(options);
  return sourcesOf(options, false).map((address) => ({
    name: nameOfAddress(address),
    transport: rememberFailure(openTransport(address, clock, transport)),
  }));
}

/** Makes the links; none is connected yet. */
export function createLinks(
  options: SlavedStoreOptions,
  sources: readonly Source[],
  { following, ephemeral, calls, voice, wireNames, identity }: LinkParts,
): readonly Link[] {
  const connecting = connectingOf(options);
  const { clock, random, logger } = connecting;
  const refresh = async () => await following.refresh();
  return sources.map(({ name, transport }) => {
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
      isShared: () => client.isShared,
      source: name,
      live: live.resolve,
    });
    const client: ReplicationClient = new ReplicationClient({
      ...connecting,
      ...voice.clientOptions,
      transport,
      receiver: follower,
      name: options.name ?? "slaved",
      wireNames,
      maxLineBytes: options.maxLineBytes ?? MAX_LINE_BYTES,
      givenUp: transport.givenUp,
      logId: () => identity.id,
      // The reader's own database may be another by now.
      otherLog: () => void refresh().catch(() => {}),
    });
    return { name, transport, live, follower, client: voice.add(client) };
  });
}
