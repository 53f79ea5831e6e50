// A worker: DATABASE URL. Told a commit it waits for it, reads every user
// through its cache and past it, and says what differs and what it takes.

import { readFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { SlavedStore, Store } from "../../mod.ts";
import { type TestDatabase, Users } from "../support/stores.ts";
import { KEYS } from "./writes.ts";

class PlainUsers extends Store<TestDatabase> {
  async readVersion(id: string): Promise<number | undefined> {
    const user = await this.db.selectFrom("users").select("version")
      .where("id", "=", id).executeTakeFirst();
    return user?.version;
  }
}

const [database = "", replicate = ""] = process.argv.slice(2);
const slaved = await SlavedStore.connect<TestDatabase>({ database, replicate });
const users = slaved.attach(Users);
const plain = slaved.attach(PlainUsers);

for await (const line of createInterface({ input: process.stdin })) {
  await slaved.waitFor(JSON.parse(line), { timeoutMs: 60_000 });
  const wrong: unknown[] = [];
  for (let key = 0; key < KEYS; key += 1) {
    const id = `user${key}`;
    const cached = await users.getUserById(id);
    const truth = await plain.readVersion(id);
    if (cached?.version !== truth) wrong.push({ id, cached, truth });
  }
  const { connections, catchUps, transactions } = slaved.stats;
  const peakBytes = readPeakBytes();
  console.log(
    JSON.stringify({ wrong, peakBytes, connections, catchUps, transactions }),
  );
}

/** The most memory there has been (proc(5)); what there is now where the system doesn't tell. */
function readPeakBytes(): number {
  try {
    const status = readFileSync("/proc/self/status", "utf8");
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
  } catch {
    return process.memoryUsage().rss;
  }
}
