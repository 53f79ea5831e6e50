/**
 * A cache group as a chat server needs it: whoever joins or leaves a room
 * changes what several caches hold of the room. Writing a row for each of them
 * would send the same room's name many times over; the group's one row says
 * which members changed, and every reader knows what follows from it.
 *
 * It is Synapse's `cs_cache_fake`, in its first form.
 *
 * @module
 */

import { type CacheGroup, defineCacheGroup } from "headwater";
import { z } from "zod";

/** The room, then the members whose membership changed. */
export type RoomChange = [room: string, ...members: string[]];

/** What a change of a room's members invalidates. */
export const roomGroup: CacheGroup<RoomChange> = defineCacheGroup(
  "cs_cache_fake",
  z.tuple([z.string()]).rest(z.string()),
  ([room, ...members]) => [
    ...hostsOf(members).map((host) =>
      ["is_host_joined", [room, host]] as const
    ),
    ["get_users_in_room", [room]],
    ["get_room_summary", [room]],
    ["get_current_state_ids", [room]],
  ],
);

/** `@bob:example.com` is at home on `example.com`. */
function hostsOf(members: readonly string[]): string[] {
  return [
    ...new Set(members.map((member) => member.slice(member.indexOf(":") + 1))),
  ];
}
