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

function rootOf(key: TrieKey): TrieKey {
  return key.parent === undefined ? key : rootOf(key.parent);
}
