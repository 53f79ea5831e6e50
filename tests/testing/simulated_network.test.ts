// What the simulated network does to those who talk over it.

import t from "tap";
import {
  seededRandom,
  SimulatedNetwork,
  type SimulatedNetworkOptions,
  VirtualClock,
} from "../../src/testing/mod.ts";
import type { Connection, Transport } from "../../src/transport/mod.ts";

/** One side, and what it has heard. */
interface Heard {
  text: string;
  chunks: number;
  isClosed: boolean;
  connection: Connection | undefined;
}

function listenTo(heard: Heard) {
  return (connection: Connection) => {
    heard.connection = connection;
    return {
      received(lines: string) {
        heard.text += lines;
        heard.chunks += 1;
      },
      failed: () => connection.close(),
      closed: () => void (heard.isClosed = true),
    };
  };
}

const nobody = (): Heard => ({
  text: "",
  chunks: 0,
  isClosed: false,
  connection: undefined,
});

function makeNetwork(options: Partial<SimulatedNetworkOptions> = {}) {
  const clock = new VirtualClock();
  const random = seededRandom(5);
  return {
    clock,
    network: new SimulatedNetwork({ clock, random, ...options }),
  };
}

async function connect(
  clock: VirtualClock,
  server: Transport,
  client: Transport,
): Promise<{ near: Heard; far: Heard }> {
  const [near, far] = [nobody(), nobody()];
  await server.listen(listenTo(far));
  const connected = client.connect(listenTo(near));
  await clock.advance(10);
  await connected;
  return { near, far };
}

function pair(network: SimulatedNetwork) {
  return [
    network.transport({ host: "server", address: "s" }),
    network.transport({ host: "client", address: "s" }),
  ] as const;
}

const LINES = Array.from({ length: 50 }, (_, index) => `line ${index} é\n`)
  .join("");

t.test("lines arrive whole and in order, however they are split", async (t) => {
  const { clock, network } = makeNetwork({
    faults: { split: 0.9, delay: 0.3 },
  });
  const { near, far } = await connect(clock, ...pair(network));
  near.connection?.send(LINES);
  far.connection?.send(LINES.toUpperCase());
  await clock.advance(5_000);
  t.equal(far.text, LINES);
  t.equal(near.text, LINES.toUpperCase());
  t.ok(far.chunks > 2, `${far.chunks} chunks`);
  t.ok(network.stats.splits > 2);
  t.ok(network.stats.delays > 0);
});

t.test("one seed gives one history", async (t) => {
  const run = async () => {
    const { clock, network } = makeNetwork({
      faults: { split: 0.5, delay: 0.5, stall: 0.2, cut: 0.02 },
    });
    const { near, far } = await connect(clock, ...pair(network));
    for (let count = 0; count < 20; count += 1) {
      near.connection?.send(`${count}\n`);
      await clock.advance(20);
    }
    return { text: far.text, ...network.stats };
  };
  t.same(await run(), await run());
});

t.test("a paused end holds the other up; what was sent comes first", async (t) => {
  const { clock, network } = makeNetwork();
  const { near, far } = await connect(clock, ...pair(network));
  far.connection?.pause();
  near.connection?.send("one\n");
  await clock.advance(100);
  t.equal(far.text, "");
  t.equal(near.connection?.queuedBytes, 4);
  far.connection?.resume();
  near.connection?.send("two\n");
  near.connection?.close();
  near.connection?.send("three\n");
  await clock.advance(100);
  t.equal(far.text, "one\ntwo\n");
  t.ok(far.isClosed);
  t.ok(near.isClosed);
  t.same(network.links, []);
});

t.test("a cut loses what is under way; half open, one end notices", async (t) => {
  const { clock, network } = makeNetwork();
  const one = await connect(clock, ...pair(network));
  one.near.connection?.send("lost\n");
  network.cutAll();
  await clock.advance(10);
  t.same([one.near.isClosed, one.far.isClosed], [true, true]);
  t.equal(one.far.text, "");
  const two = await connect(clock, ...pair(network));
  network.links[0]?.cut("client");
  await clock.advance(60_000);
  t.same([two.near.isClosed, two.far.isClosed], [true, false]);
  two.far.connection?.send("into the void\n");
  two.far.connection?.close();
  await clock.advance(1_000);
  t.ok(two.far.isClosed, "its own close ends it");
});

t.test("stalls, parts and stopped hosts hold lines up; they come later", async (t) => {
  const { clock, network } = makeNetwork();
  const { near, far } = await connect(clock, ...pair(network));
  const holdUp = async (hold: () => void, release: () => void) => {
    const before = far.text;
    hold();
    near.connection?.send("held\n");
    await clock.advance(1_000);
    t.equal(far.text, before);
    release();
    await clock.advance(10);
    t.equal(far.text, `${before}held\n`);
  };
  await holdUp(() => network.stallAll(), () => network.resumeAll());
  await holdUp(
    () => network.partition(["client"], ["server"]),
    () => network.heal(),
  );
  await holdUp(() => network.pause("server"), () => network.resume("server"));
});

t.test("a host that crashes hears nothing; the other end notices", async (t) => {
  const { clock, network } = makeNetwork();
  const { near, far } = await connect(clock, ...pair(network));
  network.crash("server");
  await clock.advance(1_000);
  t.ok(near.isClosed);
  t.notOk(far.isClosed);
  const refused = pair(network)[1].connect(listenTo(nobody()));
  const outcome = t.rejects(refused, { code: "CONNECT_TIMEOUT" });
  await clock.advance(10);
  await outcome;
});

t.test("a line that is too long fails the connection", async (t) => {
  const { clock, network } = makeNetwork({ maxLineBytes: 10 });
  const { near, far } = await connect(clock, ...pair(network));
  near.connection?.send(`${"x".repeat(11)}\n`);
  await clock.advance(1_000);
  t.equal(far.text, "");
  t.ok(far.isClosed);
});

t.test("a channel: all hear all, but for what is lost or told twice", async (t) => {
  const { clock, network } = makeNetwork();
  const heard = ["a", "b", "c"].map((host) => {
    const each = nobody();
    const channel = network.channel({ host, address: "bus" });
    void (host === "a"
      ? channel.listen(listenTo(each))
      : channel.connect(listenTo(each)));
    return each;
  });
  heard[0]?.connection?.send("one\n");
  await clock.advance(10);
  t.same(heard.map(({ text }) => text), ["one\n", "one\n", "one\n"]);
  t.ok(heard.every(({ connection }) => connection?.isShared));
  network.faults = { drop: 0.3, duplicate: 0.3 };
  for (let count = 0; count < 100; count += 1) {
    heard[1]?.connection?.send(`${count}\n`);
  }
  await clock.advance(100);
  t.ok(network.stats.drops > 50);
  t.ok(network.stats.duplicates > 20);
  for (const { text } of heard) {
    const numbers = text.trim().split("\n").slice(1).map(Number);
    t.same(numbers, numbers.toSorted((a, b) => a - b), "in order");
  }
  network.faults = {};
  network.crash("c");
  network.cutAll();
  await clock.advance(10);
  t.same(heard.map(({ isClosed }) => isClosed), [true, true, false]);
});

t.test("an attempt to connect can be given up", async (t) => {
  const { clock, network } = makeNetwork();
  const place = { host: "a", address: "w" };
  await network.transport(place).listen(listenTo(nobody()));
  const reason = new RangeError("enough");
  const gone = AbortSignal.abort(reason);
  for (const transport of [network.transport(place), network.channel(place)]) {
    await t.rejects(
      transport.connect(() => t.fail("it was not given up") as never, gone),
      reason,
    );
  }
  const stop = new AbortController();
  const near = nobody();
  const connecting = network.transport(place)
    .connect(listenTo(near), stop.signal);
  stop.abort(reason);
  await t.rejects(connecting, reason);
  await clock.advance(100);
  t.equal(near.connection, undefined);
  t.match(network.stats, { connections: 0, refused: 0 });

  // One that is made is not ended by the signal that it was made under.
  const later = new AbortController();
  const connected = network.transport(place)
    .connect(listenTo(near), later.signal);
  await clock.advance(100);
  await connected;
  later.abort(reason);
  await clock.advance(100);
  t.notOk(near.isClosed);
});
