// What a process tells of its users: at once, on each new connection, and now
// and then as a sign of life.

import t from "tap";
import { formatCommand } from "../../src/protocol/codec.ts";
import type { Command } from "../../src/protocol/command.ts";
import { PresenceReporter } from "../../src/replication/presence_reporter.ts";
import { openLife } from "../support/lives.ts";
import { manualClock } from "../support/manual_clock.ts";

function start() {
  const clock = manualClock(5);
  const said: string[] = [];
  const lines = (commands: readonly Command[]) =>
    commands.map((command) => formatCommand(command, "current"));
  const reporter = new PresenceReporter({
    instanceId: "abcde",
    maxUsers: 3,
    refreshMs: 1_000,
    life: openLife(),
    clock,
    send: (command) => void said.push(...lines([command])),
  });
  return { clock, said, lines, reporter };
}

t.test("who never had a user says nothing", (t) => {
  const { clock, said, reporter } = start();
  reporter.end("@bob");
  clock.advance(10_000);
  t.same(reporter.greeting(false), []);
  t.same(reporter.greeting(true), []);
  reporter.close();
  t.same(said, []);
  t.equal(clock.timers, 0);
  t.end();
});

t.test("all are told on each new connection; where they can't be told from those before, after a clearing", (t) => {
  const { lines, reporter } = start();
  reporter.start("@bob", "D");
  reporter.start("@eve");
  const all = [
    "USER_SYNC abcde @bob D start 5",
    "USER_SYNC abcde @eve None start 5",
  ];
  t.same(lines(reporter.greeting(false)), all);
  t.same(lines(reporter.greeting(true)), ["CLEAR_USER_SYNC abcde", ...all]);
  reporter.end("@bob", "D");
  reporter.end("@eve");
  // Else whoever left while there was no connection would be there for a grace.
  t.same(lines(reporter.greeting(false)), ["CLEAR_USER_SYNC abcde"]);
  reporter.close();
  t.end();
});

t.test("a user's start is told again as a sign of life, and all leave at the close", (t) => {
  const { clock, said, reporter } = start();
  reporter.start("@bob");
  reporter.start("@eve");
  said.length = 0;
  clock.advance(2_000);
  t.same(said, [
    "USER_SYNC abcde @bob None start 1005",
    "USER_SYNC abcde @bob None start 2005",
  ]);
  reporter.end("@bob");
  reporter.end("@eve");
  said.length = 0;
  clock.advance(2_000);
  t.same(said, []);
  reporter.close();
  t.same(said, ["CLEAR_USER_SYNC abcde"]);
  t.end();
});

t.test("ids that no writer takes in are refused, rather than told on each new connection", (t) => {
  const { said, reporter } = start();
  const long = "x".repeat(897);
  const refused = { code: "LINE_TOO_LONG", message: /have 897 characters/ };
  t.throws(() => reporter.start(long), refused);
  t.throws(() => reporter.start("@bob", long.slice(4)), refused);
  t.same(said, []);
  t.same(reporter.greeting(false), []);
  reporter.start("@bob", long.slice(5));
  t.equal(reporter.size, 1);
  reporter.close();
  t.end();
});
