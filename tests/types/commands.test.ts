// What the types promise of commands: a mistake in saying one does not compile.
// The lines below @ts-expect-error are checked by the compilers.

import t from "tap";
import { z } from "zod";
import type { SlavedStore } from "../../mod.ts";
import type { WriterStore } from "../../src/writer/mod.ts";
import { defineCommand, type Token } from "../../src/protocol/mod.ts";

const kick = defineCommand("KICK", z.object({ userId: z.string() }));
const count = defineCommand("COUNT", {
  parse: (text) => Number(text),
  format: (value: number) => String(value),
});

/** Never called: it only has to compile. */
export function mistakes(
  writer: WriterStore<unknown>,
  slaved: SlavedStore<unknown>,
  token: Token,
): void {
  writer.send(kick, { userId: "@bob" });
  writer.send(count, 5, { to: "a" });
  writer.onCommand(kick, ({ userId }, { instance }) => {
    writer.send(kick, { userId }, { to: instance });
  });
  slaved.send("FEDERATION_ACK", { instance: "a", token });
  writer.onCommand("FEDERATION_ACK", (ack) => void (ack.token < token));
  // @ts-expect-error: a user's id is a text
  writer.send(kick, { userId: 5 });
  // @ts-expect-error: it has to be said
  writer.send(kick, {});
  // @ts-expect-error: a number, says its codec
  slaved.send(count, "5");
  // @ts-expect-error: a writer doesn't acknowledge
  writer.send("FEDERATION_ACK", { instance: "a", token });
  // @ts-expect-error: a plain number is no token
  slaved.send("FEDERATION_ACK", { instance: "a", token: 5 });
  // @ts-expect-error: rows are written in transactions
  writer.send("RDATA", {});
  // @ts-expect-error: what serves the connection is not for handlers
  slaved.onCommand("PING", () => {});
  // @ts-expect-error: presence has methods of its own
  slaved.send("USER_SYNC", {});
  // @ts-expect-error: no such field
  slaved.onCommand("LOCK_RELEASED", ({ lock }) => void lock);
}

t.test("the mistakes above were found when this was compiled", (t) => {
  t.type(mistakes, "function");
  t.end();
});
