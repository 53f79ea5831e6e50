// A commit that was not answered is looked for in the log. One that is not there
// was abandoned, unless retention may have deleted it: then nobody knows.

import t from "tap";
import type { Session } from "../../src/database/engine.ts";
import { VirtualClock } from "../../src/testing/mod.ts";
import { Holders } from "../../src/tokens/holders.ts";
import type { Token } from "../../src/tokens/token.ts";
import { createRecorder } from "../../src/writer/recorder.ts";

function start(floor: number) {
  const session: Session = {
    dialect: "postgres",
    run: () => 0,
    rows(sql) {
      if (sql.includes("headwater_retained")) return [[floor]];
      return sql.includes("headwater_tokens") ? [[9]] : [];
    },
  };
  const calls: string[] = [];
  const recorder = createRecorder({
    lease: {
      instance: "master",
      fence: 1,
      lastToken: 5 as Token,
      lastReserved: 5 as Token,
      holders: new Holders([]),
      holder: "a",
    },
    session,
    clock: new VirtualClock(),
    publish: () => void calls.push("published"),
    lost: () => void calls.push("readers must compare"),
    leaseLost: () => void calls.push("lease lost"),
  });
  const entry = {
    rows: new Map(),
    appends: [],
    eventIds: [],
    commitId: "0123456789abcdef",
    committedMs: 0,
  };
  const ticket = recorder.begin(entry, []);
  const settled = recorder.settle(
    ticket,
    undefined,
    new AbortController().signal,
  );
  return { settled, calls };
}

t.test("what is not there, and was not deleted, was abandoned", async (t) => {
  const { settled, calls } = start(5);
  t.equal(await settled, false);
  t.same(calls, []);
});

t.test("what may have been deleted is not taken for abandoned", async (t) => {
  const { settled, calls } = start(6);
  await t.rejects(settled, { code: "COMMIT_UNKNOWN" });
  t.same(calls, ["readers must compare"]);
});
