// A thread with a slaved store over a port: reads at first, and again whenever
// it is given a commit.

import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { SlavedStore } from "../../mod.ts";
import { type TestDatabase, Users } from "../support/stores.ts";

interface Task {
  readonly database: string;
  readonly replicate: MessagePort;
}

const { database, replicate }: Task = workerData;
const slaved = await SlavedStore.connect<TestDatabase>({ database, replicate });
const users = slaved.attach(Users);
const read = async () =>
  parentPort?.postMessage((await users.getUserById("bob"))?.name);
parentPort?.on("message", async (commit) => {
  await slaved.waitFor(commit);
  await read();
});
await read();
