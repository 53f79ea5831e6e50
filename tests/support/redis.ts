// Real Redis servers, of the machine's redis-server. A server dies with the
// process that started it, however that ends.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import process from "node:process";
import type { Test } from "tap";
import { until } from "./conditions.ts";
import { temporaryFolder } from "./folders.ts";
import { freePort } from "./ports.ts";

/** A server, which runs until the test ends. */
export interface RedisServer {
  /** `redis://127.0.0.1:PORT`; where it has a password, with it. */
  readonly url: string;
  readonly port: number;
  start(): Promise<void>;
  /** As an administrator would. */
  stop(): Promise<void>;
  /** As a crash would. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  /** Holds it up, and lets it go on. */
  signal(name: "SIGSTOP" | "SIGCONT"): void;
  /** Runs a command on a connection of its own; gives the lines that it answers. */
  run(...command: readonly string[]): Promise<string[]>;
  /** Cuts clients off: `pubsub` or `normal`; gives how many. */
  killClients(type: "pubsub" | "normal"): Promise<number>;
  /** How many have subscribed to a channel. */
  subscribers(channel: string): Promise<number>;
}

/** How a server is started. */
export interface RedisOptions {
  /** What it asks of clients. */
  password?: string;
  /** More of its settings, as on its command line without the dashes. */
  settings?: Record<string, string>;
}

// It is told the server's process id, and acts when its input ends.
const WATCHDOG = `trap '' INT TERM HUP
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then kill -KILL "$pid"; fi`;

/**
 * Why tests of Redis can't run here, for tap's `skip`; where the machine is
 * for tests alone it must be there, and the tests fail without it.
 */
export const noRedis: string | false = findServer();

/** A server of the test's own. */
export async function startRedis(
  t: Test,
  { password, settings = {} }: RedisOptions = {},
): Promise<RedisServer> {
  const port = await freePort();
  const folder = temporaryFolder(t);
  const watchdog = spawn("sh", ["-c", WATCHDOG], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  watchdog.unref();
  watchdog.stdin.on("error", () => {});
  t.teardown(() => void watchdog.stdin.end());
  const own = {
    port: `${port}`,
    bind: "127.0.0.1",
    dir: folder,
    save: "",
    appendonly: "no",
    ...(password === undefined ? {} : { requirepass: password }),
    ...settings,
  };
  const args = Object.entries(own).flatMap((
    [name, value],
  ) => [`--${name}`, ...(value === "" ? [""] : value.split(" "))]);
  let child: ChildProcess | undefined;
  const isUp = () =>
    child !== undefined && child.exitCode === null &&
    child.signalCode === null;
  const end = async (signal: NodeJS.Signals) => {
    if (!isUp()) return;
    // Not child.kill(): Deno's sends one signal only.
    process.kill(child?.pid as number, signal);
    await until("Redis has stopped", () => !isUp());
    watchdog.stdin.write("\n");
  };
  const run = async (...command: readonly string[]) => {
    const lines = await ask(port, [
      ...(password === undefined ? [] : [["AUTH", password]]),
      command,
    ]);
    return lines;
  };
  const server: RedisServer = {
    url: `redis://${
      password === undefined ? "" : `:${password}@`
    }127.0.0.1:${port}`,
    port,
    run,
    async start() {
      if (isUp()) return;
      child = spawn("redis-server", args, { stdio: "ignore" });
      child.unref();
      watchdog.stdin.write(`${child.pid}\n`);
      await until("Redis answers", async () => {
        if (!isUp()) throw new Error("redis-server can't run here");
        return await run("PING").then(
          (lines) => lines.includes("+PONG"),
          () => false,
        );
      });
    },
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    async restart() {
      await end("SIGKILL");
      await server.start();
    },
    signal: (name) => void process.kill(child?.pid as number, name),
    async killClients(type) {
      const [count] = await run(
        "CLIENT",
        "KILL",
        "TYPE",
        type,
        "SKIPME",
        "yes",
      );
      return Number(count?.slice(1));
    },
    async subscribers(channel) {
      const lines = await run("PUBSUB", "NUMSUB", channel);
      return Number(lines.at(-1)?.slice(1));
    },
  };
  t.teardown(() => server.kill());
  await server.start();
  return server;
}

/** A plain client: what is published on some channels, byte for byte. */
export interface RawSubscriber {
  /** `CHANNEL MESSAGE`, in the order they came. */
  readonly messages: readonly string[];
}

/** Subscribes to channels with nothing between the test and the server. */
export async function subscribe(
  t: Test,
  { port }: RedisServer,
  channels: readonly string[],
): Promise<RawSubscriber> {
  const socket = connect(port, "127.0.0.1");
  t.teardown(() => void socket.destroy());
  socket.on("error", () => {});
  const messages: string[] = [];
  let text = "";
  let confirmed = 0;
  socket.setEncoding("latin1");
  socket.on("data", (chunk) => {
    text += chunk;
    // Three bulk strings: message, its channel, its bytes.
    for (;;) {
      const parts = readArray(text);
      if (parts === undefined) return;
      text = text.slice(parts.length);
      const [kind, channel, message] = parts.values;
      if (kind === "subscribe") confirmed += 1;
      else {
        const bytes = Uint8Array.from(
          message as string,
          (each) => each.charCodeAt(0),
        );
        messages.push(`${channel} ${new TextDecoder().decode(bytes)}`);
      }
    }
  });
  socket.write(encode(["SUBSCRIBE", ...channels]));
  await until("it has subscribed", () => confirmed === channels.length);
  return { messages };
}

function readArray(
  text: string,
): { values: string[]; length: number } | undefined {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) return undefined;
  const values: string[] = [];
  let at = head[0].length;
  for (let left = Number(head[1]); left > 0; left -= 1) {
    const item = /^(?::(\d+)|\$(\d+))\r\n/.exec(text.slice(at, at + 32));
    if (item === null) return undefined;
    at += item[0].length;
    if (item[1] !== undefined) values.push(item[1]);
    else {
      const end = at + Number(item[2]);
      if (text.length < end + 2) return undefined;
      values.push(text.slice(at, end));
      at = end + 2;
    }
  }
  return { values, length: at };
}

/** Commands on a connection of its own; the answer of the last, as it came, by line. */
async function ask(
  port: number,
  commands: readonly (readonly string[])[],
): Promise<string[]> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => text += chunk);
    socket.write(commands.map(encode).join("") + encode(["ECHO", "--end--"]));
    const closed = once(socket, "close");
    closed.catch(() => {});
    await until("Redis has answered", () => {
      if (socket.destroyed) throw new Error("Redis has disconnected");
      return text.includes("--end--");
    });
    const lines = text.slice(0, text.indexOf("$7\r\n--end--")).split("\r\n");
    return lines.slice(commands.length - 1, -1);
  } finally {
    socket.destroy();
  }
}

/** A command as Redis takes it. */
export function encode(command: readonly string[]): string {
  const parts = command.map((part) =>
    `$${new TextEncoder().encode(part).length}\r\n${part}\r\n`
  );
  return `*${command.length}\r\n${parts.join("")}`;
}

function findServer(): string | false {
  const { status } = spawnSync("redis-server", ["--version"]);
  if (status === 0) return false;
  if (process.env.CI === "true") {
    throw new Error(
      "redis-server is not installed: apt-get install redis-server",
    );
  }
  return "redis-server is not installed";
}
