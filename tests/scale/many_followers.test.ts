// A thousand followers on one writer, of which one hangs: it is dropped and is
// right later, the others are told of everything, and the writer does not grow.

import process from "node:process";
import t from "tap";
import { z } from "zod";
import { type Commit, defineStream, WriterStore } from "../../mod.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { startProcess } from "../support/processes.ts";
import { createUsers, saveUser, type TestDatabase } from "../support/stores.ts";

const FOLLOWERS = 1_000;
const PROCESSES = 2;
const MEBIBYTE = 1024 * 1024;
const MAX_GROWTH_BYTES = 64 * MEBIBYTE;
const SILENCE_TIMEOUT_MS = 600_000;
/** More than the buffers of the hanging one's socket and its queue hold. */
const MAX_BYTES = 16 * MEBIBYTE;

const crowdFile = new URL("./crowd_process.ts", import.meta.url);
const readerFile = new URL("../crash/suspended_process.ts", import.meta.url);
const notes = defineStream("notes", z.string());
const note = "n".repeat(50_000);

/** What a crowd says of a token. */
interface Reached {
  readonly token: number;
  readonly reached: number;
  readonly lost: number;
}

/** What the reader says of a commit. */
interface Verdict {
  readonly wrong: readonly unknown[];
  readonly connections: number;
  readonly catchUps: number;
}

t.test(`${FOLLOWERS} followers, one of which hangs`, async (t) => {
  const database = temporaryDatabase(t);
  const writer = await WriterStore.open<TestDatabase>({
    database,
    listen: "tcp://127.0.0.1:0",
    streams: [notes],
    synchronous: "normal",
    maxOutboxBytes: MEBIBYTE,
    // It is to be dropped for what waits for it, not for being silent.
    silenceTimeoutMs: SILENCE_TIMEOUT_MS,
  });
  t.teardown(() => writer.close());
  await createUsers(writer);
  const url = String(writer.url);
  const each = FOLLOWERS / PROCESSES;
  const crowds = Array.from(
    { length: PROCESSES },
    () => startProcess(t, crowdFile, [url, String(each)]),
  );
  for (const crowd of crowds) {
    await crowd.hear<{ connected: number }>("it is connected", () => true);
  }
  const told = async ({ token }: Commit) => {
    for (const crowd of crowds) crowd.tell(token);
    for (const crowd of crowds) {
      const said = await crowd.hear<Reached>("all are told", () => true);
      t.strictSame(said, { token, reached: each, lost: 0 });
    }
  };
  const reader = startProcess(t, readerFile, [database, url]);
  const read = async (commit: Commit) => {
    reader.tell(commit);
    return await reader.hear<Verdict>("it has read all", () => true);
  };
  const save = (version: number) =>
    saveUser(writer, { id: "user1", name: "Bob", version });

  const before = await read(await save(1));
  t.strictSame(before.wrong, []);
  t.equal(writer.stats.connections, FOLLOWERS + 1);
  reader.signal("SIGSTOP");
  await told(await save(2));
  const baseBytes = process.memoryUsage.rss();
  let mostBytes = baseBytes;
  for (let written = 0; written < MAX_BYTES; written += note.length) {
    if (writer.stats.laggards > 0) break;
    const commit = await writer.transaction("note", (txn) => {
      txn.write(notes, note);
      return Promise.resolve();
    });
    await told(commit);
    mostBytes = Math.max(mostBytes, process.memoryUsage.rss());
  }
  t.equal(writer.stats.laggards, 1, "it is dropped");
  t.equal(writer.stats.connections, FOLLOWERS, "and no other");
  const grown = mostBytes - baseBytes;
  t.ok(grown < MAX_GROWTH_BYTES, `the writer has grown by ${grown} bytes`);

  const last = await save(3);
  reader.signal("SIGCONT");
  const after = await read(last);
  t.strictSame(after.wrong, [], "it is right");
  t.ok(after.connections > before.connections, "it came back");
  t.ok(after.catchUps > before.catchUps, "and read the log");
  await told(last);
});
