// A writer's end of the wire, for what a real one can't be made to send.

import { createServer, type Socket } from "node:net";
import type { Test } from "tap";

/** Serves one connection at a time, and says what it is told to. */
export interface FakeWriter {
  readonly url: string;
  /** What it answers to REPLICATE. */
  answer: string;
  /** What it has been sent so far, on all its connections. */
  readonly received: () => string;
  /** How many connections it has had. */
  readonly connections: () => number;
  send(text: string): void;
  /** Closes the connection once what was sent has left. */
  cut(): void;
}

/** Starts one, which greets whoever connects; it goes with the test. */
export async function startFakeWriter(
  t: Test,
  greeting = "SERVER fake\n",
): Promise<FakeWriter> {
  let socket: Socket | undefined;
  let received = "";
  let connections = 0;
  const server = createServer((accepted) => {
    socket = accepted;
    connections += 1;
    accepted.on("error", () => {});
    accepted.on("data", (chunk) => {
      received += chunk;
      if (String(chunk).includes("REPLICATE")) accepted.write(fake.answer);
    });
    if (greeting !== "") accepted.write(greeting);
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  t.teardown(() => {
    socket?.destroy();
    server.close();
  });
  const { port } = server.address() as { port: number };
  const fake: FakeWriter = {
    url: `tcp://127.0.0.1:${port}`,
    answer: "",
    received: () => received,
    connections: () => connections,
    send: (text) => void socket?.write(text),
    cut: () => void socket?.end(),
  };
  return fake;
}
