/**
 * Being asked to stop.
 *
 * @module
 */

import process from "node:process";

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. */
export function stopRequested(): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      process.off("SIGTERM", stop);
      process.off("SIGINT", stop);
      resolve();
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  });
}
