// The writer under load, of the random faults: takes its task as JSON, begins
// when it is told anything, says each commit, and ends with one more when it is
// told anything again.

import process from "node:process";
import { WriterStore } from "../../mod.ts";
import { createUsers, type TestDatabase } from "../support/stores.ts";
import {
  BEATS,
  type Commit,
  KEYS,
  notes,
  SHELVES,
  userGroup,
  Versions,
  type WriterSays,
  type WriterTask,
} from "./random_faults.ts";

const LANES = 4;
/** So that readers, in processes of their own, have something of the processors. */
const PAUSE_MS = 4;
const EXTRA_EVERY = 7;

const { database, listen, tls } = JSON.parse(
  String(process.argv[2]),
) as WriterTask;
const say = (said: WriterSays) => console.log(JSON.stringify(said));

const writer = await WriterStore.open<TestDatabase>({
  ...BEATS,
  database,
  listen,
  tls,
  streams: [notes],
  groups: [userGroup],
  synchronous: "normal",
  // Small, so that whoever is held up is dropped now and then.
  maxOutboxBytes: 128 * 1024,
});
await createUsers(writer);
const versions = writer.attach(Versions);
let version = 0;
let note = 0;

async function write(): Promise<Commit> {
  let written!: Omit<Commit, "token" | "instance">;
  const { token, instance } = await writer.transaction(
    "write",
    async (txn) => {
      version += 1;
      const id = `user${version % KEYS}`;
      const shelf = `shelf${version % KEYS % SHELVES}`;
      const user = { id, name: shelf, version };
      await txn.db.insertInto("users").values(user)
        .onConflict((conflict) => conflict.column("id").doUpdateSet(user))
        .execute();
      if (version % 2 === 0) txn.invalidateGroup(userGroup, [id, shelf]);
      else {
        txn.invalidate(versions.getVersion, [id]);
        txn.invalidate(versions.sumVersions, [shelf]);
      }
      if (version <= KEYS) txn.invalidateAll(versions.countUsers);
      if (version % EXTRA_EVERY === 0) {
        const extra = { id: `extra${version}`, name: "extra", version: 0 };
        await txn.db.insertInto("users").values(extra).execute();
        txn.invalidateAll(versions.countUsers);
      }
      for (let row = 0; row <= version % 3; row += 1) {
        note += 1;
        txn.write(notes, note);
      }
      const { sum } = await txn.db.selectFrom("users")
        .select((eb) => eb.fn.sum<number>("version").as("sum"))
        .where("name", "=", shelf).executeTakeFirstOrThrow();
      const { count } = await txn.db.selectFrom("users")
        .select((eb) => eb.fn.countAll<number>().as("count"))
        .executeTakeFirstOrThrow();
      written = { id, version, shelf, sum, count, note };
    },
  );
  return { ...written, token, instance };
}

let isOver = false;
say({ urls: writer.urls });
await new Promise((resolve) => process.stdin.once("data", resolve));
process.stdin.once("data", () => isOver = true);
await Promise.all(Array.from({ length: LANES }, async () => {
  while (!isOver) {
    say({ commit: await write() });
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}));
say({ last: await write() });
process.stdin.resume();
process.stdin.once("end", () => void writer.close());
