// A reader whose commands come faster than they are handled is held up, and
// nothing of it is lost.

import t from "tap";
import type { Command } from "../../src/protocol/command.ts";
import type { CustomCommand } from "../../src/protocol/custom_command.ts";
import { CommandBus } from "../../src/replication/command_bus.ts";
import {
  ConnectedReader,
  type ConnectedReaderOptions,
} from "../../src/replication/connected_reader.ts";
import {
  MAX_IDS_PER_CONNECTION,
  MAX_RUNNING_HANDLERS,
} from "../../src/runtime/limits.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import type { Connection } from "../../src/transport/transport.ts";
import { until } from "../support/conditions.ts";
import { openLife } from "../support/lives.ts";
import { manualClock } from "../support/manual_clock.ts";

function start(options: Partial<ConnectedReaderOptions> = {}) {
  const clock = manualClock();
  const bus = new CommandBus({
    instance: "master",
    maxLineBytes: 1_000,
    life: openLife(),
    logger: silentLogger,
  });
  const seen: string[] = [];
  const connection: Connection = {
    remote: "reader:1",
    isShared: false,
    queuedBytes: 0,
    send: (lines) => void seen.push(String(lines).trimEnd()),
    pause: () => void seen.push("pause"),
    resume: () => void seen.push("resume"),
    close: () => void seen.push("close"),
  };
  const reader: ConnectedReader = new ConnectedReader(
    { clock, logger: silentLogger, pingIntervalMs: 5_000, ...options },
    connection,
    {
      command: (command: Command | CustomCommand) =>
        bus.receive(command, reader.sender),
      heartbeat: () => seen.push("heartbeat"),
      ended: (reason) => void seen.push(`ended: ${reason}`),
    },
  );
  return { bus, clock, reader, seen };
}

t.test("a reader is held up while too many handlers run", async (t) => {
  const { bus, clock, reader, seen } = start();
  const releases: (() => void)[] = [];
  bus.on(
    "FEDERATION_ACK",
    () => new Promise<void>((resolve) => void releases.push(resolve)),
  );
  const line = "FEDERATION_ACK w 1\n";
  reader.received("PING 1\n" + line.repeat(MAX_RUNNING_HANDLERS - 1));
  t.same(seen, []);
  reader.received(line.repeat(2));
  t.same(seen, ["pause", "pause"]);
  t.equal(releases.length, MAX_RUNNING_HANDLERS + 1, "nothing is lost");
  // Its silence is our own doing.
  for (let tick = 0; tick < 20; tick += 1) {
    clock.advance(2_000);
    reader.beat();
  }
  t.notOk(seen.includes("close"));
  releases[0]?.();
  await until("it is let go on", () => seen.includes("resume"));
  t.equal(seen.filter((each) => each === "resume").length, 1);
  for (const release of releases) release();
});

t.test("a handler may return what is no promise", async (t) => {
  const { bus, reader, seen } = start();
  const values: string[] = [];
  // As a function written without types may be.
  const handler: (value: { readonly token: number }) => unknown = () =>
    values.push("called");
  bus.on("FEDERATION_ACK", handler as () => void);
  reader.received("FEDERATION_ACK w 1\n".repeat(MAX_RUNNING_HANDLERS + 1));
  t.equal(values.length, MAX_RUNNING_HANDLERS + 1);
  await until(
    "it is let go on",
    () => seen.at(-1) === "resume" || seen.length === 0,
  );
});

t.test("what follows the line that ended a connection is not read", (t) => {
  const { bus, reader, seen } = start();
  let acks = 0;
  bus.on("FEDERATION_ACK", () => void (acks += 1));
  reader.received("FEDERATION_ACK w 1\nNONSENSE\nFEDERATION_ACK w 2\n");
  reader.received("FEDERATION_ACK w 3\n");
  reader.closed();
  reader.closed();
  t.equal(acks, 1);
  t.same(seen, [
    'ERROR failed to parse line: unknown command ("NONSENSE")',
    "close",
    "ended: invalid",
  ]);
  t.end();
});

t.test("of many who speak over one connection each is known, and none is taken for another", (t) => {
  const { bus, reader } = start();
  const takes = (to: string) =>
    reader.takes({ line: "", name: "KICK", isCustom: true, to });
  const senders: string[] = [];
  bus.on("FEDERATION_ACK", (_, { instance }) => void senders.push(instance));
  bus.on("USER_SYNC", (_, { instance }) => void senders.push(instance));
  bus.on("CLEAR_USER_SYNC", (_, { instance }) => void senders.push(instance));
  const ack = "FEDERATION_ACK w 1\n";
  reader.received(`NAME relay\n${ack}COMMANDS one ["KICK"]\n${ack}`);
  t.ok(takes("one"));
  t.notOk(takes("two"));
  reader.received(`COMMANDS two []\n${ack}COMMANDS one ["KICK"]\n${ack}`);
  t.ok(takes("one") && takes("two"));
  reader.received("USER_SYNC three @a start 1\nCLEAR_USER_SYNC two\n");
  t.ok(takes("three"));
  t.same(senders, ["relay", "one", "relay", "relay", "three", "two"]);

  for (let count = 3; count < MAX_IDS_PER_CONNECTION; count += 1) {
    reader.received(`COMMANDS id${count} []\n`);
  }
  t.notOk(takes("another"));
  reader.received("COMMANDS another []\n");
  t.ok(takes("another"), "one too many: it is sent to, whoever it is for");
  const own = start().reader;
  own.received(`COMMANDS ${"x".repeat(2_000)} ["KICK"]\nNAME n\n`);
  t.ok(own.takes({ line: "", name: "KICK", isCustom: true, to: "any" }));
  t.equal(own.sender.instance, "n", "so long an id is not remembered");
  t.end();
});

t.test("rule 1: who may be of an older dialect is sent no newer command, unless it is our own", (t) => {
  const takes = (reader: ConnectedReader, name: string) =>
    reader.takes({ line: "", name, isCustom: false, to: undefined });
  const { reader } = start({ dialect: "tcp" });
  t.notOk(takes(reader, "LOCK_RELEASED"));
  t.ok(takes(reader, "REMOTE_SERVER_UP"));
  t.notOk(takes(reader, "NEW_ACTIVE_TASK"));
  t.ok(takes(start().reader, "LOCK_RELEASED"));
  reader.received("COMMANDS one []\n");
  t.ok(takes(reader, "LOCK_RELEASED"), "no other says COMMANDS");
  const compact = start({ dialect: "tcp" }).reader;
  compact.isCompact = true;
  t.ok(takes(compact, "LOCK_RELEASED"), "nor asks for INVALIDATE");
  t.notOk(takes(reader, "NEW_ACTIVE_TASK"), "said on shared channels only");
  t.end();
});
