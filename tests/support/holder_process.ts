// Holds an instance's name: DATABASE [LEASE_MS]. Told "write" it writes, and
// says the token or the error; told "close" it closes.

import process from "node:process";
import { createInterface } from "node:readline";
import { HeadwaterError, WriterStore } from "../../mod.ts";
import { createUsers, type TestDatabase } from "./stores.ts";

const [database = "", leaseMs] = process.argv.slice(2);
const say = (message: unknown) => console.log(JSON.stringify(message));

const writer = await WriterStore.open<TestDatabase>({
  database,
  ...(leaseMs === undefined ? {} : { leaseMs: Number(leaseMs) }),
});
await createUsers(writer);
say("held");

for await (const line of createInterface({ input: process.stdin })) {
  if (JSON.parse(line) === "close") break;
  try {
    const { token } = await writer.transaction("write", (txn) => {
      txn.invalidateAll("getUserById");
      return Promise.resolve();
    });
    say({ token });
  } catch (error) {
    if (!(error instanceof HeadwaterError)) throw error;
    say({ error: error.code, message: error.message });
  }
}
await writer.close();
process.exit(0);
