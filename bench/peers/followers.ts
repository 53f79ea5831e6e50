/**
 * Many followers in one process: sockets that see what token has come, and do
 * nothing with the rows.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import process from "node:process";
import { connect, type Socket } from "node:net";
import { echoTime } from "../support/clock_offset.ts";

/** What the followers are asked to do next. */
export type FollowersRequest =
  | {
    readonly kind: "connect";
    readonly url: string;
    readonly count: number;
    /** Who asks this process's time there gets it. */
    readonly echoPort?: number | undefined;
  }
  /** Answers once all have been told of the token. */
  | { readonly kind: "wait"; readonly token: number }
  /** Answers with every arrival of a token since the last request for it. */
  | { readonly kind: "arrivals"; readonly token: number };

/** How much of a chunk's end may hold its last POSITION. */
const TAIL_BYTES = 100;
const POSITION = /POSITION \S+ \S+ \d+ (\d+)\n$/;

let behind: { token: number; followers: number; done: () => void } | undefined;
const followers: Follower[] = [];
let arrivals: [token: number, ms: number][] = [];

/** One socket. */
class Follower {
  token = 0;
  readonly #socket: Socket;
  #tail = "";

  static async open(url: string): Promise<Follower> {
    const { hostname, port } = new URL(url.replace("tcp:", "http:"));
    const socket = connect({
      host: hostname,
      port: Number(port),
      noDelay: true,
    });
    await new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new Follower(socket);
  }

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.write("NAME follower\nREPLICATE \n");
    // Nothing else would be sent by who only reads.
    setInterval(() => this.#socket.write("PING 1\n"), 4_000).unref();
  }

  #read(chunk: Buffer): void {
    const { length } = chunk;
    const end = chunk.toString("latin1", Math.max(0, length - TAIL_BYTES));
    this.#tail = length < TAIL_BYTES
      ? (this.#tail + end).slice(-TAIL_BYTES)
      : end;
    const token = POSITION.exec(this.#tail)?.[1];
    if (token === undefined || Number(token) <= this.token) return;
    const before = this.token;
    this.token = Number(token);
    const now = performance.now();
    arrivals.push([this.token, now]);
    if (behind === undefined || before >= behind.token) return;
    if (this.token < behind.token) return;
    behind.followers -= 1;
    if (behind.followers === 0) behind.done();
  }
}

process.on("message", async (request: FollowersRequest) => {
  process.send?.(await answer(request));
});

async function answer(request: FollowersRequest): Promise<unknown> {
  switch (request.kind) {
    case "connect":
      for (let index = 0; index < request.count; index += 1) {
        followers.push(await Follower.open(request.url));
      }
      if (request.echoPort !== undefined) await echoTime(request.echoPort);
      return "connected";
    case "wait":
      await reached(request.token);
      arrivals = [];
      return "reached";
    case "arrivals": {
      await reached(request.token);
      const all = arrivals;
      arrivals = [];
      return all;
    }
  }
}

async function reached(token: number): Promise<void> {
  const left = followers.filter((follower) => follower.token < token).length;
  if (left === 0) return;
  await new Promise<void>((done) => behind = { token, followers: left, done });
  behind = undefined;
}
