// Rules 7, 8, 10, 12 and 13 of the protocol: in which order lines come, whatever
// else goes on, and what the built-in streams' rows are.

import { Buffer } from "node:buffer";
import t from "tap";
import { z } from "zod";
import { defineStream, WriterStore } from "../../../mod.ts";
import { ConnectedReader } from "../../../src/replication/connected_reader.ts";
import { Streamer } from "../../../src/replication/streamer.ts";
import { silentLogger } from "../../../src/runtime/logger.ts";
import { createWireNames } from "../../../src/streams/wire_names.ts";
import type { Token } from "../../../src/tokens/token.ts";
import { netcat } from "../../support/netcat.ts";
import { manualClock } from "../../support/manual_clock.ts";
import type { TestDatabase } from "../../support/stores.ts";

const notes = defineStream("notes", z.number());
const others = defineStream("others", z.number());

t.test("rules 7, 8 and 10: tokens ascend, a POSITION never overtakes RDATA, and caches come first", async (t) => {
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
    streams: [notes, others],
    synchronous: "normal",
  });
  t.teardown(() => writer.close());
  const person = await netcat(t, String(writer.url));
  await person.line("it is served", (line) => line.startsWith("SERVER"));
  const rounds = 300;
  let last = 0;
  for (let round = 0; round < rounds; round += 1) {
    if (round % 7 === 0) person.send("REPLICATE\n");
    const commits = [0, 1, 2].map((each) =>
      writer.transaction("write", (txn) => {
        if (each !== 1) txn.write(others, round);
        if (each !== 2) { for (const id of [1, 2, 3]) txn.write(notes, id); }
        txn.invalidate("getUser", [round]);
        return Promise.resolve();
      })
    );
    for (const { token } of await Promise.all(commits)) {
      last = Math.max(last, token);
    }
  }
  await person.line("the end", (line) => line.endsWith(` ${last}`));
  const wrong: string[] = [];
  let told = 0;
  let token = 0;
  let batch: string | undefined;
  const seen = new Set<string>();
  let rows = 0;
  for (const line of person.lines()) {
    const [kind, stream = "", , first = "", second] = line.split(" ");
    if (kind === "POSITION") {
      told = Math.max(told, Number(second));
      if (token > told) wrong.push(`behind ${token}: ${line}`);
      if (batch !== undefined) wrong.push(`within a batch: ${line}`);
    }
    if (kind !== "RDATA") continue;
    rows += 1;
    if (batch !== undefined && batch !== stream) wrong.push(`mixed: ${line}`);
    batch = first === "batch" ? stream : undefined;
    if (batch !== undefined) continue;
    const next = Number(first);
    if (next <= told) wrong.push(`overtaken by ${told}: ${line}`);
    if (next < token) wrong.push(`descends: ${line}`);
    if (next > token) seen.clear();
    if (stream === "caches" && seen.size > 0) wrong.push(`late: ${line}`);
    if (seen.has(stream)) wrong.push(`broken in two: ${line}`);
    seen.add(stream);
    token = next;
  }
  t.same(wrong, []);
  t.equal(token, last);
  t.equal(rows, rounds * (3 + 2 + 2 * 3), "each row came once");
});

function openStreamer(): Streamer {
  return new Streamer({
    instance: "w1",
    serverName: "x",
    streams: ["caches", "notes"],
    wireNames: createWireNames("", new Set()),
    lastToken: 5 as Token,
    maxConnections: 10,
    clock: manualClock(),
    logger: silentLogger,
  });
}

t.test("what goes to all is formatted and encoded once, whatever the number of connections", async (t) => {
  const streamer = openStreamer();
  const connect = (request: string) => {
    const sent: (string | Uint8Array)[] = [];
    const reader = streamer.accept({
      remote: "reader:1",
      isShared: false,
      queuedBytes: 0,
      send: (lines) => void sent.push(lines),
      pause: () => {},
      resume: () => {},
      close: () => {},
    });
    reader.received(request);
    sent.length = 0;
    return sent;
  };
  const plain = [1, 2, 3].map(() => connect("REPLICATE\n"));
  const compact = [1, 2, 3].map(() => connect("REPLICATE INVALIDATE\n"));
  const token = 6 as Token;
  streamer.publish({
    instance: "w1",
    token,
    records: [
      { token, stream: "notes", lines: ["1", "2"] },
    ],
    invalidations: [{ name: "f", ms: 1, keys: ["k", "l"] }],
  });
  await new Promise((resolve) => setImmediate(resolve));
  for (
    const [all, first] of [[plain, "RDATA"], [compact, "INVALIDATE"]] as const
  ) {
    for (const sent of all) {
      t.ok(sent.every((lines) => lines instanceof Uint8Array));
      t.equal(sent.length, all[0]?.length);
      sent.forEach((lines, index) =>
        t.equal(lines, all[0]?.[index], "the same bytes, not equal ones")
      );
    }
    t.ok(String(Buffer.concat(all[0] as Uint8Array[])).startsWith(first));
  }
  streamer.close("over");
});

t.test("rule 7: an answer to REPLICATE, and whoever connects, comes after what was committed before", (t) => {
  const streamer = openStreamer();
  const connect = () => {
    const seen: string[] = [];
    const reader = streamer.accept({
      remote: "reader:1",
      isShared: false,
      queuedBytes: 0,
      send: (lines) => void seen.push(...String(lines).trimEnd().split("\n")),
      pause: () => {},
      resume: () => {},
      close: () => {},
    });
    return { reader, seen };
  };
  const publish = (token: number) => {
    const record = { token: token as Token, stream: "notes", lines: ["1"] };
    streamer.publish({ instance: "w1", ...record, records: [record] });
  };
  const { reader, seen } = connect();
  seen.length = 0;
  publish(6);
  // In the same turn, before anything of it has left.
  reader.received("REPLICATE\n");
  publish(7);
  const late = connect();
  t.same(seen.filter((line) => !line.startsWith("POSITION caches")), [
    "RDATA notes w1 6 1",
    "POSITION notes w1 6 6",
    "POSITION notes w1 6 6",
    "RDATA notes w1 7 1",
    "POSITION notes w1 7 7",
  ]);
  t.notOk(late.seen.some((line) => line.startsWith("RDATA")));
  streamer.close("over");
  t.end();
});

t.test("rules 12 and 13: rows of the built-in streams; keys are JSON", async (t) => {
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  const person = await netcat(t, String(writer.url));
  await person.line("it is served", (line) => line.startsWith("SERVER"));
  await writer.transaction("write", async (txn) => {
    txn.invalidate("f", []);
    txn.invalidate("f", ["é", 1.5, true, null]);
    txn.invalidateAll("f");
    await txn.append("room:1", [{
      type: "made",
      data: { a: [1] },
      metadata: { by: "@bob" },
    }]);
  });
  await person.line("the end", (line) => line.startsWith("POSITION"));
  t.match(person.lines().slice(1, 5), [
    /^RDATA caches master batch \["f",\[\],\d{13}\]$/,
    /^RDATA caches master batch \["f",\["\\u00e9",1\.5,true,null\],\d{13}\]$/,
    /^RDATA caches master 1 \["f",null,\d{13}\]$/,
    /^RDATA events master 1 \["room:1",1,"made","[0-9a-f-]{36}",\{"a":\[1\]\},\{"by":"@bob"\}\]$/,
  ]);
});

t.test("rule 3: PING at the latest after 5 s of silence, and never while data flows; 15 s until one is given up, 10 s to the first word", (t) => {
  const clock = manualClock(0);
  const began = clock.monotonicMs();
  const start = () => {
    const seen: string[] = [];
    const reader = new ConnectedReader({ clock, logger: silentLogger }, {
      remote: "reader:1",
      isShared: false,
      queuedBytes: 0,
      send: (lines) => {
        const ms = clock.monotonicMs() - began;
        seen.push(`${ms} ${String(lines).trimEnd()}`);
      },
      pause: () => {},
      resume: () => {},
      close: () => {},
    }, { command: () => {}, heartbeat: () => {}, ended: () => {} });
    return { reader, seen };
  };
  const quiet = start();
  const busy = start();
  const mute = start();
  quiet.reader.received("NAME x\nPING 1\n");
  busy.reader.received("PING 1\n");
  const beatMs = ConnectedReader.beatIntervalMs({
    clock,
    logger: silentLogger,
  });
  t.equal(beatMs, 1_250);
  for (let at = beatMs; at <= 20_000; at += beatMs) {
    clock.advance(beatMs);
    busy.reader.received("FEDERATION_ACK w 1\n");
    busy.reader.sendLines("RDATA s w 1 1\n");
    for (const { reader } of [quiet, busy, mute]) reader.beat();
  }
  t.same(quiet.seen, [
    "5000 PING 5000",
    "10000 PING 10000",
    "15000 PING 15000",
    "16250 ERROR ping timeout",
  ]);
  t.notOk(busy.seen.some((line) => /PING|ERROR/.test(line)));
  t.same(mute.seen, [
    "5000 PING 5000",
    "10000 PING 10000",
    "11250 ERROR nothing was said",
  ]);
  // What was sent just after one look at the time.
  for (const sentMs of [10, 625, 1_249]) {
    const late = start();
    const beforeMs = clock.monotonicMs() - began;
    clock.advance(sentMs);
    late.reader.sendLines("RDATA s w 1 1\n");
    clock.advance(beatMs - sentMs);
    for (let at = beatMs; at <= 12_500; at += beatMs) {
      late.reader.received("PING 1\n");
      late.reader.beat();
      clock.advance(beatMs);
    }
    const times = late.seen.map((line) => parseInt(line, 10) - beforeMs);
    t.equal(times[0], sentMs);
    times.forEach((ms, index) =>
      t.ok(ms - (times[index - 1] ?? 0) <= 5_000, `${times}`)
    );
    t.ok(times.length >= 3, `${times}`);
  }
  t.end();
});
