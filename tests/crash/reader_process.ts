// A worker beside the killed writer: DATABASE URL. It reads through its caches
// all the time. Told a commit, it waits for it, compares every entry with the
// database, and says what was wrong. With "hold" as a third argument it is a
// writer that only serves its position.

import process from "node:process";
import { createInterface } from "node:readline";
import { SlavedStore, Store, WriterStore } from "../../mod.ts";
import { type TestDatabase, Users } from "../support/stores.ts";
import { KEYS, writes } from "./writes.ts";

const [database = "", replicate = "", hold] = process.argv.slice(2);
const say = (message: unknown) => console.log(JSON.stringify(message));

class PlainUsers extends Store<TestDatabase> {
  async readVersion(id: string): Promise<number | undefined> {
    const user = await this.db.selectFrom("users").select("version")
      .where("id", "=", id).executeTakeFirst();
    return user?.version;
  }
}

if (hold === undefined) await readAndJudge();
else {
  await WriterStore.open<TestDatabase>({
    database,
    listen: replicate,
    streams: [writes],
  });
  say("holding");
}

async function readAndJudge(): Promise<void> {
  const slaved = await SlavedStore.connect<TestDatabase>({
    database,
    replicate,
    maxBackoffMs: 50,
  });
  const users = slaved.attach(Users);
  const plain = slaved.attach(PlainUsers);
  let reads = 0;
  let isOver = false;
  const reading = (async () => {
    while (!isOver) {
      for (let key = 0; key < KEYS; key += 1) {
        await users.getUserById(`user${key}`);
        reads += 1;
      }
      // Writes take longer: every entry is read between one and the next.
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  say("reading");
  for await (const line of createInterface({ input: process.stdin })) {
    await slaved.waitFor(JSON.parse(line));
    const wrong: unknown[] = [];
    for (let key = 0; key < KEYS; key += 1) {
      const id = `user${key}`;
      const cached = await users.getUserById(id);
      const truth = await plain.readVersion(id);
      if (cached?.version !== truth) wrong.push({ id, cached, truth });
    }
    say({ wrong, reads });
    break;
  }
  isOver = true;
  await reading;
  await slaved.close();
  process.exit(0);
}
