/**
 * The reading process: one mechanism, of which it counts what is dropped, and
 * notes when.
 *
 * @module
 */

import process from "node:process";
import { connect } from "node:net";

let reader;
let left = 0;
let done;
let times = [];

function dropped(keys) {
  times.push(performance.now());
  left -= keys;
  if (left <= 0) done?.();
}

process.on("message", async (request) => {
  process.send(await answer(request));
});

async function answer(request) {
  switch (request.kind) {
    case "open": {
      const { openReader } = await import(
        `./mechanisms/${request.mechanism}.mjs`
      );
      reader = await openReader(request, dropped);
      await echoTime(request.echoPort);
      return "open";
    }
    case "fill":
      await reader.fill(request.keys);
      // What others' readers were told while this was filled does not count.
      left = request.keys.length;
      times = [];
      if (request.isTimed) reader.watch?.();
      else reader.unwatch?.();
      return "filled";
    case "wait":
      if (reader.reached !== undefined) await reader.reached(request.token);
      else if (left > 0) await new Promise((resolve) => done = resolve);
      done = undefined;
      return { left: await reader.left(), times: times.slice(0, 1_000) };
  }
}

async function echoTime(port) {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  socket.on("data", () => socket.write(`${performance.now()}\n`));
  await new Promise((resolve) => socket.once("connect", resolve));
}
