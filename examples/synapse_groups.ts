/**
 * The special names of newer Synapse releases, beside the first form of
 * `cs_cache_fake` in `cs_cache_fake.ts`: what each stands for in a process that
 * has caches of these names, and which change caches its rows mark. Leave out
 * those that yours has not: an invalidation of a cache that isn't there does
 * nothing.
 *
 * @module
 */

import {
  type CacheGroup,
  cachesStream,
  defineCacheGroup,
  type Invalidation,
  type KeyPart,
  type RowOf,
} from "headwater";
import { defineChangeCache, type DefinedChangeCache } from "headwater/caches";
import { z } from "zod";

/** The room, then the members whose membership changed. */
export type RoomChange = [room: string, ...members: string[]];

/** What a change of a room's state invalidates. */
export const stateGroup: CacheGroup<RoomChange> = defineCacheGroup(
  "cs_cache_fake",
  z.tuple([z.string()]).rest(z.string()),
  ([room, ...members]) => [
    ...each(hostsOf(members), (host) => [
      ["is_host_joined", [room, host]],
      ["is_host_invited", [room, host]],
    ]),
    ...members.length === 0 ? [] : membersOf(room),
    ...each(members, (member) => [
      ["get_user_in_room_with_profile", [room, member]],
      ["get_rooms_for_user", [member]],
      ["_get_rooms_for_local_user_where_membership_is_inner", [member]],
      [SLIDING_SYNC_ROOMS, [member]],
    ]),
    ...stateOf(room),
  ],
);

/** A room. */
export type Room = [room: string];

/** What invalidates all that is known of a room's events: its history was purged. */
export const purgedGroup: CacheGroup<Room> = defineCacheGroup(
  "ph_cache_fake",
  z.tuple([z.string()]),
  ([room]) => eventsOf(room),
);

/** What invalidates all that is known of a room: it was deleted. */
export const deletedGroup: CacheGroup<Room> = defineCacheGroup(
  "dr_cache_fake",
  z.tuple([z.string()]),
  ([room]) => [
    ...eventsOf(room),
    ...roomOf(room),
    ...membersOf(room),
    // Nobody knows who they were, and these are found by whole keys.
    ...whole(
      "is_host_joined",
      "is_host_invited",
      "get_user_in_room_with_profile",
      "get_rooms_for_user",
      "_get_rooms_for_local_user_where_membership_is_inner",
    ),
    ...stateOf(room),
  ],
);

/**
 * Signatures of devices. Its parts are JSON in text, `["@user","DEVICE"]`, one
 * entry each; what can't be read is passed over, as Synapse does. The cache is
 * called otherwise than the group: here no name is both.
 */
export const signaturesGroup: CacheGroup<string[]> = defineCacheGroup(
  "_get_e2e_cross_signing_signatures_for_device",
  z.array(z.string()),
  (devices) =>
    each(devices, (text) => {
      const device = parseDevice(text);
      return device === undefined ? [] : [["get_device_signatures", device]];
    }),
);

type CachesRow = RowOf<typeof cachesStream>;

/**
 * Rooms whose state has changed, at the tokens of their rows of `caches`: what
 * sync asks before it looks for a room's state in the database. For the option
 * `changeCaches`.
 */
export const stateChanges: DefinedChangeCache<CachesRow, string> =
  defineChangeCache("_curr_state_delta_stream_cache", {
    stream: cachesStream,
    entities: ([name, key]) => {
      if (name === deletedGroup.name) return deletedGroup.schema.parse(key);
      return name === stateGroup.name ? [changeOf(key)[0]] : [];
    },
  });

/** Users whose membership of some room has changed. */
export const membershipChanges: DefinedChangeCache<CachesRow, string> =
  defineChangeCache("_membership_stream_cache", {
    stream: cachesStream,
    entities: ([name, key]) =>
      name === stateGroup.name ? changeOf(key).slice(1) : [],
  });

/** Throws for what is no key of the group: then everything may have changed. */
function changeOf(key: CachesRow[1]): RoomChange {
  return stateGroup.schema.parse(key);
}

const SLIDING_SYNC_ROOMS =
  "get_sliding_sync_rooms_for_user_from_membership_snapshots";

/** What depends on who is in a room. */
function membersOf(room: string): Invalidation[] {
  return [
    ["get_users_in_room", [room]],
    ["get_current_hosts_in_room", [room]],
    ["get_users_in_room_with_profiles", [room]],
    ["get_number_joined_users_in_room", [room]],
    ["get_member_counts", [room]],
    ["get_local_users_in_room", [room]],
    ["does_pair_of_users_share_a_room", null],
  ];
}

/** What depends on a room's state, whatever of it has changed. */
function stateOf(room: string): Invalidation[] {
  return [
    ["get_room_summary", [room]],
    ["get_partial_current_state_ids", [room]],
    ["get_room_type", [room]],
    ["get_room_encryption", [room]],
    [SLIDING_SYNC_ROOMS, null],
  ];
}

/** By room where the cache is a tree that begins with it, else as a whole. */
function eventsOf(room: string): Invalidation[] {
  return [
    ["have_seen_event", [room]],
    ["get_latest_event_ids_in_room", [room]],
    ["get_unread_event_push_actions_by_room_for_user", [room]],
    ["get_relations_for_event", [room]],
    ["get_threads", [room]],
    ["get_metadata_for_event", [room]],
    ["_get_max_event_pos", [room]],
    ...whole(
      "get_event",
      "get_event_ordering",
      "is_partial_state_event",
      "get_applicable_edit",
      "get_references_for_event",
      "get_thread_id",
      "get_thread_id_for_receipts",
      "get_thread_summary",
      "get_thread_participated",
      "get_invited_rooms_for_local_user",
      "get_rooms_for_user",
      "_get_rooms_for_local_user_where_membership_is_inner",
      "did_forget",
      "get_forgotten_rooms_for_user",
      "_get_membership_from_event_id",
      "_get_joined_profile_from_event_id",
      "_get_state_group_for_event",
    ),
  ];
}

/** What else is known of a room. */
function roomOf(room: string): Invalidation[] {
  return [
    ["get_room_version_id", [room]],
    ["get_aliases_for_room", [room]],
    ["get_retention_policy_for_room", [room]],
    ["is_room_blocked", [room]],
    ["is_partial_state_room", [room]],
    ["_get_partial_state_servers_at_join", [room]],
    ["get_current_hosts_in_room_ordered", [room]],
    ["_get_linearized_receipts_for_room", [room]],
    ...whole(
      "get_account_data_for_room",
      "get_account_data_for_room_and_type",
      "_get_forward_extremeties_for_room",
    ),
  ];
}

function whole(...caches: string[]): Invalidation[] {
  return caches.map((cache) => [cache, null]);
}

function each(
  items: readonly string[],
  expand: (item: string) => Invalidation[],
): Invalidation[] {
  return items.flatMap(expand);
}

/** `@bob:example.com` is at home on `example.com`. */
function hostsOf(members: readonly string[]): string[] {
  return [
    ...new Set(members.map((member) => member.slice(member.indexOf(":") + 1))),
  ];
}

const device = z.tuple([z.string(), z.string()]);

function parseDevice(text: string): KeyPart[] | undefined {
  try {
    return device.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
