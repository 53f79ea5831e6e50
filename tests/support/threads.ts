// Worker threads, started from this project's TypeScript files.

import { pathToFileURL } from "node:url";
import {
  type MessagePort as WorkerPort,
  Worker,
  type WorkerOptions,
} from "node:worker_threads";
import type { Test } from "tap";
import { commandFor } from "./processes.ts";
import { until } from "./conditions.ts";

/** A thread that says things. */
export interface TestThread {
  /** What it has said so far. */
  readonly messages: readonly unknown[];
  /** Tells it something. */
  tell(message: unknown): void;
  /** The first message it has said, or will say, that passes. */
  hear<Message>(
    what: string,
    isWanted: (message: Message) => boolean,
  ): Promise<Message>;
  /** Ends it, wherever it is. */
  terminate(): Promise<unknown>;
  readonly ended: Promise<void>;
}

/** Starts a file in a thread; it ends with the test. */
export function startThread(
  t: Test,
  file: URL,
  workerData: unknown,
  ports: readonly WorkerPort[] = [],
): TestThread {
  const path = commandFor(file)[1].at(-1) as string;
  const transferList = [...ports] as NonNullable<WorkerOptions["transferList"]>;
  const worker = new Worker(pathToFileURL(path), { workerData, transferList });
  t.teardown(() => worker.terminate());
  const messages: unknown[] = [];
  worker.on("message", (message) => messages.push(message));
  let problem: unknown;
  worker.on("error", (error) => problem = error);
  const ended = new Promise<void>((resolve) => worker.on("exit", resolve));
  return {
    messages,
    ended,
    tell: (message) => worker.postMessage(message),
    terminate: () => worker.terminate(),
    async hear<Message>(what: string, isWanted: (message: Message) => boolean) {
      let found: Message | undefined;
      await until(what, () => {
        if (problem !== undefined) throw problem;
        found = (messages as Message[]).find(isWanted);
        return found !== undefined;
      });
      return found as Message;
    },
  };
}
