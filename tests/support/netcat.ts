// A reader's end of the wire, as a person with netcat has it.

import { connect } from "node:net";
import type { Test } from "tap";
import { until } from "./conditions.ts";

/** A plain connection. */
export interface Netcat {
  /** All that has come, as text. */
  readonly text: () => string;
  /** The same, line by line, heartbeats left out. */
  readonly lines: () => string[];
  readonly isClosed: () => boolean;
  send(text: string | Uint8Array): void;
  /** Stops reading. */
  pause(): void;
  resume(): void;
  close(): void;
  /** Resolves once a line passes; gives it. */
  line(what: string, isWanted: (line: string) => boolean): Promise<string>;
}

/** Connects to `tcp://HOST:PORT`. */
export async function netcat(t: Test, url: string): Promise<Netcat> {
  const { hostname, port } = new URL(url.replace("tcp:", "http:"));
  const socket = connect({ host: hostname, port: Number(port) });
  let text = "";
  let isClosed = false;
  socket.on("data", (chunk) => text += chunk);
  socket.on("error", () => {});
  socket.on("close", () => isClosed = true);
  t.teardown(() => void socket.destroy());
  await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
  const lines = () =>
    text.split("\n").slice(0, -1).filter((line) => !line.startsWith("PING "));
  return {
    text: () => text,
    lines,
    isClosed: () => isClosed,
    send: (data) => void socket.write(data),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    close: () => void socket.destroy(),
    async line(what, isWanted) {
      await until(what, () => lines().some(isWanted));
      return lines().find(isWanted) as string;
    },
  };
}
