/**
 * The tables and reads that the benchmarks share.
 *
 * @module
 */

import { cached, Store } from "headwater";

export interface Database {
  users: { id: number; name: string; version: number };
}

/** A method that costs nothing to load, so that only the cache is measured. */
export class Names extends Store<Database> {
  @cached({ maxEntries: 200_000, name: "get_user_by_id" })
  getName(id: string): Promise<string> {
    return Promise.resolve(id);
  }
}

/** A key as services have them; flat, as if it had come from the database. */
export function keyOf(number: number): string {
  return JSON.parse(JSON.stringify(`@user${number}:example.com`));
}
