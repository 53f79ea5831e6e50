// Many followers in one process: URL COUNT. Told a token, it says how many
// have been told of it once all have, or once one is cut off.

import type { Buffer } from "node:buffer";
import { connect } from "node:net";
import process from "node:process";
import { createInterface } from "node:readline";
import { until } from "../support/conditions.ts";

/** How much of a chunk's end may hold its last POSITION. */
const TAIL_BYTES = 100;
const POSITION = /POSITION \S+ \S+ \d+ (\d+)\n$/;
const PING_MS = 4_000;

const [url = "", count = "0"] = process.argv.slice(2);
const { hostname, port } = new URL(url.replace("tcp:", "http:"));
const tokens: number[] = [];
let lost = 0;

await Promise.all(Array.from({ length: Number(count) }, open));
console.log(JSON.stringify({ connected: tokens.length }));

for await (const line of createInterface({ input: process.stdin })) {
  const wanted = Number(line);
  const reached = () => tokens.filter((token) => token >= wanted).length;
  await until("all are told", () => reached() + lost >= tokens.length);
  console.log(JSON.stringify({ token: wanted, reached: reached(), lost }));
}
process.exit(0);

async function open(_: unknown, index: number): Promise<void> {
  const socket = connect({ host: hostname, port: Number(port) });
  let tail = "";
  tokens[index] = 0;
  socket.on("data", (chunk: Buffer) => {
    const from = Math.max(0, chunk.length - TAIL_BYTES);
    tail = (tail + chunk.toString("latin1", from)).slice(-TAIL_BYTES);
    const token = POSITION.exec(tail)?.[1];
    if (token !== undefined) tokens[index] = Number(token);
  });
  socket.on("error", () => {});
  socket.on("close", () => lost += 1);
  await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
  socket.write("NAME follower\nREPLICATE \n");
  setInterval(() => socket.write("PING 1\n"), PING_MS).unref();
}
