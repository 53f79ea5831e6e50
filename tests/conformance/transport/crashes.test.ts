// The other end dies: a process that is killed, or a thread that is ended.

import { MessageChannel } from "node:worker_threads";
import type { Test } from "tap";
import { systemClock } from "../../../src/runtime/clock.ts";
import { openTransport } from "../../../src/transport/open_transport.ts";
import type { Address, TlsOptions } from "../../../src/transport/transport.ts";
import { until } from "../../support/conditions.ts";
import { startProcess } from "../../support/processes.ts";
import { startThread } from "../../support/threads.ts";
import { type End, watch } from "./ends.ts";
import type { PeerMessage, PeerTask } from "./peer.ts";
import { untilSubscribers } from "./channel_ends.ts";
import {
  type ChannelLikes,
  KINDS,
  MAX_LINE_BYTES,
  runCases,
  type SharedPlace,
} from "./transports.ts";

const PEER = new URL("./peer.ts", import.meta.url);

/** A peer that can be killed, and this process's end. */
interface Killable {
  readonly end: End;
  hear(text: string): Promise<unknown>;
  tell(text: string): void;
  /** Resolves once it is gone. */
  kill(): Promise<unknown>;
  /** Tries to connect to the place where it was. */
  connectAgain(): Promise<unknown>;
  readonly shared: SharedPlace | undefined;
}

type Role = PeerTask["role"];

async function start(t: Test, kind: string, role: Role): Promise<Killable> {
  return kind === "port"
    ? await startInThread(t, role)
    : await startInProcess(t, kind, role);
}

function connectTo(address: Address, tls: TlsOptions | undefined) {
  const ends: End[] = [];
  const options = { maxLineBytes: MAX_LINE_BYTES, tls };
  const transport = openTransport(address, systemClock, options);
  return {
    transport,
    ends,
    async first() {
      await until("it is there", () => ends.length > 0);
      return ends[0] as End;
    },
  };
}

async function startInThread(t: Test, role: Role): Promise<Killable> {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  const { transport, ends, first } = connectTo(port1, undefined);
  const accept = watch((end) => ends.push(end));
  if (role === "connect") await transport.listen(accept);
  const task: PeerTask = { role, address: port2 };
  const thread = startThread(t, PEER, task, [port2]);
  if (role === "listen") await transport.connect(accept);
  return {
    end: await first(),
    hear: (text) =>
      thread.hear(text, ({ heard }: PeerMessage) => heard === text),
    tell: (text) => thread.tell(text),
    kill: () => thread.terminate(),
    connectAgain: () => transport.connect(accept),
    shared: undefined,
  };
}

async function startInProcess(
  t: Test,
  kind: string,
  role: Role,
): Promise<Killable> {
  const place = await KINDS[kind]?.place(t);
  if (place === undefined) throw new TypeError(kind);
  const { tls } = place;
  let { transport, ends, first } = connectTo(place.listen, tls);
  const accept = (end: End) => ends.push(end);
  let address = String(place.listen);
  if (role === "connect") {
    const listener = await transport.listen(watch(accept));
    t.teardown(() => listener.close());
    address = String(place.connect(listener.url));
  }
  const task: PeerTask = { role, address, tls };
  const process = startProcess(t, PEER, [JSON.stringify(task)]);
  if (role === "listen") {
    const { url } = await process.hear<Required<PeerMessage>>(
      "it listens",
      ({ url }) => url !== undefined,
    );
    ({ transport, ends, first } = connectTo(place.connect(url), tls));
    await transport.connect(watch(accept));
  }
  const end = await first();
  t.teardown(() => end.connection.close());
  return {
    end,
    hear: (text) =>
      process.hear(text, ({ heard }: PeerMessage) => heard === text),
    tell: (text) => process.tell(text),
    kill: () => {
      process.signal("SIGKILL");
      return process.ended;
    },
    connectAgain: async () => {
      const again = await transport.connect(watch(() => {}));
      t.teardown(() => again.close());
    },
    shared: place.shared,
  };
}

type CrashCase = (t: Test, kind: string) => Promise<void>;

const CASES: Record<string, CrashCase> = {
  "who connected is killed": async (t, kind) => {
    const { end, hear, tell, kill } = await start(t, kind, "connect");
    end.connection.send("from here\n");
    await hear("from here\n");
    tell("from there\n");
    await end.has("from there\n");
    await kill();
    await end.closed();
    end.connection.send("to nobody\n");
    end.connection.close();
    t.equal(end.closes, 1);
    t.equal(end.text, "from there\n");
    t.equal(end.connection.queuedBytes, 0);
  },
  "who listens is killed": async (t, kind) => {
    const { end, hear, kill, connectAgain } = await start(t, kind, "listen");
    end.connection.send("from here\n");
    await hear("from here\n");
    await kill();
    await end.closed();
    t.equal(end.closes, 1);
    await t.rejects(connectAgain(), "nobody is there any more");
  },
  "it is killed in the middle of a line": async (t, kind) => {
    const { end, tell, kill } = await start(t, kind, "connect");
    tell("whole\nhalf a li");
    await end.has("whole\n");
    await kill();
    await end.closed();
    t.equal(end.text, "whole\n");
    t.same(end.errors, []);
  },
  "it is killed while much is on its way to it": async (t, kind) => {
    const { end, kill } = await start(t, kind, "connect");
    void kill();
    for (let count = 0; count < 2_000; count += 1) {
      end.connection.send(`${"x".repeat(999)}\n`);
    }
    await end.closed();
    t.equal(end.closes, 1);
  },
};

/** A peer on a channel of Redis, once it hears what goes there. */
async function startOnChannel(t: Test, kind: string, role: Role) {
  const { shared, ...peer } = await start(t, kind, role);
  if (shared === undefined) throw new TypeError(kind);
  await untilSubscribers({ shared }, 2);
  return { ...peer, shared };
}

const ON_A_CHANNEL: ChannelLikes<CrashCase> = {
  "who connected is killed": {
    "who connected is killed: Redis forgets it, and the others go on": async (
      t,
      kind,
    ) => {
      const { end, hear, kill, shared } = await startOnChannel(
        t,
        kind,
        "connect",
      );
      end.connection.send("from here\n");
      await hear("from here\n");
      await kill();
      await untilSubscribers({ shared }, 1);
      end.connection.send("to nobody else\n");
      await end.has("to nobody else\n");
      await until("nothing waits", () => end.connection.queuedBytes === 0);
      t.equal(end.closes, 0);
    },
  },
  "who listens is killed": {
    "who listens is killed: its channel stays, and another may come": async (
      t,
      kind,
    ) => {
      const { end, tell, kill, connectAgain, shared } = await startOnChannel(
        t,
        kind,
        "listen",
      );
      tell("from there\n");
      await end.has("from there\n");
      await kill();
      await untilSubscribers({ shared }, 1);
      await connectAgain();
      await untilSubscribers({ shared }, 2);
      end.connection.send("still here\n");
      await end.has("still here\n");
      t.equal(end.text, "from there\nstill here\n");
      t.equal(end.closes, 0);
    },
  },
  "it is killed in the middle of a line": {
    "it is killed while it speaks: each send is heard whole, or not at all":
      async (t, kind) => {
        const { end, tell, kill, shared } = await startOnChannel(
          t,
          kind,
          "connect",
        );
        const lines = Array.from({ length: 1_000 }, (_, at) => `${at}\n`);
        const send = `${lines.join("")}whole\n`;
        for (let round = 0; round < 50; round += 1) tell(send);
        await until("some has come", () => end.text !== "");
        await kill();
        await untilSubscribers({ shared }, 1);
        end.connection.send("end\n");
        await end.has("end\n");
        const heard = end.text.slice(0, -"end\n".length);
        t.ok(heard === send.repeat(heard.length / send.length | 0));
        t.ok(heard.length > 0);
        t.equal(end.closes, 0);
      },
  },
  "it is killed while much is on its way to it": {
    "it is killed while much is on its way to it: the others have all": async (
      t,
      kind,
    ) => {
      const { end, kill, shared } = await startOnChannel(t, kind, "connect");
      const ended = kill();
      const line = `${"x".repeat(999)}\n`;
      for (let count = 0; count < 1_000; count += 1) end.connection.send(line);
      end.connection.send("end\n");
      await end.has("end\n");
      await ended;
      await untilSubscribers({ shared }, 1);
      t.ok(end.text === `${line.repeat(1_000)}end\n`);
      t.equal(end.closes, 0);
    },
  },
};

for (const kind of Object.keys(KINDS)) {
  const run = (t: Test, run: CrashCase) => run(t, kind);
  runCases(kind, "crashes", ON_A_CHANNEL, CASES, { run, runLike: run });
}
