// A socket's file: who may use it, whose it is, and what becomes of it.

import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { systemClock } from "../../src/runtime/clock.ts";
import type { Listener } from "../../src/transport/transport.ts";
import { unixTransport } from "../../src/transport/unix_transport.ts";
import { until } from "../support/conditions.ts";
import { temporaryFolder } from "../support/folders.ts";
import { startProcess } from "../support/processes.ts";

const OPTIONS = { maxLineBytes: 1_000 };
const PEER = new URL("../conformance/transport/peer.ts", import.meta.url);
const handler = { received: () => {}, failed: () => {}, closed: () => {} };

async function listen(t: Test, path: string): Promise<Listener> {
  const listener = await unixTransport(path, systemClock, OPTIONS)
    .listen(() => handler);
  t.teardown(() => listener.close());
  return listener;
}

async function canConnect(path: string): Promise<boolean> {
  try {
    const { connect } = unixTransport(path, systemClock, OPTIONS);
    (await connect(() => handler)).close();
    return true;
  } catch {
    return false;
  }
}

t.test("only its user may connect, whatever the umask", async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, "s");
  const listener = await listen(t, path);
  t.equal(listener.url, `unix:${path}`);
  const stat = lstatSync(path);
  t.ok(stat.isSocket());
  t.equal((stat.mode & 0o777).toString(8), "600");
  t.same(readdirSync(folder), ["s"], "and nothing else is left");
  t.ok(await canConnect(path));
});

t.test("its file goes with the listener", async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, "s");
  const listener = await listen(t, path);
  await listener.close();
  t.same(readdirSync(folder), []);
  t.notOk(await canConnect(path));
  await listener.close();
});

t.test("a file that is another's by now does not", async (t) => {
  const path = join(temporaryFolder(t), "s");
  const first = await listen(t, path);
  renameSync(path, `${path}.moved`);
  await listen(t, path);
  await first.close();
  t.ok(await canConnect(path), "the second one's");
});

t.test("what a dead process has left is replaced", async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, "s");
  const task = { role: "listen", address: `unix:${path}` };
  const holder = startProcess(t, PEER, [JSON.stringify(task)]);
  await holder.hear("it listens", () => true);
  await t.rejects(listen(t, path), {
    code: "LISTEN_FAILED",
    message: `Cannot listen on unix:${path}: ` +
      "another process listens there; give another path",
  });
  t.ok(await canConnect(path), "it was left alone");
  holder.signal("SIGKILL");
  await holder.ended;
  t.ok(existsSync(path), "a process that is killed leaves its file");
  await listen(t, path);
  t.ok(await canConnect(path));
  t.same(readdirSync(folder), ["s"]);
});

t.test("of two who replace it at once one stays, and is heard", async (t) => {
  const path = join(temporaryFolder(t), "s");
  const outcomes = await Promise.allSettled([
    listen(t, path),
    listen(t, path),
    listen(t, path),
  ]);
  const fine = outcomes.filter(({ status }) => status === "fulfilled");
  t.equal(fine.length, 1);
  t.ok(await canConnect(path));
});

t.test("what is no socket is left alone", async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, "file");
  writeFileSync(file, "precious");
  for (const path of [file, folder]) {
    await t.rejects(listen(t, path), {
      code: "LISTEN_FAILED",
      message:
        `Cannot listen on unix:${path}: the file is not a socket; give another path`,
    });
  }
  t.ok(lstatSync(file).size > 0);
});

t.test("a socket that nobody may ask is not taken for dead", async (t) => {
  const folder = join(temporaryFolder(t), "locked");
  mkdirSync(folder);
  const path = join(folder, "s");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ path }, resolve));
  t.teardown(() => void server.close());
  chmodSync(path, 0);
  await t.rejects(listen(t, path), { code: "LISTEN_FAILED" });
  t.ok(existsSync(path));
});

t.test("a path that is too long, or leads nowhere, is said to be", async (t) => {
  const folder = temporaryFolder(t);
  const long = join(folder, "x".repeat(100));
  await t.rejects(listen(t, long), {
    code: "LISTEN_FAILED",
    message: /: it has more than 103 bytes; give another path$/,
  });
  const nowhere = join(folder, "no", "s");
  await t.rejects(listen(t, nowhere), {
    code: "LISTEN_FAILED",
    message: /^Cannot listen on unix:.+\/no\/s: .+; give another path$/,
  });
  await until("nothing is left", () => readdirSync(folder).length === 0);
});
