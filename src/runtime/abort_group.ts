/**
 * Many waits on one signal.
 *
 * @module
 */

/**
 * Listens once to each signal, whatever waits for it: a signal looks through
 * all its listeners whenever one comes or goes.
 */
export class AbortGroup {
  readonly #waiting = new Map<AbortSignal, Set<() => void>>();

  /**
   * Calls `action` once the signal, not aborted yet, is.
   *
   * @returns Takes it back.
   */
  add(signal: AbortSignal, action: () => void): () => void {
    const actions = this.#waiting.get(signal) ?? this.#listen(signal);
    actions.add(action);
    return () => {
      actions.delete(action);
      if (actions.size > 0 || this.#waiting.get(signal) !== actions) return;
      this.#waiting.delete(signal);
      signal.removeEventListener("abort", this.#aborted);
    };
  }

  #listen(signal: AbortSignal): Set<() => void> {
    const actions = new Set<() => void>();
    this.#waiting.set(signal, actions);
    signal.addEventListener("abort", this.#aborted, { once: true });
    return actions;
  }

  readonly #aborted = (event: Event) => {
    for (const [signal, actions] of this.#waiting) {
      if (signal !== event.target) continue;
      this.#waiting.delete(signal);
      for (const action of actions) action();
    }
  };
}
