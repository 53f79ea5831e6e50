/**
 * The order in which entries were last used.
 *
 * @module
 */

/** What has a place in the order: what was used after it, and before. */
export interface Linked<Node> {
  newer: Node;
  older: Node;
}

/**
 * A ring through an anchor: its `older` is what was used last, its `newer` what
 * is to go first. The links are the entries' own: a use writes them, and looks
 * nothing up.
 */
export class Recency<Node extends Linked<Node>> {
  readonly #anchor: Node;

  /** Constructs an empty order, around a node that is no entry. */
  constructor(anchor: Node) {
    this.#anchor = anchor;
    this.clear();
  }

  /** What was not used for longest; `undefined` if there is nothing. */
  get oldest(): Node | undefined {
    const { newer } = this.#anchor;
    return newer === this.#anchor ? undefined : newer;
  }

  /** Puts one in, as the one used last. */
  add(node: Node): void {
    const anchor = this.#anchor;
    const last = anchor.older;
    node.newer = anchor;
    node.older = last;
    last.newer = node;
    anchor.older = node;
  }

  /** Takes one out. */
  remove(node: Node): void {
    const { newer, older } = node;
    newer.older = older;
    older.newer = newer;
    // Whoever rests at it must not keep alive all that goes after it.
    node.newer = node;
    node.older = node;
  }

  /** One is used: `remove` and `add` in one, as it happens at every hit. */
  use(node: Node): void {
    const anchor = this.#anchor;
    const last = anchor.older;
    if (last === node) return;
    const { newer, older } = node;
    newer.older = older;
    older.newer = newer;
    node.newer = anchor;
    node.older = last;
    last.newer = node;
    anchor.older = node;
  }

  /**
   * All of them, in their order as it is when each is come to. It ends at one
   * that is taken out while the walk rests there.
   */
  *walk(isOldestFirst: boolean): Generator<Node, void> {
    const next = (node: Node) => isOldestFirst ? node.newer : node.older;
    let node = next(this.#anchor);
    while (node !== this.#anchor) {
      yield node;
      const following = next(node);
      if (following === node) return;
      node = following;
    }
  }

  /** Takes all out. */
  clear(): void {
    this.#anchor.newer = this.#anchor;
    this.#anchor.older = this.#anchor;
  }
}
