// The special names of Synapse's caches stream, as the examples expand them, in
// a process that has some of the caches.

import t from "tap";
import { roomGroup } from "../../examples/cs_cache_fake.ts";
import {
  deletedGroup,
  purgedGroup,
  signaturesGroup,
  stateGroup,
} from "../../examples/synapse_groups.ts";
import type { CacheGroup } from "../../mod.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import type { KeyPart } from "../../src/streams/builtin_streams.ts";
import { keyedCache } from "../support/caches.ts";

const ENTRIES: Record<string, readonly (readonly KeyPart[])[]> = {
  is_host_joined: [["!r", "a.org"], ["!r", "b.org"], ["!s", "a.org"]],
  is_host_invited: [["!r", "a.org"], ["!s", "a.org"]],
  get_users_in_room: [["!r"], ["!s"]],
  get_current_state_ids: [["!r"], ["!s"]],
  does_pair_of_users_share_a_room: [["@a:a.org", "@b:b.org"]],
  get_rooms_for_user: [["@a:a.org"], ["@b:b.org"]],
  get_room_summary: [["!r"], ["!s"]],
  get_event: [["$1"]],
  have_seen_event: [["!r", "$1"], ["!s", "$2"]],
  get_device_signatures: [["@a:a.org", "D"], ["@a:a.org", "E"]],
};

/** What is left after rows of a group, by cache. */
function left(group: CacheGroup, keys: readonly (readonly KeyPart[])[]) {
  const registry = new CacheRegistry([group], silentLogger);
  const caches = Object.entries(ENTRIES).map(([name, entries]) => {
    const tree = name.startsWith("is_host") || name === "have_seen_event";
    const cache = keyedCache(name, { maxEntries: 10, tree });
    registry.register(cache);
    for (const key of entries) void cache.load(key, () => Promise.resolve(1));
    return cache;
  });
  for (const key of keys) registry.apply(group.name, key);
  const gone = caches.flatMap((cache) =>
    (ENTRIES[cache.name] ?? []).filter((key) => cache.get(key) === undefined)
      .map((key) => `${cache.name} ${key.join(" ")}`)
  );
  return { gone, flushes: registry.stats.flushes };
}

t.test("cs_cache_fake, in its first form", (t) => {
  t.same(left(roomGroup, [["!r", "@a:a.org"]]), {
    gone: [
      "is_host_joined !r a.org",
      "get_users_in_room !r",
      "get_current_state_ids !r",
      "get_room_summary !r",
    ],
    flushes: 0,
  });
  t.end();
});

t.test("cs_cache_fake, as it is now", (t) => {
  t.same(left(stateGroup, [["!r", "@a:a.org", "@c:a.org"]]).gone, [
    "is_host_joined !r a.org",
    "is_host_invited !r a.org",
    "get_users_in_room !r",
    "does_pair_of_users_share_a_room @a:a.org @b:b.org",
    "get_rooms_for_user @a:a.org",
    "get_room_summary !r",
  ]);
  t.same(left(stateGroup, [["!r"]]).gone, ["get_room_summary !r"]);
  t.end();
});

t.test("ph_cache_fake: all that is known of a room's events", (t) => {
  t.same(left(purgedGroup, [["!r"]]).gone, [
    "get_event $1",
    "have_seen_event !r $1",
  ]);
  t.end();
});

t.test("dr_cache_fake: all that is known of a room", (t) => {
  t.same(left(deletedGroup, [["!r"]]).gone, [
    "is_host_joined !r a.org",
    "is_host_joined !r b.org",
    "is_host_invited !r a.org",
    "get_users_in_room !r",
    "does_pair_of_users_share_a_room @a:a.org @b:b.org",
    "get_rooms_for_user @a:a.org",
    "get_rooms_for_user @b:b.org",
    "get_room_summary !r",
    "get_event $1",
    "have_seen_event !r $1",
  ]);
  t.end();
});

t.test("signatures: what can't be read is passed over", (t) => {
  t.same(
    left(signaturesGroup, [['["@a:a.org","D"]', "nonsense", '["@a:a.org"]']]),
    { gone: ["get_device_signatures @a:a.org D"], flushes: 0 },
  );
  t.end();
});

t.test("a group without a key clears all: nobody can tell what it means", (t) => {
  const registry = new CacheRegistry([roomGroup], silentLogger);
  registry.apply(roomGroup.name, null);
  t.match(registry.stats, { unexpandable: 1, flushes: 1 });
  t.end();
});
