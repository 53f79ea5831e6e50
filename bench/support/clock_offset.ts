/**
 * Comparing the clocks of two processes, which share no zero.
 *
 * @module
 */

import { connect, type Socket } from "node:net";

/** One way there and back. */
export interface Ping {
  readonly roundTripMs: number;
  /** The other clock's time, less this one's in the middle of the way. */
  readonly offsetMs: number;
}

/** Sends a byte, and takes the other clock's time back. */
export async function ping(socket: Socket): Promise<Ping> {
  const sentMs = performance.now();
  socket.write("?");
  const text = await new Promise<string>((resolve) =>
    socket.once("data", (chunk) => resolve(String(chunk)))
  );
  const roundTripMs = performance.now() - sentMs;
  return { roundTripMs, offsetMs: Number(text) - (sentMs + roundTripMs / 2) };
}

/**
 * How far the other clock is ahead. The quickest round trip tells it best: half
 * of it is the most it can be wrong by.
 */
export function offsetOf(pings: readonly Ping[]): number {
  const [best] = pings.toSorted((a, b) => a.roundTripMs - b.roundTripMs);
  return best?.offsetMs ?? NaN;
}

/** In the other process: answers each byte with its time. */
export async function echoTime(port: number): Promise<void> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  socket.on("data", () => socket.write(`${performance.now()}\n`));
  await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
}
