/**
 * The special names of newer Synapse releases, beside the first form of
 * `cs_cache_fake` in `cs_cache_fake.ts`: what each stands for in a process that
 * has caches of these names. Leave out those that yours has not: an
 * invalidation of a cache that isn't there does nothing.
 *
 * @module
 */

import {
  type CacheGroup,
  defineCacheGroup,
  type Invalidation,
  type KeyPart,
} from "headwater";
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
    ["get_room_summary", [room]],
    ["get_partial_current_state_ids", [room]],
    ["get_room_type", [room]],
    ["get_room_encryption", [room]],
    [SLIDING_SYNC_ROOMS, null],
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
    ...membersOf(room),
    // Trees by room: what begins with it goes.
    ["is_host_joined", [room]],
    ["is_host_invited", [room]],
    ["get_user_in_room_with_profile", [room]],
    ["get_rooms_for_user", null],
    ["_get_rooms_for_local_user_where_membership_is_inner", null],
    ["get_room_summary", [room]],
    ["get_partial_current_state_ids", [room]],
    ["get_room_type", [room]],
    ["get_room_encryption", [room]],
    [SLIDING_SYNC_ROOMS, null],
  ],
);

/**
 * Signatures of devices. Its parts are JSON in text, `["@user","DEVICE"]`, one
 * entry each; what can't be read is passed over, as Synapse does.
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

/** By room where the cache is a tree that begins with it, else as a whole. */
function eventsOf(room: string): Invalidation[] {
  return [
    ["have_seen_event", [room]],
    ["get_latest_event_ids_in_room", [room]],
    ["get_unread_event_push_actions_by_room_for_user", [room]],
    ["get_threads", [room]],
    ["get_event", null],
    ["get_event_ordering", null],
    ["get_applicable_edit", null],
    ["get_thread_summary", null],
    ["get_invited_rooms_for_local_user", null],
  ];
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
