// Real processes, started with the runtime that runs the test.

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";
import type { Test } from "tap";
import { until } from "./conditions.ts";

const isDeno = "Deno" in globalThis;

/** A process that is told things, and says things, one JSON line each. */
export interface TestProcess {
  readonly child: ChildProcess;
  /** What it has said so far. */
  readonly messages: readonly unknown[];
  /** What it has written to standard error so far. */
  readonly errors: () => string;
  /** Sends it a signal; `SIGSTOP` and `SIGCONT`, too. */
  signal(name: NodeJS.Signals): void;
  /** Tells it something. */
  tell(message: unknown): void;
  /** The first message it has said, or will say, that passes; those before are skipped. */
  hear<Message>(
    what: string,
    isWanted: (message: Message) => boolean,
    deadlineMs?: number,
  ): Promise<Message>;
  /** Its exit status, or its signal. */
  readonly ended: Promise<number | string>;
}

const root = new URL("../../", import.meta.url);

/**
 * The command that runs a TypeScript file of this project, and its first
 * arguments. Under Node it is the file that `npm run build` made of it, as whoever
 * installs it has it.
 */
export function commandFor(file: URL): [string, string[]] {
  if (isDeno) {
    return [process.execPath, ["run", "-A", "--quiet", fileURLToPath(file)]];
  }
  const path = file.href.slice(root.href.length).replace(/ts$/, "js");
  return [process.execPath, [fileURLToPath(new URL(`dist/${path}`, root))]];
}

/** Starts a file; it is killed with the test, if it is still there. */
export function startProcess(
  t: Test,
  file: URL,
  args: readonly string[] = [],
): TestProcess {
  const [command, first] = commandFor(file);
  const child = spawn(command, [...first, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  t.teardown(() => void child.kill("SIGKILL"));
  const messages: unknown[] = [];
  let errors = "";
  let heard = 0;
  let hasEnded = false;
  createInterface({ input: child.stdout }).on("line", (line) => {
    messages.push(JSON.parse(line));
  });
  child.stderr.on("data", (chunk) => errors += chunk);
  // It may be killed while it is told something.
  child.stdin.on("error", () => {});
  const ended = new Promise<number | string>((resolve) => {
    child.on("close", (code, signal) => {
      hasEnded = true;
      resolve(code ?? signal ?? "unknown");
    });
  });
  return {
    child,
    messages,
    errors: () => errors,
    ended,
    // Not child.kill(): Deno's sends one signal only, and SIGCONT is a second.
    signal: (name) => void process.kill(child.pid as number, name),
    tell: (message) => void child.stdin.write(`${JSON.stringify(message)}\n`),
    async hear<Message>(
      what: string,
      isWanted: (message: Message) => boolean,
      deadlineMs?: number,
    ) {
      let found: Message | undefined;
      const look = () => {
        while (found === undefined && heard < messages.length) {
          const message = messages[heard] as Message;
          heard += 1;
          if (isWanted(message)) found = message;
        }
        if (found === undefined && hasEnded) {
          throw new Error(`the process ended before ${what}: ${errors}`);
        }
        return found !== undefined;
      };
      await until(what, look, deadlineMs);
      return found as Message;
    },
  };
}
