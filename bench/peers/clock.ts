/**
 * The other process of the latency benchmark: echoes what it is sent over TCP,
 * and notes when invalidations were applied.
 *
 * @module
 */

import { connect } from "node:net";
import process from "node:process";
import { cachesStream, SlavedStore } from "headwater";
import type { Database } from "../support/store.ts";

/** What the clock process is asked to do next. */
export type ClockRequest =
  | {
    readonly kind: "open";
    readonly database: string;
    readonly url: string;
    readonly echoPort: number;
  }
  /** Answers with token → when it was applied, on this process's clock. */
  | { readonly kind: "times"; readonly token: number };

const applied = new Map<number, number>();
let slaved: SlavedStore<Database> | undefined;

process.on("message", async (request: ClockRequest) => {
  if (request.kind === "open") await open(request);
  else {
    await slaved?.waitFor({ instance: "master", token: request.token });
    process.send?.([...applied]);
    applied.clear();
    return;
  }
  process.send?.("ready");
});

async function open(
  { database, url, echoPort }: ClockRequest & { kind: "open" },
): Promise<void> {
  slaved = await SlavedStore.connect<Database>({ database, replicate: url });
  slaved.subscribe(cachesStream, ({ token }) => {
    applied.set(token, performance.now());
  });
  // Answers each byte with this process's time.
  const socket = connect({ host: "127.0.0.1", port: echoPort, noDelay: true });
  socket.on("data", () => socket.write(`${performance.now()}\n`));
  await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
}
