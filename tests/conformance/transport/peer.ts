// The other end of a connection, in a process or a thread that can be killed.

import process from "node:process";
import { createInterface } from "node:readline";
import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "../../../src/runtime/clock.ts";
import { openTransport } from "../../../src/transport/open_transport.ts";
import type {
  AcceptConnection,
  Address,
  Connection,
  TlsOptions,
} from "../../../src/transport/transport.ts";

/** What it is to do. */
export interface PeerTask {
  readonly role: "listen" | "connect";
  readonly address: Address;
  readonly tls?: TlsOptions | undefined;
}

/** What it says. */
export interface PeerMessage {
  readonly url?: string;
  readonly connected?: boolean;
  readonly closed?: boolean;
  readonly heard?: string;
}

const isThread = parentPort !== null;
const task = isThread
  ? workerData as PeerTask
  : JSON.parse(String(process.argv[2])) as PeerTask;

function say(message: PeerMessage): void {
  if (isThread) parentPort?.postMessage(message);
  else process.stdout.write(`${JSON.stringify(message)}\n`);
}

let connection: Connection | undefined;
const early: string[] = [];

function send(text: unknown): void {
  if (connection === undefined) early.push(String(text));
  else connection.send(String(text));
}

// From the beginning: Deno drops what a thread is told before it listens.
if (isThread) parentPort?.on("message", send);
else {
  createInterface({ input: process.stdin }).on(
    "line",
    (line) => send(JSON.parse(line)),
  );
}

const accept: AcceptConnection = (accepted) => {
  connection = accepted;
  for (const text of early.splice(0)) send(text);
  say({ connected: true });
  return {
    received: (heard) => say({ heard }),
    failed: () => {},
    closed: () => say({ closed: true }),
  };
};

const transport = openTransport(task.address, systemClock, {
  maxLineBytes: 1_000,
  tls: task.tls,
});
if (task.role === "listen") {
  const { url } = await transport.listen(accept);
  say({ url });
} else {
  await transport.connect(accept);
}
