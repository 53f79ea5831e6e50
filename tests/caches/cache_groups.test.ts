// A group's key is checked, and so is what it stands for.

import t from "tap";
import { z } from "zod";
import {
  defineCacheGroup,
  expandGroup,
} from "../../src/caches/cache_groups.ts";
import { bindCache } from "../../src/caches/cached_method.ts";

const getState = (_room: string) => Promise.resolve();
bindCache(getState, { name: "get_state", isTree: false });

/** As in Synapse: the state of a room, for some of its members. */
const state = defineCacheGroup(
  "cs_cache_fake",
  z.tuple([z.string()]).rest(z.string()),
  ([roomId, ...members]) => [
    [getState, [roomId]],
    ["get_room_summary", null],
    ...members.map((member) => ["get_rooms", [member]] as const),
  ],
);

t.test("expandGroup() gives caches by name, and their keys", (t) => {
  t.same(expandGroup(state, ["!r", "@a", "@b"]), [
    ["get_state", ["!r"]],
    ["get_room_summary", null],
    ["get_rooms", ["@a"]],
    ["get_rooms", ["@b"]],
  ]);
  t.end();
});

t.test("expandGroup() refuses a key that isn't the group's", (t) => {
  for (const key of [null, [], [1], ["!r", null]]) {
    t.throws(() => expandGroup(state, key), {
      code: "KEY_INVALID",
      message: /^Cannot invalidate group "cs_cache_fake" with key /,
    }, JSON.stringify(key));
  }
  t.end();
});

t.test("expandGroup() refuses what no entry can have as a key", (t) => {
  const key = z.tuple([z.string()]);
  const wrong: [string, unknown][] = [
    ["a key that is no list", "!r"],
    ["a part that is no number", [NaN]],
    ["a part that is an object", [{}]],
  ];
  for (const [what, parts] of wrong) {
    const group = defineCacheGroup("g", key, () => [["c", parts as string[]]]);
    t.throws(() => expandGroup(group, ["a"]), { code: "KEY_INVALID" }, what);
  }
  const undecorated = (_id: string) => Promise.resolve();
  const group = defineCacheGroup("g", key, () => [[undecorated, ["a"]]]);
  t.throws(() => expandGroup(group, ["a"]), { code: "NOT_CACHED" });
  t.end();
});

t.test("defineCacheGroup() wants a name", (t) => {
  for (const name of ["", undefined, 5]) {
    t.throws(
      () => defineCacheGroup(name as string, z.tuple([]), () => []),
      { code: "INVALID_ARGUMENT" },
    );
  }
  t.end();
});
