/**
 * The other process of a benchmark.
 *
 * @module
 */

import { type ChildProcess, fork } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** Answers requests, one at a time. */
export interface Peer {
  ask<Answer>(request: unknown): Promise<Answer>;
  /** Sends it a signal: `SIGSTOP` and `SIGCONT`, too. */
  signal(name: NodeJS.Signals): void;
  close(): void;
}

/** Starts `bench/peers/NAME`; it answers each message with one. */
export function startPeer(name: string): Peer {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const file = new URL(`../peers/${name}.${extension}`, import.meta.url);
  return startPeerAt(file);
}

/** Starts any file that answers each message with one. */
export function startPeerAt(file: URL): Peer {
  const child: ChildProcess = fork(fileURLToPath(file));
  return {
    ask: <Answer>(request: unknown) =>
      new Promise<Answer>((resolve, reject) => {
        const died = () => reject(new Error(`${file.pathname} has died`));
        child.once("exit", died);
        child.once("message", (answer) => {
          child.off("exit", died);
          resolve(answer as Answer);
        });
        child.send(request as string);
      }),
    // Not child.kill(): Deno's sends one signal only.
    signal: (signal) => void process.kill(child.pid as number, signal),
    close: () => void child.kill(),
  };
}
