// A writer under load: DATABASE LANES [FILLING]. Each lane writes one entry
// after another, and says what became of it. Told anything it stops, closes,
// and says what it has done. It dies of any error that nobody handles.

import process from "node:process";
import { HeadwaterError, WriterStore } from "../../mod.ts";
import { createEntries, type EntryDatabase, type Told } from "./entries.ts";

const [database = "", lanes = "1", fillingBytes = "0"] = process.argv.slice(2);
const say = (message: unknown) => console.log(JSON.stringify(message));
const filling = "x".repeat(Number(fillingBytes));

const writer = await WriterStore.open<EntryDatabase>({
  database,
  listen: "tcp://127.0.0.1:0",
  // The writer of a fault lives through it: nobody else wants its name.
  leaseMs: 60_000,
});
await createEntries(writer);
say({ url: writer.url });

let isOver = false;
process.stdin.once("data", () => isOver = true);

async function write(id: string): Promise<Told> {
  try {
    const { token } = await writer.transaction("add entry", async (txn) => {
      const { attempt } = txn;
      await txn.db.insertInto("entries").values({ id, attempt, filling })
        .execute();
      await txn.append(id, [{ type: "added" }]);
    });
    return { id, token };
  } catch (error) {
    const { name, message } = error as Error;
    const code = error instanceof HeadwaterError ? error.code : "none";
    return { id, code, error: `${name}: ${message}` };
  }
}

await Promise.all(
  Array.from({ length: Number(lanes) }, async (_, lane) => {
    for (let count = 1; !isOver; count += 1) {
      const told = await write(`entry ${lane} ${count}`);
      say(told);
      // One that failed is not tried again in the same breath.
      if (told.code) await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }),
);
await writer.close();
process.exit(0);
