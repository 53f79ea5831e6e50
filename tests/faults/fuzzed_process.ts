// A process that is sent fuzzed lines: a writer, or a follower beside one. It
// says how much memory it has in use when it is told "memory", and whether it
// still works when it is told "finish".

import process from "node:process";
import { createInterface } from "node:readline";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { SlavedStore, WriterStore } from "../../mod.ts";
import {
  createUsers,
  saveUser,
  type TestDatabase,
  Users,
} from "../support/stores.ts";
import { until } from "../support/conditions.ts";
import {
  type FuzzedSays,
  type FuzzedTask,
  mark,
  MAX_LINE_BYTES,
} from "./fuzzed_lines.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const { end, database, replicate } = JSON.parse(
  String(process.argv[2]),
) as FuzzedTask;
const say = (said: FuzzedSays) => console.log(JSON.stringify(said));

const writer = await WriterStore.open<TestDatabase>({
  database,
  listen: "tcp://127.0.0.1:0",
  maxLineBytes: MAX_LINE_BYTES,
});
await createUsers(writer);

const slaved = await SlavedStore.connect<TestDatabase>({
  database,
  replicate: replicate ?? String(writer.url),
  maxLineBytes: MAX_LINE_BYTES,
  minBackoffMs: 1,
  maxBackoffMs: 1,
  pollIntervalMs: 0,
});
const users = slaved.attach(Users);
if (end === "follower") {
  slaved.onCommand(mark, (value) => void slaved.send(mark, value));
} else writer.onCommand(mark, (value) => void writer.send(mark, value));
// Before that, nobody would answer.
say({ url: String(writer.url) });

async function finish(): Promise<void> {
  // What the other end made up may be beyond any token; the real one ends that.
  const { instance } = writer;
  await until(
    "it follows the real one",
    () => slaved.position.get(instance) === writer.position.get(instance),
  );
  const user = { id: "user1", name: "after all", version: 2 };
  await saveUser(writer, { ...user, version: 1 });
  await users.getUserById(user.id);
  await slaved.waitFor(await saveUser(writer, user));
  const got = await users.getUserById(user.id);
  say({ isRight: got?.version === 2 });
}

for await (const line of createInterface({ input: process.stdin })) {
  if (JSON.parse(line) === "memory") {
    for (let round = 0; round < 3; round += 1) {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const { heapUsed, rss } = process.memoryUsage();
    say({ heapBytes: heapUsed, rssBytes: rss });
  } else await finish();
}
process.exit(0);
