// The special names of Synapse's caches stream, as the examples expand them, in
// a process that has some of the caches.

import t from "tap";
import { roomGroup } from "../../examples/cs_cache_fake.ts";
import {
  deletedGroup,
  membershipChanges,
  purgedGroup,
  signaturesGroup,
  stateChanges,
  stateGroup,
} from "../../examples/synapse_groups.ts";
import { type CacheGroup, SlavedStore, Store, WriterStore } from "../../mod.ts";
import { expandGroup } from "../../src/caches/cache_groups.ts";
import { CacheRegistry } from "../../src/caches/cache_registry.ts";
import { cachedFunction } from "../../src/caches/mod.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import type { KeyPart } from "../../src/streams/builtin_streams.ts";
import { keyedCache } from "../support/caches.ts";
import { until } from "../support/conditions.ts";
import { startFakeWriter } from "../support/fake_writer.ts";
import { temporaryDatabase } from "../support/folders.ts";

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

/** What a key of a group stands for; `*` is a whole cache. */
function namesOf(group: CacheGroup, key: readonly KeyPart[]): string[] {
  return expandGroup(group, key).map(([name, parts]) =>
    [name, ...parts ?? ["*"]].join(" ")
  );
}

/** Two caches of a room, which count their loads together. */
class RoomReads extends Store<unknown> {
  #loads = 0;

  readonly users = this.#counted("get_users_in_room");
  readonly summary = this.#counted("get_room_summary");

  #counted(name: string) {
    return cachedFunction(
      { store: this, name, maxEntries: 10 },
      (_room: string) => {
        this.#loads += 1;
        return Promise.resolve(this.#loads);
      },
    );
  }
}

/** What is left after rows of a group, by cache. */
function left(group: CacheGroup, keys: readonly (readonly KeyPart[])[]) {
  const registry = new CacheRegistry([group], silentLogger);
  const caches = Object.entries(ENTRIES).map(([name, entries]) => {
    const tree = name === "have_seen_event";
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

t.test("cs_cache_fake stands for these, and no others", (t) => {
  const always = [
    "get_room_summary !r",
    "get_partial_current_state_ids !r",
    "get_room_type !r",
    "get_room_encryption !r",
    "get_sliding_sync_rooms_for_user_from_membership_snapshots *",
  ];
  t.same(namesOf(stateGroup, ["!r"]), always);
  t.same(namesOf(stateGroup, ["!r", "@a:x", "@b:x", "@c:y:80"]), [
    "is_host_joined !r x",
    "is_host_invited !r x",
    "is_host_joined !r y:80",
    "is_host_invited !r y:80",
    "get_users_in_room !r",
    "get_current_hosts_in_room !r",
    "get_users_in_room_with_profiles !r",
    "get_number_joined_users_in_room !r",
    "get_member_counts !r",
    "get_local_users_in_room !r",
    "does_pair_of_users_share_a_room *",
    ...["@a:x", "@b:x", "@c:y:80"].flatMap((user) => [
      `get_user_in_room_with_profile !r ${user}`,
      `get_rooms_for_user ${user}`,
      `_get_rooms_for_local_user_where_membership_is_inner ${user}`,
      `get_sliding_sync_rooms_for_user_from_membership_snapshots ${user}`,
    ]),
    ...always,
  ]);
  t.end();
});

t.test("dr_cache_fake stands for ph_cache_fake's, and all of cs_cache_fake's", (t) => {
  const deleted = namesOf(deletedGroup, ["!r"]);
  const lacks = (names: readonly string[]) =>
    names.filter((name) => {
      const [cache] = name.split(" ");
      return !deleted.includes(name) && !deleted.includes(`${cache} *`);
    });
  t.same(lacks(namesOf(purgedGroup, ["!r"])), []);
  t.same(lacks(namesOf(stateGroup, ["!r", "@a:x"])), []);
  // What is found by a user as well, whom nobody names here, goes as a whole.
  t.ok(deleted.includes("is_host_joined *"));
  t.ok(deleted.includes("get_user_in_room_with_profile *"));
  t.ok(deleted.includes("get_room_version_id !r"));
  t.end();
});

t.test("a reader of the wire drops entries, and marks who has changed", async (t) => {
  const database = temporaryDatabase(t);
  const declared = {
    database,
    groups: [stateGroup, purgedGroup, deletedGroup, signaturesGroup],
    changeCaches: [stateChanges, membershipChanges],
  };
  const writer = await WriterStore.open(declared);
  t.teardown(() => writer.close());
  for (let token = 1; token <= 5; token += 1) {
    await writer.transaction("write", (txn) => {
      txn.invalidateAll("nothing");
      return Promise.resolve();
    });
  }
  const before = writer.position;
  const fake = await startFakeWriter(t);
  fake.answer = "POSITION caches master 5 5\n";
  const slaved = await SlavedStore.connect({
    ...declared,
    replicate: fake.url,
    pollIntervalMs: 0,
  });
  t.teardown(() => slaved.close());
  const { users, summary } = slaved.attach(RoomReads);
  const loads = async () => [
    await users("!r:real.test"),
    await users("!other:real.test"),
    await summary("!r:real.test"),
  ];
  const receive = async (token: number, line: string) => {
    fake.send(`${line}POSITION caches master ${token} ${token}\n`);
    const isThere = () => slaved.position.get("master") === token;
    await until(`token ${token} is there`, isThere);
  };
  t.same(await loads(), [1, 2, 3]);
  const rooms = slaved.changes(stateChanges);
  const members = slaved.changes(membershipChanges);

  await receive(
    6,
    'RDATA caches master 6 ["cs_cache_fake",["!r:real.test","@alice:real.test"],1795208004503]\n',
  );
  t.same(await loads(), [4, 2, 5]);
  t.same(rooms.allChangedSince(before), ["!r:real.test"]);
  t.same(members.allChangedSince(before), ["@alice:real.test"]);
  t.same(rooms.lastChange("!r:real.test"), new Map([["master", 6]]));

  await receive(
    8,
    'RDATA caches master batch ["cs_cache_fake",["!r:real.test"],1795208004503]\n' +
      'RDATA caches master 8 ["ph_cache_fake",["!purged:real.test"],1795208004503]\n',
  );
  t.same(await loads(), [4, 2, 6], "no member has changed");
  t.same(rooms.lastChange("!r:real.test"), new Map([["master", 8]]));
  t.equal(rooms.hasChanged("!purged:real.test", before), false);
  t.same(members.lastChange("@alice:real.test"), new Map([["master", 6]]));

  await receive(
    9,
    'RDATA caches master 9 ["dr_cache_fake",["!r:real.test"],1795208004503]\n',
  );
  t.same(await loads(), [7, 2, 8]);
  t.same(rooms.lastChange("!r:real.test"), new Map([["master", 9]]));
  t.equal(slaved.stats.flushes, 1, "that of the start");

  // Of what can't be, everything may have changed.
  const reached = slaved.position;
  await receive(10, 'RDATA caches master 10 ["cs_cache_fake",null,17]\n');
  t.same(await loads(), [9, 10, 11]);
  t.equal(rooms.hasChanged("!any:real.test", reached), true);
});

t.test("ph_cache_fake: all that is known of a room's events", (t) => {
  t.same(left(purgedGroup, [["!r"]]).gone, [
    "get_rooms_for_user @a:a.org",
    "get_rooms_for_user @b:b.org",
    "get_event $1",
    "have_seen_event !r $1",
  ]);
  t.end();
});

t.test("dr_cache_fake: all that is known of a room", (t) => {
  t.same(left(deletedGroup, [["!r"]]).gone, [
    "is_host_joined !r a.org",
    "is_host_joined !r b.org",
    "is_host_joined !s a.org",
    "is_host_invited !r a.org",
    "is_host_invited !s a.org",
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
