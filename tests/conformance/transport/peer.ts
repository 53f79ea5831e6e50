// The other end of a connection, in a process or a thread that can be killed.

import process from "node:process";
import { createInterface } from "node:readline";
import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "../../../src/runtime/clock.ts";
import { openTransport } from "../../../src/transport/open_transport.ts";
import type {
  AcceptConnection,
  Address,
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

const accept: AcceptConnection = (connection) => {
  say({ connected: true });
  const tell = (text: unknown) => connection.send(String(text));
  if (isThread) parentPort?.on("message", tell);
  else {
    createInterface({ input: process.stdin }).on(
      "line",
      (line) => tell(JSON.parse(line)),
    );
  }
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
