// The auditor, where the writer is another process: what it compares is written,
// told and read over real connections.

import t, { type Test } from "tap";
import { SlavedStore } from "../../mod.ts";
import type { AuditDifference } from "../../src/slaved/mod.ts";
import { parseToken } from "../../src/tokens/token.ts";
import { until } from "../support/conditions.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { startProcess } from "../support/processes.ts";
import { type TestDatabase, Users } from "../support/stores.ts";
import type { Said, Told } from "./audit_process.ts";

const FAST = { sampleRate: 1, budgetPerSecond: 10_000 };
const USERS = 20;

async function open(t: Test) {
  const database = temporaryDatabase(t);
  const file = new URL("audit_process.ts", import.meta.url);
  const writer = startProcess(t, file, [database]);
  const hear = (what: keyof Said) =>
    writer.hear<Said>(what, (said) => said[what] !== undefined);
  const tell = (told: Told) => writer.tell(told);
  /** Has it do something that has a token. */
  const ask = async (told: Told) => {
    tell(told);
    return parseToken((await hear("token")).token ?? 0);
  };
  const { url } = await hear("url");
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate: String(url),
  });
  t.teardown(() => slaved.close());
  const users = slaved.attach(Users);
  /** A user that is cached from now on; says with which token it was saved. */
  const keep = async (id: string) => {
    const token = await ask({ does: "save", id });
    await slaved.waitFor({ instance: "master", token });
    await users.getUserById(id);
    return token;
  };
  return { slaved, users, tell, ask, keep };
}

t.test("audit: of a process that writes, only what it hides is found", async (t) => {
  const { slaved, users, tell, ask, keep } = await open(t);
  const saved = await keep("still");
  const differences: AuditDifference[] = [];
  const audit = slaved.audit({
    ...FAST,
    showValues: true,
    onDifference: (difference) => differences.push(difference),
  });
  let isDone = false;
  tell({ does: "write", users: USERS });
  const reads = (async () => {
    while (!isDone) {
      for (let id = 0; id < USERS; id += 1) await users.getUserById(`${id}`);
      await users.countUsers();
      await users.getUserById("still");
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  await until("many are checked, some of them on their way", () => {
    const { checked, behind, differing } = audit.stats;
    return (checked >= 1_000 && behind > 0) || differing > 0;
  });
  t.equal(
    audit.stats.differing,
    0,
    "nothing is wrong, however much is written",
  );

  const hidden = await ask({ does: "change", id: "still", name: "hidden" });
  await until("it is found", () => audit.stats.differing > 0);
  const { checked } = audit.stats;
  await until("others are checked", () => audit.stats.checked > checked + 100);
  isDone = true;
  await Promise.all([ask({ does: "stop" }), reads]);
  t.equal(audit.stats.differing, 1, "and nothing else, nor again");
  t.match(differences, [{
    cache: "getUserById",
    key: ["still"],
    cached: { name: "v1" },
    database: { name: "hidden" },
    trace: {
      isCached: true,
      loaded: { position: new Map([["master", saved]]) },
      invalidated: { by: "key", instance: "master", token: saved },
    },
  }]);
  t.match(
    String(differences[0]?.trace),
    /^getUserById\["still"\]: cached; loaded .* last invalidated .* by its key/,
  );
  t.ok(
    Number(differences[0]?.position.get("master")) >= hidden,
    "once all was applied that had been written by then",
  );
});

t.test("audit: what another process hides is told once its token is reached", async (t) => {
  const { slaved, ask, keep } = await open(t);
  await keep("1");
  // What has been sent is not applied before a handler is done.
  const held = Promise.withResolvers<void>();
  const called = Promise.withResolvers<void>();
  slaved.subscribe("caches", () => {
    called.resolve();
    return held.promise;
  });
  const token = await ask({ does: "save", id: "2" });
  await called.promise;
  await ask({ does: "change", id: "1", name: "hidden" });
  const differences: AuditDifference[] = [];
  const before = slaved.stats.waiters;
  const audit = slaved.audit({
    ...FAST,
    onDifference: (difference) => differences.push(difference),
  });
  await until("it waits", () => slaved.stats.waiters > before);
  t.match(audit.stats, { checked: 0, differing: 0 }, "it may be on its way");
  held.resolve();
  await until("it is found", () => differences.length > 0);
  t.match(differences, [{
    key: ["1"],
    position: new Map([["master", token]]),
    trace: { invalidated: { token: token - 1 } },
  }]);
  t.equal(audit.stats.differing, 1);
});
