/**
 * Cached methods of one and of two arguments that cost nothing to load, and
 * the keys they are asked for.
 *
 * @module
 */

import { cached, Store } from "headwater";
import type { Database } from "./store.ts";

/** As many entries as any benchmark of the caches keeps. */
export const MAX_ENTRIES = 1_000_000;

/** The caches' names, as invalidations have them. */
export const USER_CACHE = "get_user";
export const TREE_CACHE = "get_tree_member";

/** One argument, and two. */
export class Members extends Store<Database> {
  @cached({ maxEntries: MAX_ENTRIES, name: USER_CACHE })
  getUser(id: string): Promise<string> {
    return Promise.resolve(id);
  }

  @cached({ maxEntries: MAX_ENTRIES, name: "get_member" })
  getMember(_room: string, user: string): Promise<string> {
    return Promise.resolve(user);
  }
}

/** Two arguments, of which the first alone names all entries that begin so. */
export class TreeMembers extends Store<Database> {
  @cached({ maxEntries: MAX_ENTRIES, name: TREE_CACHE, tree: true })
  getMember(_room: string, user: string): Promise<string> {
    return Promise.resolve(user);
  }
}

/** A key as services have them, of one piece, as if a database had sent it. */
export function userOf(number: number): string {
  return flat(`@user${number}:example.com`);
}

/** The same for rooms. */
export function roomOf(number: number): string {
  return flat(`!room${number}:example.com`);
}

/** Some things in any order. */
export function shuffle<Item>(items: readonly Item[]): Item[] {
  const shuffled = [...items];
  for (let index = shuffled.length - 1; index > 0; index -= 1) {
    const other = Math.floor(Math.random() * (index + 1));
    [shuffled[index], shuffled[other]] = [
      shuffled[other] as Item,
      shuffled[index] as Item,
    ];
  }
  return shuffled;
}

function flat(text: string): string {
  return JSON.parse(JSON.stringify(text));
}
