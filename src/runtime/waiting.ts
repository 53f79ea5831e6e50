/**
 * Waiting with a deadline and a signal, without leaving anything behind.
 *
 * @module
 */

import type { CancelTimer, Clock } from "./clock.ts";

/** How long a call may wait. */
export interface WaitOptions {
  /** Ends the wait; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** The longest wait, in ms. */
  readonly timeoutMs?: number | undefined;
}

/** A promise and the functions that settle it. */
export interface Deferred<Value> {
  readonly promise: Promise<Value>;
  readonly resolve: (value: Value) => void;
  readonly reject: (reason: unknown) => void;
}

/** Makes a {@linkcode Deferred}. */
export function deferred<Value>(): Deferred<Value> {
  let resolve!: (value: Value) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<Value>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** Resolves with a promise that never rejects, or once time has passed. */
export async function soon(
  promise: Promise<void>,
  clock: Clock,
  timeoutMs: number,
): Promise<void> {
  let cancel: CancelTimer | undefined;
  const late = new Promise<void>((resolve) => {
    cancel = clock.schedule(resolve, timeoutMs);
  });
  await Promise.race([promise, late]);
  cancel?.();
}

/**
 * Waits until time has passed, or a signal says to stop.
 *
 * @param clock The clock that tells.
 * @param delayMs How long, in ms.
 * @param signal Ends the pause early; the promise then resolves all the same.
 */
export function pause(
  clock: Clock,
  delayMs: number,
  signal?: AbortSignal,
): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.schedule(done, delayMs);
    signal?.addEventListener("abort", done);
  });
}
