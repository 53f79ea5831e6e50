/**
 * Waiting with a deadline and a signal, without leaving anything behind.
 *
 * @module
 */

import type { CancelTimer, Clock } from "./clock.ts";
import type { OptionNames } from "./option_names.ts";

/** How long a call may wait. */
export interface WaitOptions {
  /** Ends the wait; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** The longest wait, in ms: 0 or more. */
  readonly timeoutMs?: number | undefined;
}

/** The names of {@linkcode WaitOptions}. */
export const WAIT_OPTIONS: OptionNames<WaitOptions> = {
  signal: true,
  timeoutMs: true,
};

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
 * A promise that somebody may cease to wait for.
 *
 * @param promise What is waited for.
 * @param signal Ends the wait, which then rejects with its reason.
 * @param aborted Is called if it does.
 */
export function abortable<Value>(
  promise: Promise<Value>,
  signal: AbortSignal | undefined,
  aborted: () => void = () => {},
): Promise<Value> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => {
      aborted();
      reject(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
    const settle = () => signal.removeEventListener("abort", abort);
    promise.then(
      (value) => {
        settle();
        resolve(value);
      },
      (error) => {
        settle();
        reject(error);
      },
    );
  });
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
