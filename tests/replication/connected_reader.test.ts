// A reader whose commands come faster than they are handled is held up, and
// nothing of it is lost.

import t from "tap";
import type { Command } from "../../src/protocol/command.ts";
import type { CustomCommand } from "../../src/protocol/custom_command.ts";
import { CommandBus } from "../../src/replication/command_bus.ts";
import { ConnectedReader } from "../../src/replication/connected_reader.ts";
import { MAX_RUNNING_HANDLERS } from "../../src/runtime/limits.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import type { Connection } from "../../src/transport/transport.ts";
import { until } from "../support/conditions.ts";
import { manualClock } from "../support/manual_clock.ts";

function start() {
  const clock = manualClock();
  const bus = new CommandBus({
    instance: "master",
    maxLineBytes: 1_000,
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
    { clock, logger: silentLogger, pingIntervalMs: 5_000 },
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
