/**
 * Loads that several wait for, each as long as it wants to.
 *
 * @module
 */

import { abortable } from "../runtime/waiting.ts";

/** A load that runs, and who waits for it. */
interface SharedLoad {
  readonly controller: AbortController;
  waiting: number;
  /** Somebody waits who can't give up. */
  isPinned: boolean;
  /** Drops it, so that nobody joins it any more. */
  readonly abandon: () => void;
}

/**
 * Gives each caller of a shared load a wait of their own. A caller whose signal
 * aborts waits no more; the load itself is aborted when nobody waits for it.
 */
export class SharedLoads {
  readonly #running = new Map<Promise<unknown>, SharedLoad>();

  /**
   * Begins a load.
   *
   * @param begin Begins it, with the signal that ends it when nobody waits.
   * @param abandon Is called before the load is aborted.
   * @returns The load's promise. Now {@linkcode wait} for it.
   */
  begin<Value>(
    begin: (signal: AbortSignal) => Promise<Value>,
    abandon: (loading: Promise<Value>) => void,
  ): Promise<Value> {
    const controller = new AbortController();
    const loading = begin(controller.signal);
    this.#running.set(loading, {
      controller,
      waiting: 0,
      isPinned: false,
      abandon: () => abandon(loading),
    });
    const end = () => void this.#running.delete(loading);
    loading.then(end, end);
    return loading;
  }

  /** Whether a load was begun here, and runs. */
  has(loading: Promise<unknown>): boolean {
    return this.#running.has(loading);
  }

  /**
   * Waits for a load, running or not.
   *
   * @param loading Its promise.
   * @param signal Ends this wait.
   * @returns The load's promise, or one that rejects with the signal's reason.
   */
  wait<Value>(
    loading: Promise<Value>,
    signal: AbortSignal | undefined,
  ): Promise<Value> {
    const load = this.#running.get(loading);
    if (load === undefined) return loading;
    if (signal === undefined) {
      load.isPinned = true;
      return loading;
    }
    load.waiting += 1;
    const leave = () => this.#leave(loading, load, signal.reason);
    return abortable(loading, signal, leave);
  }

  #leave(loading: Promise<unknown>, load: SharedLoad, reason: unknown): void {
    load.waiting -= 1;
    if (load.waiting > 0 || load.isPinned || !this.#running.has(loading)) {
      return;
    }
    load.abandon();
    load.controller.abort(reason);
  }
}
