/**
 * Entities in the order of their last changes.
 *
 * @module
 */

/** One entity's last change. */
export interface Change<Entity> {
  readonly entity: Entity;
  token: number;
  older: Change<Entity> | undefined;
  newer: Change<Entity> | undefined;
}

/**
 * A list of changes by token, the oldest first; those of one token stand beside
 * each other.
 *
 * - Cost: adding and removing are O(1), as long as tokens come about in order.
 */
export class ChangeOrder<Entity> {
  #oldest: Change<Entity> | undefined;
  #newest: Change<Entity> | undefined;
  #positions = 0;

  /** The change with the lowest token. */
  get oldest(): Change<Entity> | undefined {
    return this.#oldest;
  }

  /** The change with the highest token. */
  get newest(): Change<Entity> | undefined {
    return this.#newest;
  }

  /** How many tokens they have. */
  get positions(): number {
    return this.#positions;
  }

  /** Puts a change behind the last one that is not newer: mostly at the end. */
  add(change: Change<Entity>): void {
    let older = this.#newest;
    while (older !== undefined && older.token > change.token) {
      older = older.older;
    }
    const newer = older === undefined ? this.#oldest : older.newer;
    change.older = older;
    change.newer = newer;
    if (older === undefined) this.#oldest = change;
    else older.newer = change;
    if (newer === undefined) this.#newest = change;
    else newer.older = change;
    // One of the same token would stand right before it.
    if (older?.token !== change.token) this.#positions += 1;
  }

  /** Takes a change out that is there. */
  remove({ older, newer, token }: Change<Entity>): void {
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    if (older?.token !== token && newer?.token !== token) this.#positions -= 1;
  }
}
