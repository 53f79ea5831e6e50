/**
 * What is called from within a load.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";

const scope = new AsyncLocalStorage<true>();
let isNeeded = false;

/** Something old may be served from now on: until then it costs a load nothing. */
export function scopeLoads(): void {
  isNeeded = true;
}

/**
 * Begins a load. What it gives is kept until it is invalidated, so whatever it
 * calls, at once or after any `await`, must give it nothing old.
 */
export function beginLoad<Value>(start: () => Value): Value {
  return !isNeeded || isInLoad() ? start() : scope.run(true, start);
}

/** Whether the caller is a load, of whichever cache, or was called by one. */
export function isInLoad(): boolean {
  return scope.getStore() === true;
}
