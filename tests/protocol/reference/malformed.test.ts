// Section 2.6 of the protocol, and rules 4 and 5: what can't be read is answered
// with an ERROR that quotes it, whatever bytes it holds, and concerns one
// connection only.

import t from "tap";
import { z } from "zod";
import { defineStream, WriterStore } from "../../../mod.ts";
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
        /^ERROR failed to parse line: not UTF-8/,
      ],
    ] as const
  ) {
    await t.test(`2.6: ${what} is answered with ERROR and a close, and nobody else is`, async (t) => {
      const other = await netcat(t, url);
      const person = await netcat(t, url);
      await other.line("it is served", (line) => line.startsWith("SERVER"));
      await person.line("it is served", (line) => line.startsWith("SERVER"));
      if (typeof line === "symbol") person.send("NAME " + "n".repeat(3_000));
      else {person.send(
          typeof line === "string" ? `${line}\nREPLICATE\n` : line,
        );}
      t.match(
        await person.line("an error", (line) => line.startsWith("ERROR")),
        answer,
      );
      await until("it is closed", person.isClosed);
      t.notOk(
        person.lines().some((line) => ANSWER.test(line)),
        "what follows the line is not answered",
      );
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

t.test("an access token that was quoted to its sender is in no log", async (t) => {
  const said: string[] = [];
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
    logger: (...message) => void said.push(JSON.stringify(message)),
  });
  t.teardown(() => writer.close());
  const person = await netcat(t, String(writer.url));
  person.send('USER_IP @bob:x ["syt_secret"]\n');
  const error = await person.line(
    "it is quoted",
    (line) => /^ERROR/.test(line),
  );
  t.match(error, /syt_secret/);
  t.match(said.join("\n"), /USER_IP …/);
  t.notMatch(said.join("\n"), /syt_secret/);
});
