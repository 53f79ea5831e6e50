// A list is found again by its parts, no two lists are one, and what is
// dropped leaves nothing behind.

import t from "tap";
import { KeyTrie, type TrieKey } from "../../src/caches/key_trie.ts";
import type { KeyPart } from "../../src/streams/builtin_streams.ts";
import { seeded } from "../support/seeded.ts";

const LISTS: readonly (readonly KeyPart[])[] = [
  [],
  [null],
  ["a"],
  ["a", null],
  ["a", "b"],
  ["a", "b", "c"],
  ["a\u0000b"],
  ["a,b"],
  [1],
  ["1"],
  [true],
  ["true"],
  [false],
  [0],
  [""],
  ["", ""],
];

const find = (trie: KeyTrie, parts: readonly KeyPart[]) =>
  trie.find(parts, parts.length);

/** Puts an entry under a list's key. */
function use(
  trie: KeyTrie,
  parts: readonly KeyPart[],
): TrieKey {
  const key = trie.use(parts);
  key.slot = 1;
  return key;
}

t.test("KeyTrie.use() gives each list a key of its own", (t) => {
  const trie = new KeyTrie();
  const keys = LISTS.map((parts) => use(trie, parts));
  t.equal(new Set(keys).size, LISTS.length);
  for (const [index, parts] of LISTS.entries()) {
    t.equal(find(trie, parts), keys[index], JSON.stringify(parts));
    t.equal(use(trie, parts), keys[index], "the same when asked again");
  }
  t.end();
});

t.test("KeyTrie.find() gives no key that is only on the way", (t) => {
  const trie = new KeyTrie();
  use(trie, ["a", "b"]);
  t.equal(find(trie, ["a"]), undefined);
  t.equal(find(trie, []), undefined);
  t.equal(find(trie, ["a", "b", "c"]), undefined);
  t.end();
});

t.test("KeyTrie.drop() leaves no node, in any order", (t) => {
  const random = seeded(3);
  const wrong: string[] = [];
  for (let round = 0; round < 200; round += 1) {
    const trie = new KeyTrie();
    const root = rootOf(use(trie, ["x"]));
    const used = new Map([['["x"]', use(trie, ["x"])]]);
    for (let step = 0; step < 30; step += 1) {
      const parts = random.pick(LISTS);
      used.set(JSON.stringify(parts), use(trie, parts));
    }
    while (used.size > 0) {
      const [text, key] = random.pick([...used]);
      trie.drop(key);
      used.delete(text);
      if (find(trie, JSON.parse(text)) !== undefined) {
        wrong.push(`found ${text}`);
      }
      for (const [kept, keptKey] of used) {
        if (find(trie, JSON.parse(kept)) !== keptKey) {
          wrong.push(`lost ${kept}`);
        }
      }
    }
    if (root.children?.size) wrong.push(`round ${round}: nodes are left`);
  }
  t.same(wrong, []);
  t.end();
});

t.test("KeyTrie.under() looks at nothing beside what begins so", (t) => {
  const trie = new KeyTrie();
  const rooms = Array.from({ length: 1_000 }, (_, room) => `room ${room}`);
  const keys = rooms.flatMap((room) =>
    [1, 2, 3].map((user) => use(trie, [room, user, true]))
  );
  const root = rootOf(use(trie, ["room 0", 1, true]));
  const nodes = new Set(keys.flatMap((key) => [key, ...above(key)]));
  nodes.delete(root);
  const looked = new Set<TrieKey>();
  for (const node of nodes) {
    for (const name of ["part", "slot", "children"] as const) {
      const value = node[name];
      const get = () => {
        looked.add(node);
        return value;
      };
      Object.defineProperty(node, name, { get });
    }
  }
  t.equal(nodes.size, 1_000 + 2 * 3_000);
  t.equal(trie.under(["room 7"]).length, 3);
  t.equal(looked.size, 1 + 2 * 3, "the room, its users, and their entries");
  t.end();
});

/** The keys that a key is below of. */
function above(key: TrieKey): TrieKey[] {
  return key.parent === undefined ? [] : [key.parent, ...above(key.parent)];
}

function rootOf(key: TrieKey): TrieKey {
  return key.parent === undefined ? key : rootOf(key.parent);
}
