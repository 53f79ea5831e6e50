// Holds an instance's name on PostgreSQL, with clocks that may be wrong: takes
// its options as JSON, and orders as lines.

import { performance } from "node:perf_hooks";
import process from "node:process";
import { createInterface } from "node:readline";
import { HeadwaterError, WriterStore } from "../../mod.ts";
import { createUsers, type TestDatabase } from "../support/stores.ts";
import type { HolderOptions, Order, Said } from "./leases.ts";

const { database, leaseMs, aheadMs = 0 } = JSON.parse(
  String(process.argv[2]),
) as HolderOptions;
const say = (said: Said) => console.log(JSON.stringify(said));

let ahead = aheadMs;
for (const clock of [Date, performance]) {
  const now = clock.now.bind(clock);
  clock.now = () => now() + ahead;
}

const waiting: (() => void)[] = [];
let writer: WriterStore<TestDatabase> | undefined;

async function write(order: Order & { do: "write" }): Promise<void> {
  const { id, isolation, waits } = order;
  const { maxAttempts } = order;
  const calls: string[] = [];
  try {
    const { token } = await (writer as WriterStore<TestDatabase>).transaction(
      "write",
      async (txn) => {
        txn.afterCommit(() => calls.push(`committed ${txn.attempt}`));
        txn.afterRollback(() => calls.push(`rolled back ${txn.attempt}`));
        await txn.db.insertInto("users")
          .values({ id, name: isolation, version: txn.attempt }).execute();
        await txn.append(id, [{ type: "written" }]);
        if (!waits || txn.attempt > 1) return;
        const told = new Promise<void>((resolve) => waiting.push(resolve));
        say({ id, what: "within" });
        await told;
      },
      { isolation, maxAttempts },
    );
    say({ id, what: "committed", token, calls });
  } catch (error) {
    const { code, message } = error as HeadwaterError;
    say({ id, what: "failed", code, message, calls });
  }
}

try {
  writer = await WriterStore.open<TestDatabase>({ database, leaseMs });
  await createUsers(writer);
  say({ id: "", what: "held" });
} catch (error) {
  if (!(error instanceof HeadwaterError)) throw error;
  const { code, message } = error;
  say({ id: "", what: "failed", code, message });
  process.exit(0);
}

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as Order;
  if (order.do === "close") break;
  if (order.do === "go on") {
    for (const goOn of waiting.splice(0)) goOn();
  }
  if (order.do === "write") void write(order);
  if (order.do === "move clocks") {
    ahead = order.aheadMs;
    say({ id: "", what: "moved" });
  }
}
await writer.close();
process.exit(0);
