// One live process for a name: a second is told who has it, a dead one is no
// obstacle, and one that lives on without its lease can do no harm.

import { sql } from "kysely";
import { hostname } from "node:os";
import process from "node:process";
import t from "tap";
import { releaseLease, renewLease } from "../../src/log/lease.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { deferred } from "../../src/runtime/waiting.ts";
import { TOKEN_ZERO } from "../../src/tokens/token.ts";
import { LeaseKeeper } from "../../src/writer/lease_keeper.ts";
import { temporaryDatabase } from "../support/folders.ts";
import {
  append,
  lease,
  openAppender,
  openLog,
  type TestEngine,
} from "../support/logs.ts";
import { manualClock } from "../support/manual_clock.ts";
import { turn } from "../support/caches.ts";
import { startProcess } from "../support/processes.ts";

const holderFile = new URL("../support/holder_process.ts", import.meta.url);
const LEASE_MS = 1_000;

/** Makes the holder one whose death can't be seen from here. */
function moveElsewhere(engine: TestEngine): Promise<unknown> {
  return engine.transaction(
    "move",
    ({ db }) =>
      sql`UPDATE headwater_instances SET host = 'elsewhere', pid = 12`
        .execute(db),
  );
}

t.test("takeLease() gives a free name, with a fence that grows", async (t) => {
  const engine = await openLog(t);
  const clock = manualClock();
  t.match(await lease(engine, "master", clock, LEASE_MS), {
    instance: "master",
    fence: 1,
    lastToken: 0,
    lastReserved: 0,
  });
  clock.advance(LEASE_MS);
  t.match(await lease(engine, "master", clock, LEASE_MS), { fence: 2 });
  t.match(await lease(engine, "other", clock, LEASE_MS), { fence: 1 });
});

t.test("takeLease() gives where the instance ended", async (t) => {
  const engine = await openLog(t);
  const { appender } = await openAppender(engine);
  for (let count = 0; count < 3; count += 1) await append(engine, appender);
  const other = await lease(engine, "other");
  t.equal(other.lastToken, 0, "its own end");
  t.ok(other.lastReserved >= 3, "beyond every token there is");
});

t.test("takeLease() is refused while another process holds the name", async (t) => {
  const url = temporaryDatabase(t);
  const holder = startProcess(t, holderFile, [url]);
  await holder.hear("it holds the name", (message) => message === "held");
  const engine = await openLog(t, url);
  const { pid } = holder.child;
  await t.rejects(lease(engine, "master"), {
    code: "INSTANCE_HELD",
    message: new RegExp(
      `^Cannot open a writer store as instance "master": process ${pid} on ` +
        `${hostname()} has held the name since \\d{4}-.*Z, for \\d+ s more ` +
        "unless it renews; stop it, or give this one another instance name$",
    ),
  });
  t.match(await lease(engine, "other"), { fence: 1 }, "another name is free");
  const ended = holder.ended;
  holder.child.kill("SIGKILL");
  await ended;
  t.match(await lease(engine, "master"), { fence: 2 }, "free once it is dead");
});

t.test("takeLease() is refused within one process, too", async (t) => {
  const engine = await openLog(t);
  await lease(engine, "master");
  await t.rejects(lease(engine, "master"), {
    code: "INSTANCE_HELD",
    message: new RegExp(`process ${process.pid} on ${hostname()} has held`),
  });
});

t.test("takeLease(): a holder on another machine holds on until it expires", async (t) => {
  const engine = await openLog(t);
  const clock = manualClock();
  await lease(engine, "master", clock, LEASE_MS);
  await moveElsewhere(engine);
  clock.advance(LEASE_MS - 1);
  await t.rejects(lease(engine, "master", clock, LEASE_MS), {
    code: "INSTANCE_HELD",
    message: /process 12 on elsewhere has held the name .* for 1 s more/,
  });
  clock.advance(1);
  t.match(await lease(engine, "master", clock, LEASE_MS), { fence: 2 });
});

t.test("renewLease() holds on, and tells when it is too late", async (t) => {
  const engine = await openLog(t);
  const clock = manualClock();
  const held = await lease(engine, "master", clock, LEASE_MS);
  await moveElsewhere(engine);
  const renew = () =>
    engine.transaction(
      "renew",
      (session) => renewLease(session, held, LEASE_MS + 0.5, TOKEN_ZERO, clock),
    );
  clock.advance(LEASE_MS - 1);
  await renew();
  clock.advance(LEASE_MS - 1);
  await t.rejects(lease(engine, "master", clock, LEASE_MS), {
    code: "INSTANCE_HELD",
  });
  // Too late, but nobody has come: still ours.
  clock.advance(LEASE_MS);
  await renew();
  clock.advance(LEASE_MS + 1);
  await lease(engine, "master", clock, LEASE_MS);
  await t.rejects(renew(), {
    code: "LEASE_LOST",
    message: new RegExp(`the holder is process ${process.pid} on`),
  });
});

t.test("releaseLease() gives the name free, unless it is another's", async (t) => {
  const engine = await openLog(t);
  const release = (held: Awaited<ReturnType<typeof lease>>) =>
    engine.transaction(
      "release",
      (session) => releaseLease(session, held, held.lastReserved, TOKEN_ZERO),
    );
  const first = await lease(engine, "master");
  await release(first);
  await lease(engine, "master");
  await release(first);
  await t.rejects(lease(engine, "master"), { code: "INSTANCE_HELD" });
});

t.test("LeaseKeeper: a renewal that hangs takes no name back that was released", async (t) => {
  const engine = await openLog(t);
  const clock = manualClock();
  const hanging = deferred<void>();
  const begun: string[] = [];
  const running: Promise<void>[] = [];
  const keeper = new LeaseKeeper({
    transact(name, work) {
      begun.push(name);
      const hung = name === "renew lease" ? hanging.promise : undefined;
      const ran = Promise.resolve(hung).then(() =>
        engine.transaction(name, work)
      );
      running.push(ran);
      return ran;
    },
    lease: await lease(engine, "master", clock, LEASE_MS),
    leaseMs: LEASE_MS,
    lastTaken: () => TOKEN_ZERO,
    position: () => TOKEN_ZERO,
    lost: () => t.fail("nobody else has the name"),
    clock,
    logger: silentLogger,
  });
  clock.advance(LEASE_MS);
  t.same(begun, ["renew lease"], "one at a time");
  const released = keeper.release();
  await turn();
  hanging.resolve();
  await released;
  await Promise.all(running);
  t.same(begun, ["renew lease", "release lease"]);
  t.match(await lease(engine, "master", clock, LEASE_MS), { fence: 2 });
  t.equal(clock.timers, 0);
});
