// Section 2.6 of the protocol, and rules 4 and 5: what can't be read is answered
// with an ERROR that quotes it, whatever bytes it holds, and concerns one
// connection only.

import { Buffer } from "node:buffer";
import t, { type Test } from "tap";
import { z } from "zod";
import { defineStream, WriterStore } from "../../../mod.ts";
import { follow, openRelay } from "../../../src/slaved/mod.ts";
import type { Logger } from "../../../src/runtime/logger.ts";
import { startFakeWriter } from "../../support/fake_writer.ts";
import { until } from "../../support/conditions.ts";
import { netcat } from "../../support/netcat.ts";
import type { TestDatabase } from "../../support/stores.ts";

const orders = defineStream("orders", z.object({ id: z.string() }));

/** What REPLICATE is answered; an announcement's second token is a later one. */
const ANSWER = /^POSITION \S+ \S+ (\d+) \1$/;

t.test("malformed lines", async (t) => {
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
    streams: [orders],
    maxLineBytes: 2_000,
  });
  t.teardown(() => writer.close());
  const acks: number[] = [];
  writer.onCommand("FEDERATION_ACK", ({ token }) => void acks.push(token));
  const url = String(writer.url);
  const write = (id: string) =>
    writer.transaction("order", (txn) => {
      txn.write(orders, { id });
      return Promise.resolve();
    });

  for (
    const [what, line, answer] of [
      [
        "an unknown command",
        "HELLO there",
        /^ERROR failed to parse line: unknown command \("HELLO there"\)$/,
      ],
      [
        "a malformed command",
        "POSITION orders master x 1",
        /^ERROR failed to parse line: "x" is not a token \("POSITION orders master x 1"\)$/,
      ],
      [
        "an unknown state",
        "USER_SYNC abcde @bob:x begin 1",
        /^ERROR failed to parse line: a state is start or end \("USER_SYNC abcde @bob:x begin 1"\)$/,
      ],
      [
        "a bad field count",
        "FEDERATION_ACK 5",
        /^ERROR failed to parse line: FEDERATION_ACK has two fields \("FEDERATION_ACK 5"\)$/,
      ],
      [
        "JSON with NaN, which Python would take",
        'USER_IP @bob:x ["t","ip","agent",null,NaN]',
        /^ERROR failed to parse line: the second field is not JSON \("USER_IP @bob:x .*NaN\]"\)$/,
      ],
      [
        "a carriage return in what would be passed on",
        "REMOTE_SERVER_UP example.com\rPING",
        /^ERROR failed to parse line: REMOTE_SERVER_UP has one field \("REMOTE_SERVER_UP example.com\\rPING"\)$/,
      ],
      [
        "a long line, cut at 200 characters",
        "x".repeat(1_000),
        /^ERROR failed to parse line: unknown command \("x{200}…"\)$/,
      ],
      [
        "a percent sign, on which Synapse drops the connection without a word",
        "100% %s",
        /^ERROR failed to parse line: unknown command \("100% %s"\)$/,
      ],
      [
        "a carriage return within",
        "NONSENSE\rPING 1",
        /^ERROR failed to parse line: unknown command \("NONSENSE\\rPING 1"\)$/,
      ],
      [
        "control characters",
        "\u0007%s%n\u001b[0m",
        /^ERROR failed to parse line: .*\\u0007%s%n\\u001b/,
      ],
      [
        "a line over the limit",
        "NAME " + "n".repeat(3_000),
        /^ERROR Line length exceeded: more than 2000 bytes \("NAME n+…"\)$/,
      ],
      [
        "a line over the limit without an end",
        Symbol("no newline"),
        /^ERROR Line length exceeded/,
      ],
      [
        "bytes that are not UTF-8",
        Uint8Array.of(0x4e, 0xff, 0xfe, 0x0a),
        /^ERROR failed to parse line: not UTF-8 \("N\xff\xfe"\)$/,
      ],
    ] as const
  ) {
    await t.test(`2.6: ${what} is answered with ERROR and a close, and nobody else is`, async (t) => {
      const other = await netcat(t, url);
      const person = await netcat(t, url);
      await other.line("it is served", (line) => line.startsWith("SERVER"));
      await person.line("it is served", (line) => line.startsWith("SERVER"));
      const bad = typeof line === "symbol" ? "NAME " + "n".repeat(3_000) : line;
      const after = typeof line === "symbol" ? "" : "\nREPLICATE\n";
      acks.length = 0;
      person.send(Buffer.concat([
        Buffer.from("FEDERATION_ACK é 1\n\nFEDERATION_ACK é 2\n"),
        Buffer.from(bad as string),
        Buffer.from(after),
      ]));
      t.match(
        await person.line("an error", (line) => line.startsWith("ERROR")),
        answer,
      );
      await until("it is closed", person.isClosed);
      t.notOk(
        person.lines().some((line) => ANSWER.test(line)),
        "what follows the line is not answered",
      );
      t.same(acks, [1, 2], "what stands before it is heard");
      await write("still here");
      await other.line("its row", (line) => line.includes("still here"));
      t.notOk(other.isClosed());
      other.close();
    });
  }

  t.equal(writer.stats.disconnections.invalid, 13);
});

t.test("2.6 from 1.73 on: blank lines are passed over", async (t) => {
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
  });
  t.teardown(() => writer.close());
  const person = await netcat(t, String(writer.url));
  person.send("\n  \n\r\n\t\nREPLICATE\n");
  await person.line("a position", (line) => line.startsWith("POSITION"));
  t.notOk(person.lines().some((line) => line.startsWith("ERROR")));
});

const USER_IP = 'USER_IP @bob:x ["syt_secret"]';

/** Keeps what is logged. */
function listen() {
  const said: string[] = [];
  const logger: Logger = (...message) =>
    void said.push(JSON.stringify(message));
  return { logger, text: () => said.join("\n") };
}

/** Has what quotes the line in a log been said there, without the token? */
function isMasked(t: Test, text: string, what: string): void {
  t.match(text, /USER_IP …/, what);
  t.notMatch(text, /syt_secret/, what);
}

t.test("an access token that was quoted to its sender is in no log", async (t) => {
  const log = listen();
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
    maxLineBytes: 500,
    logger: log.logger,
  });
  t.teardown(() => writer.close());
  for (
    const [what, ...bytes] of [
      ["malformed", `${USER_IP}\n`],
      ["not UTF-8", `${USER_IP} `, Uint8Array.of(0xff), "\n"],
      ["too long", `${USER_IP}${" ".repeat(600)}`],
      ["behind something else", `é HELLO ${USER_IP}\n`],
      [
        "before a line that is not UTF-8",
        `${USER_IP}\nN`,
        Uint8Array.of(0xff),
        "\n",
      ],
      [
        "quoted by the reader",
        `ERROR no ("${USER_IP}")\nNONSENSE ${USER_IP}\n`,
      ],
    ] as const
  ) {
    const person = await netcat(t, String(writer.url));
    person.send(
      Buffer.concat(bytes.map((part) => Buffer.from(part as string))),
    );
    const error = await person.line(
      "it is quoted",
      (line) => line.startsWith("ERROR"),
    );
    t.match(error, /syt_secret/, what);
    isMasked(t, log.text(), what);
  }
  t.equal(log.text().match(/USER_IP …/g)?.length, 7);
});

t.test("nor is one that the writer, or a relay, quotes", async (t) => {
  for (const line of [`ERROR no ("${USER_IP}")\n`, `${USER_IP}\n`]) {
    const fake = await startFakeWriter(t);
    const log = listen();
    await using _following = follow({
      replicate: fake.url,
      logger: log.logger,
      onBatch: () => {},
    });
    await until("it is there", () => fake.received().includes("REPLICATE"));
    fake.send(line);
    await until("it is logged", () => log.text() !== "");
    isMasked(t, log.text(), line);
  }
  const silent = await startFakeWriter(t, `ERROR no ("${USER_IP}")\n`);
  const log = listen();
  const relay = openRelay({ replicate: silent.url, logger: log.logger });
  t.teardown(() => relay.close());
  await until("it is logged", () => log.text() !== "");
  isMasked(t, log.text(), "of the relay's writer");
});

t.test("inside a batch, too, a row that is no JSON is answered with ERROR", async (t) => {
  for (const stream of ["wanted", "other"]) {
    for (const row of ["{bad", '{"x":NaN}']) {
      const fake = await startFakeWriter(t);
      const given: unknown[] = [];
      await using following = follow({
        replicate: fake.url,
        streams: ["wanted"],
        minBackoffMs: 1,
        maxBackoffMs: 5,
        onBatch: ({ rows }) => void given.push(rows),
      });
      await until("it is there", () => fake.received().includes("REPLICATE"));
      const line = `RDATA ${stream} w batch ${row}`;
      fake.send(
        `RDATA wanted w 1 "before"\nRDATA ${stream} w batch {"ok":1}\n` +
          `${line}\nRDATA ${stream} w 2 {"ok":2}\n`,
      );
      await until("it is told", () => /^ERROR .*\n/m.test(fake.received()));
      const quoted = JSON.stringify(line);
      t.match(
        fake.received(),
        `ERROR failed to parse line: the row is not JSON (${quoted})\n`,
      );
      await until("it is back", () => following.connections === 2);
      t.same(given, [["before"]]);
    }
  }
});
